//go:build cgo && !noasm

#define SIMD_AVX2
#include "chain_body.h"
#include "gemm_body.h"
