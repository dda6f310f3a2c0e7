//go:build cgo && !noasm

#define SIMD_AVX512
#include "norm_body.h"
