//go:build cgo && !noasm

#define SIMD_AVX512
#include "chain_body.h"
#include "gemm_body.h"
