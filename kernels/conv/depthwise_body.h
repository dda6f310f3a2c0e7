// Depthwise convolution for one instruction set: one input plane an output
// plane, or a few output planes from one input plane.
#include "planes.h"

struct dw_ctx {
	const struct conv_task *t;
	const float *data, *bias, *x, *res;
	float *y;
	struct layout l;
};

// One row of results, from the padded plane.
static void dw_row(const struct conv_task *t, const struct layout *l, const float *plane, const float *w,
                   const long *taps, float *y, long oy) {
	const float *row = plane + oy * t->sh * l->step;
	long window = t->kh * t->kw, x = 0;
	for (; x + 4 * VL <= t->ow; x += 4 * VL) {
		vf s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
		for (long q = 0; q < window; q++) {
			const float *in = row + taps[q] + x;
			vf k = v_set(w[q]);
			UNROLL(4) for (int i = 0; i < 4; i++)
				s[i] = v_fma(k, v_load(in + i * VL), s[i]);
		}
		UNROLL(4) for (int i = 0; i < 4; i++)
			v_store(y + x + i * VL, s[i]);
	}
	for (; x < t->ow; x += VL) {
		vf s = v_zero(), u = v_zero();
		long q = 0;
		for (; q + 2 <= window; q += 2) {
			s = v_fma(v_set(w[q]), v_load(row + taps[q] + x), s);
			u = v_fma(v_set(w[q + 1]), v_load(row + taps[q + 1] + x), u);
		}
		if (q < window)
			s = v_fma(v_set(w[q]), v_load(row + taps[q] + x), s);
		s = v_add(s, u);
		if (x + VL <= t->ow)
			v_store(y + x, s);
		else
			v_storen(y + x, s, t->ow - x);
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
		for (long oy = 0; oy < t->oh; oy++)
			dw_row(t, &c->l, plane, c->data + oc * window, taps, c->y + at + oy * t->ow, oy);
		finish_row(t, c->y + at, c->res ? c->res + at : 0, c->bias[oc], size);
	}
	aimass_scratch_put(taps, bytes, slot);
}

void ISA(aimass_conv_depthwise)(const struct conv_task *t, const float *data, const float *bias,
                                const float *x, const float *res, float *y) {
	struct dw_ctx c = {t, data, bias, x, res, y, layout_of(t)};
	int threads = (double)t->n * t->oc * t->oh * t->ow * t->kh * t->kw < 2e5 ? 1 : t->threads;
	aimass_pool_run(dw_task, &c, (int)(t->n * t->c), threads);
}
