//go:build cgo && !noasm

#define SIMD_AVX512
#include "pool_body.h"
