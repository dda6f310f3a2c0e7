// What the Go side of reduce calls; see reduce.go.
#ifndef AIMASS_REDUCE_H
#define AIMASS_REDUCE_H

#include <stdint.h>

struct reduce_task {
	int64_t outer, n, inner;
	int32_t op, threads;
};

struct reduce_runs {
	int64_t count, n;
	int32_t op, threads;
};

void aimass_reduce_runs_avx2(const struct reduce_runs *t, float *dst, const float *src, const int64_t *at);
void aimass_reduce_runs_avx512(const struct reduce_runs *t, float *dst, const float *src, const int64_t *at);
void aimass_reduce_avx2(const struct reduce_task *t, float *dst, const float *x);
void aimass_reduce_avx512(const struct reduce_task *t, float *dst, const float *x);

#endif
