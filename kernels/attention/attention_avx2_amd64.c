//go:build cgo && !noasm

#define SIMD_AVX2
#include "attention_body.h"
