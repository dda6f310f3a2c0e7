// What the Go side of coded calls; see coded.go.
#ifndef AIMASS_CODED_H
#define AIMASS_CODED_H

#include "gemm.h"

struct coded_task {
	int64_t m, n, k, lda, ldc, block;
	int32_t kind, threads;
	struct gemm_epilogue ep;
};

// zeros, bias and residual may be NULL.
void aimass_coded_avx2(const struct coded_task *t, const float *a, const uint32_t *codes, const float *scales, const int8_t *zeros,
                       float *c, const float *bias, const float *residual);
void aimass_coded_avx512(const struct coded_task *t, const float *a, const uint32_t *codes, const float *scales, const int8_t *zeros,
                         float *c, const float *bias, const float *residual);

#endif
