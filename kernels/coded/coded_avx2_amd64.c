//go:build cgo && !noasm

#define SIMD_AVX2
#include "coded_body.h"
#include "halves_body.h"
