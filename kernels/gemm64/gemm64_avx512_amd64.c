//go:build cgo && !noasm

#define SIMD_AVX512
#include "gemm64_body.h"
