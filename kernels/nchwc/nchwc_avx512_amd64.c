//go:build cgo && !noasm

#define SIMD_AVX512
#include "direct_body.h"
#include "plane_body.h"
#include "winograd_body.h"
