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

// Halves to floats and back.
void aimass_coded_widen_avx2(float *dst, const uint16_t *src, int64_t n, int kind, int threads);
void aimass_coded_widen_avx512(float *dst, const uint16_t *src, int64_t n, int kind, int threads);
void aimass_coded_narrow_avx2(uint16_t *dst, const float *src, int64_t n, int kind, int threads);
void aimass_coded_narrow_avx512(uint16_t *dst, const float *src, int64_t n, int kind, int threads);

#endif
