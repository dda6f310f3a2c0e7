//go:build cgo && !noasm

#define SIMD_AVX2
#include "softmax_body.h"
