//go:build cgo && !noasm

#define SIMD_AVX2
#include "chain_body.h"
