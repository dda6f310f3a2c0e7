//go:build cgo && !noasm

#define SIMD_AVX512
#include "igemm_body.h"
