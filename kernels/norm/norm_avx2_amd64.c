//go:build cgo && !noasm

#define SIMD_AVX2
#include "norm_body.h"
