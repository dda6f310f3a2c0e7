//go:build cgo && !noasm

#define SIMD_AVX2
#include "direct_body.h"
#include "plane_body.h"
#include "winograd_body.h"
