//go:build cgo && !noasm

#define SIMD_AVX2
#include "quant_body.h"
#include "quant_convert.h"
