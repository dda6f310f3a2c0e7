//go:build cgo && !noasm

#define SIMD_AVX2
#include "gemm64_body.h"
