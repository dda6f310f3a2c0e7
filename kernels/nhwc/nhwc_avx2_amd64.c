//go:build cgo && !noasm

#define SIMD_AVX2
#include "nhwc_body.h"
