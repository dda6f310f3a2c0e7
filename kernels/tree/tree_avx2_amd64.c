//go:build cgo && !noasm

#define SIMD_AVX2
#include "tops_body.h"
