// What the Go side of reduce calls; see reduce.go.
#ifndef AIMASS_REDUCE_H
#define AIMASS_REDUCE_H

#include <stdint.h>

struct reduce_task {
	int64_t outer, n, inner;
	int32_t op, threads;
};

void aimass_reduce_avx2(const struct reduce_task *t, float *dst, const float *x);
void aimass_reduce_avx512(const struct reduce_task *t, float *dst, const float *x);

#endif
