//go:build cgo && !noasm

#define SIMD_AVX2
#include "rnn_body.h"
