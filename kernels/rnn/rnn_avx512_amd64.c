//go:build cgo && !noasm

#define SIMD_AVX512
#include "rnn_body.h"
