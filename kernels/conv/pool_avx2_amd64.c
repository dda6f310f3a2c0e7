//go:build cgo && !noasm

#define SIMD_AVX2
#include "pool_body.h"
