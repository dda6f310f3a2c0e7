// What the Go side of norm calls; see norm.go.
#ifndef AIMASS_NORM_H
#define AIMASS_NORM_H

#include <stdint.h>

struct norm_rows {
	int64_t rows, cols;
	float epsilon;
	int32_t rms, threads;
};

// With affine the planes are only scaled and shifted.
struct norm_planes {
	int64_t outer, channels, inner;
	float epsilon;
	int32_t affine, threads;
};

void aimass_norm_rows_avx2(const struct norm_rows *t, float *dst, const float *x, const float *res,
                           const float *bias, const float *gamma, const float *beta, float *sum);
void aimass_norm_rows_avx512(const struct norm_rows *t, float *dst, const float *x, const float *res,
                             const float *bias, const float *gamma, const float *beta, float *sum);
void aimass_norm_planes_avx2(const struct norm_planes *t, float *dst, const float *x, const float *gamma, const float *beta);
void aimass_norm_planes_avx512(const struct norm_planes *t, float *dst, const float *x, const float *gamma, const float *beta);

#endif
