//go:build cgo && !noasm

// The weaving is bound by memory and by its strided stores, so it is plain C for
// every instruction set.
#include "convtranspose.h"

#include <string.h>

#include "pool.h"

struct ctx {
	const struct weave_task *t;
	const float *src;
	float *dst;
};

// n places to every step-th place of dst.
static void weave_row(float *restrict dst, const float *restrict src, int64_t n, int64_t step, int64_t width) {
	if (step == 1)
		memcpy(dst, src, n * width * sizeof(float));
	else if (width == 16)
		for (int64_t j = 0; j < n; j++)
			memcpy(dst + j * step * 16, src + j * 16, 64);
	else if (width == 8)
		for (int64_t j = 0; j < n; j++)
			memcpy(dst + j * step * 8, src + j * 8, 32);
	else if (step == 2)
		for (int64_t j = 0; j < n; j++)
			dst[2 * j] = src[j];
	else
		for (int64_t j = 0; j < n; j++)
			dst[j * step] = src[j];
}

// How many of n places, a step apart from at on, lie within extent.
static int64_t fitting(int64_t n, int64_t at, int64_t step, int64_t extent) {
	int64_t most = at < extent ? (extent - at + step - 1) / step : 0;
	return n < most ? n : most;
}

static void weave_plane(void *arg, int task) {
	const struct ctx *c = arg;
	const struct weave_task *t = c->t;
	int64_t n[3];
	for (int k = 0; k < 3; k++)
		n[k] = fitting(t->in[k], t->at[k], t->step[k], t->out[k]);
	for (int64_t z = 0; z < n[0]; z++)
		for (int64_t y = 0; y < n[1]; y++) {
			int64_t from = ((task * t->in[0] + z) * t->in[1] + y) * t->in[2];
			int64_t to = ((task * t->out[0] + z * t->step[0] + t->at[0]) * t->out[1] + y * t->step[1] + t->at[1]) * t->out[2] + t->at[2];
			weave_row(c->dst + to * t->width, c->src + from * t->width, n[2], t->step[2], t->width);
		}
}

void aimass_weave(const struct weave_task *t, const float *src, float *dst) {
	struct ctx c = {t, src, dst};
	int64_t floats = t->planes * t->width * t->in[0] * t->in[1] * t->in[2];
	aimass_pool_run(weave_plane, &c, (int)t->planes, floats < 1 << 16 ? 1 : t->threads);
}
