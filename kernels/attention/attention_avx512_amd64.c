//go:build cgo && !noasm

#define SIMD_AVX512
#include "attention_body.h"
