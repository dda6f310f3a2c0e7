//go:build cgo && !noasm

// The fold is bound by memory and by its strided stores, so it is plain C for
// every instruction set.
#include "convtranspose.h"

#include "pool.h"

struct ctx {
	const struct fold_task *t;
	const float *cols, *bias;
	float *y;
};

// y[j·step] += x[j] for n values.
static void add_row(float *restrict y, const float *restrict x, int64_t n, int64_t step) {
	if (step == 1) {
		for (int64_t j = 0; j < n; j++)
			y[j] += x[j];
	} else if (step == 2) {
		for (int64_t j = 0; j < n; j++)
			y[2 * j] += x[j];
	} else {
		for (int64_t j = 0; j < n; j++)
			y[j * step] += x[j];
	}
}

static int64_t up(int64_t a, int64_t b) { return a <= 0 ? 0 : (a + b - 1) / b; }

static void fold_plane(void *arg, int plane) {
	const struct ctx *c = arg;
	const struct fold_task *t = c->t;
	float *y = c->y + plane * t->oh * t->ow, b = c->bias[plane];
	const float *cols = c->cols + plane * t->kh * t->kw * t->h * t->w;
	for (int64_t i = 0; i < t->oh * t->ow; i++)
		y[i] = b;
	for (int64_t i = 0; i < t->h; i++) {
		for (int64_t ky = 0; ky < t->kh; ky++) {
			int64_t oy = i * t->sh - t->pt + ky * t->dh;
			if (oy < 0 || oy >= t->oh)
				continue;
			for (int64_t kx = 0; kx < t->kw; kx++) {
				// Pixels lo..hi of the row land inside the result.
				int64_t at = kx * t->dw - t->pl, lo = up(-at, t->sw), hi = up(t->ow - at, t->sw);
				hi = hi < t->w ? hi : t->w;
				if (lo < hi)
					add_row(y + oy * t->ow + at + lo * t->sw, cols + ((ky * t->kw + kx) * t->h + i) * t->w + lo, hi - lo, t->sw);
			}
		}
	}
}

void aimass_fold(const struct fold_task *t, const float *cols, const float *bias, float *y) {
	struct ctx c = {t, cols, bias, y};
	int threads = t->planes * t->kh * t->kw * t->h * t->w < 50000 ? 1 : t->threads;
	aimass_pool_run(fold_plane, &c, (int)t->planes, threads);
}
