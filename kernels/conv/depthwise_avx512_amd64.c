//go:build cgo && !noasm

#define SIMD_AVX512
#include "depthwise_body.h"
