//go:build cgo && !noasm

#define SIMD_AVX2
#include "igemm_body.h"
