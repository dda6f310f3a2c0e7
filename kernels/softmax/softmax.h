// What the Go side of softmax calls; see softmax.go.
#ifndef AIMASS_SOFTMAX_H
#define AIMASS_SOFTMAX_H

#include <stdint.h>

struct softmax_task {
	int64_t ldy, ldx, rows, cols, inner; // inner > 0: the middle axis of rows×cols×inner
	float scale;
	int32_t log, threads;
};

void aimass_softmax_avx2(const struct softmax_task *t, float *y, const float *x);
void aimass_softmax_avx512(const struct softmax_task *t, float *y, const float *x);

#endif
