//go:build cgo && !noasm

#define SIMD_AVX512
#include "act_body.h"
#include "peak_body.h"
