// Pooling for one instruction set, a padded plane at a time.
#include "planes.h"

enum { POOL_MAX, POOL_AVG, POOL_AVG_PADDED };

struct pool_ctx {
	const struct conv_task *t;
	const float *x;
	float *y;
	struct layout l;
	int op;
};

// How many of the places o·stride − pad + k·dilation, k < n, are below end and
// not below start.
static long counted(long o, long stride, long pad, long n, long dilation, long start, long end) {
	long c = 0;
	for (long k = 0; k < n; k++) {
		long at = o * stride - pad + k * dilation;
		c += at >= start && at < end;
	}
	return c;
}

INLINE void pool_row(const struct pool_ctx *c, int max, const float *row, const long *taps, float *y) {
	const struct conv_task *t = c->t;
	long window = t->kh * t->kw;
	for (long x = 0; x < t->ow; x += VL) {
		vf s = v_set(max ? -INFINITY : 0.0f);
		for (long q = 0; q < window; q++) {
			vf v = v_load(row + taps[q] + x);
			s = max ? v_maxn(s, v) : v_add(s, v);
		}
		if (x + VL <= t->ow)
			v_store(y + x, s);
		else
			v_storen(y + x, s, t->ow - x);
	}
}

static void pool_task(void *arg, int task) {
	const struct pool_ctx *c = arg;
	const struct conv_task *t = c->t;
	long window = t->kh * t->kw;
	size_t bytes = (c->l.plane + 4 * VL) * sizeof(float) + window * sizeof(long);
	int slot;
	long *taps = aimass_scratch_get(bytes, &slot);
	float *plane = (float *)(taps + window), *y = c->y + task * t->oh * t->ow;
	for (long q = 0; q < window; q++)
		taps[q] = tap(t, &c->l, q / t->kw, q % t->kw);
	pad_plane(t, &c->l, plane, c->x + task * t->h * t->w, c->op == POOL_MAX ? -INFINITY : 0);
	for (long oy = 0; oy < t->oh; oy++, y += t->ow) {
		const float *row = plane + oy * t->sh * c->l.step;
		if (c->op == POOL_MAX) {
			pool_row(c, 1, row, taps, y);
			continue;
		}
		pool_row(c, 0, row, taps, y);
		int padded = c->op == POOL_AVG_PADDED;
		long ny = counted(oy, t->sh, t->pt, t->kh, t->dh, padded ? -t->pt : 0, t->h + (padded ? t->pb : 0));
		for (long ox = 0; ox < t->ow; ox++) {
			long nx = counted(ox, t->sw, t->pl, t->kw, t->dw, padded ? -t->pl : 0, t->w + (padded ? t->pr : 0));
			y[ox] = ny > 0 && nx > 0 ? y[ox] / (float)(ny * nx) : 0;
		}
	}
	aimass_scratch_put(taps, bytes, slot);
}

void ISA(aimass_conv_pool)(const struct conv_task *t, int op, const float *x, float *y) {
	struct pool_ctx c = {t, x, y, layout_of(t), op};
	int threads = (double)t->n * t->oh * t->ow * t->kh * t->kw < 1e5 ? 1 : t->threads;
	aimass_pool_run(pool_task, &c, (int)t->n, threads);
}
