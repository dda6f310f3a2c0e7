// Depthwise convolution for one instruction set: one input plane an output
// plane, or a few output planes from one input plane.
#include "planes.h"

struct dw_ctx {
	const struct conv_task *t;
	const float *data, *bias, *x, *res;
	float *y;
	struct layout l;
};

// One plane of results and where its window lies in the padded plane.
struct dw_plane {
	const struct conv_task *t;
	const struct layout *l;
	const float *plane, *w;
	const long *taps;
	float bias, *y;
};

INLINE void put(float *y, vf v, vm m, int full) {
	if (full)
		v_store(y, v);
	else
		v_storem(m, y, v);
}

// R rows from row oy, VL columns from column x, of any window.
INLINE void dw_any(int R, const struct dw_plane *p, long oy, long x, vm m, int full) {
	const struct conv_task *t = p->t;
	const float *row = p->plane + oy * t->sh * p->l->step + x;
	long window = t->kh * t->kw, down = t->sh * p->l->step;
	vf s[4];
	UNROLL(4) for (int r = 0; r < R; r++)
		s[r] = v_set(p->bias);
	for (long q = 0; q < window; q++) {
		const float *in = row + p->taps[q];
		vf k = v_set(p->w[q]);
		UNROLL(4) for (int r = 0; r < R; r++)
			s[r] = v_fma(k, v_load(in + r * down), s[r]);
	}
	UNROLL(4) for (int r = 0; r < R; r++)
		put(p->y + (oy + r) * t->ow + x, s[r], m, full);
}

// The same for a K×K window that steps down by one row, dilation 1: a row of
// the input is read once for all the rows of the result that need it.
INLINE void dw_square(int R, int K, const struct dw_plane *p, long oy, long x, vm m, int full) {
	const struct conv_task *t = p->t;
	const float *row = p->plane + oy * p->l->step + x;
	vf s[4];
	UNROLL(4) for (int r = 0; r < R; r++)
		s[r] = v_set(p->bias);
	UNROLL(8) for (int i = 0; i < R + K - 1; i++, row += p->l->step) {
		UNROLL(5) for (int j = 0; j < K; j++) {
			vf v = v_load(row + p->taps[j]);
			UNROLL(4) for (int r = 0; r < R; r++)
				if (i - r >= 0 && i - r < K)
					s[r] = v_fma(v, v_set(p->w[(i - r) * K + j]), s[r]);
		}
	}
	UNROLL(4) for (int r = 0; r < R; r++)
		put(p->y + (oy + r) * t->ow + x, s[r], m, full);
}

#define DW_ROWS(name, call4, call1) \
	static void name(const struct dw_plane *p) { \
		const struct conv_task *t = p->t; \
		for (long x = 0; x < t->ow; x += VL) { \
			int full = x + VL <= t->ow; \
			vm m = v_first(full ? VL : t->ow - x); \
			long oy = 0; \
			for (; oy + 4 <= t->oh; oy += 4) \
				call4; \
			for (; oy < t->oh; oy++) \
				call1; \
		} \
	}

DW_ROWS(dw_plane_any, dw_any(4, p, oy, x, m, full), dw_any(1, p, oy, x, m, full))
DW_ROWS(dw_plane_3, dw_square(4, 3, p, oy, x, m, full), dw_square(1, 3, p, oy, x, m, full))
DW_ROWS(dw_plane_5, dw_square(4, 5, p, oy, x, m, full), dw_square(1, 5, p, oy, x, m, full))

static void dw_run(const struct dw_plane *p) {
	const struct conv_task *t = p->t;
	int square = t->kh == t->kw && t->sh == 1 && t->dh == 1;
	if (square && t->kh == 3)
		dw_plane_3(p);
	else if (square && t->kh == 5)
		dw_plane_5(p);
	else
		dw_plane_any(p);
}

// Residual and function of n sums at y, in place.
static void finish_row(const struct conv_task *t, float *y, const float *res, long n) {
	vf zero = v_zero();
	long i = 0;
	vf aa = v_set(t->act_a), ab = v_set(t->act_b);
	int act = t->act;
	for (; i < n; i += VL) {
		int full = i + VL <= n;
		vm m = full ? v_first(VL) : v_first(n - i);
		vf v = full ? v_load(y + i) : v_loadm(m, y + i);
		if (res)
			v = v_add(v, full ? v_load(res + i) : v_loadm(m, res + i));
		if (act == ACT_RELU)
			v = v_max(zero, v);
		else if (act != ACT_NONE)
			v = v_act(act, v, aa, ab);
		if (full)
			v_store(y + i, v);
		else
			v_storem(m, y + i, v);
	}
}

static void dw_task(void *arg, int task) {
	const struct dw_ctx *c = arg;
	const struct conv_task *t = c->t;
	long img = task / t->c, ch = task % t->c, each = t->oc / t->c, window = t->kh * t->kw, size = t->oh * t->ow;
	size_t bytes = (c->l.plane + 4 * VL) * sizeof(float) + window * sizeof(long);
	int slot;
	long *taps = aimass_scratch_get(bytes, &slot);
	float *plane = (float *)(taps + window);
	for (long q = 0; q < window; q++)
		taps[q] = tap(t, &c->l, q / t->kw, q % t->kw);
	pad_plane(t, &c->l, plane, c->x + task * t->h * t->w, 0);
	for (long e = 0; e < each; e++) {
		long oc = ch * each + e, at = (img * t->oc + oc) * size;
		struct dw_plane p = {t, &c->l, plane, c->data + oc * window, taps, c->bias[oc], c->y + at};
		dw_run(&p);
		if (c->res || t->act != ACT_NONE)
			finish_row(t, c->y + at, c->res ? c->res + at : 0, size);
	}
	aimass_scratch_put(taps, bytes, slot);
}

void ISA(aimass_conv_depthwise)(const struct conv_task *t, const float *data, const float *bias,
                                const float *x, const float *res, float *y) {
	struct dw_ctx c = {t, data, bias, x, res, y, layout_of(t)};
	int threads = (double)t->n * t->oc * t->oh * t->ow * t->kh * t->kw < 2e5 ? 1 : t->threads;
	aimass_pool_run(dw_task, &c, (int)(t->n * t->c), threads);
}
