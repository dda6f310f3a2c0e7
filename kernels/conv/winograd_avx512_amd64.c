//go:build cgo && !noasm

#define SIMD_AVX512
#include "winograd_body.h"
