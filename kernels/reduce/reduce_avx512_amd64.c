//go:build cgo && !noasm

#define SIMD_AVX512
#include "reduce_body.h"
