//go:build cgo && !noasm

#define SIMD_AVX512
#include "elementwise64_body.h"
