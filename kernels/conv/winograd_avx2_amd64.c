//go:build cgo && !noasm

#define SIMD_AVX2
#include "winograd_body.h"
