//go:build cgo && !noasm

#define SIMD_AVX2
#include "depthwise_body.h"
#include "pool_body.h"
#include "rows_body.h"
