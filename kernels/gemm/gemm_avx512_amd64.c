//go:build cgo && !noasm

#define SIMD_AVX512
#include "gemm_body.h"
