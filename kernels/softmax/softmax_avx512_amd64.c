//go:build cgo && !noasm

#define SIMD_AVX512
#include "softmax_body.h"
