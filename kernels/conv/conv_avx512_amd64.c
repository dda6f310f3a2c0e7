//go:build cgo && !noasm

#define SIMD_AVX512
#include "depthwise_body.h"
#include "pool_body.h"
#include "rows_body.h"
