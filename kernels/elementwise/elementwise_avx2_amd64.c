//go:build cgo && !noasm

#define SIMD_AVX2
#include "elementwise_body.h"
