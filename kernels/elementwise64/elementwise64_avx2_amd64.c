//go:build cgo && !noasm

#define SIMD_AVX2
#include "elementwise64_body.h"
