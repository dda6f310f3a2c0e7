//go:build cgo && !noasm

#define SIMD_AVX512
#include "nhwc_body.h"
