//go:build cgo && !noasm

#define SIMD_AVX2
#include "act_body.h"
#include "peak_body.h"
