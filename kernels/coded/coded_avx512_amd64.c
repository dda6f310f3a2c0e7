//go:build cgo && !noasm

#define SIMD_AVX512
#include "coded_body.h"
#include "halves_body.h"
