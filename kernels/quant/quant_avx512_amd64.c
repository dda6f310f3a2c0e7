//go:build cgo && !noasm

#define SIMD_AVX512
#include "quant_body.h"
#include "quant_convert.h"
