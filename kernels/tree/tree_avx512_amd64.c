//go:build cgo && !noasm

#define SIMD_AVX512
#include "tops_body.h"
