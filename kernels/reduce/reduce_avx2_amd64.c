//go:build cgo && !noasm

#define SIMD_AVX2
#include "reduce_body.h"
