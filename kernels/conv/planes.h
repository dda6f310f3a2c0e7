// Padded copies of image planes, and the end of a row of results: what the
// ways of convolving share.
#ifndef AIMASS_PLANES_H
#define AIMASS_PLANES_H

#include "act.h"
#include "conv.h"
#include "pool.h"
#include "vmath.h"

// A plane with its padding made real, its columns dealt to sw phases so that
// steps of the horizontal stride read neighbours: column x of the padded image
// is at phase x % sw, place x / sw. Behind each row lie VL unused floats that
// a full vector may read.
struct layout {
	long rows, step, phase; // step from row to row, phase from phase to phase
	long plane;
};

INLINE struct layout layout_of(const struct conv_task *t) {
	struct layout l;
	// As many rows and columns as windows read, not as the padded image has.
	l.rows = (t->oh - 1) * t->sh + (t->kh - 1) * t->dh + 1;
	l.step = t->ow + ((t->kw - 1) * t->dw) / t->sw + 1 + VL;
	l.phase = l.rows * l.step;
	l.plane = l.phase * t->sw;
	return l;
}

// The place of row ky, column kx of the window of output (0, 0).
INLINE long tap(const struct conv_task *t, const struct layout *l, long ky, long kx) {
	long x = kx * t->dw;
	return x % t->sw * l->phase + ky * t->dh * l->step + x / t->sw;
}

static void pad_plane(const struct conv_task *t, const struct layout *l, float *dst, const float *src, float fill) {
	for (long p = 0; p < t->sw; p++) {
		for (long y = 0; y < l->rows; y++) {
			float *row = dst + p * l->phase + y * l->step;
			long iy = y - t->pt, x0 = p - t->pl; // column of place 0
			const float *in = src + iy * t->w;
			if (iy < 0 || iy >= t->h) {
				for (long i = 0; i < l->step; i++)
					row[i] = fill;
				continue;
			}
			// Places lo..hi lie inside the image.
			long lo = x0 < 0 ? (-x0 + t->sw - 1) / t->sw : 0;
			long hi = x0 < t->w ? (t->w - x0 + t->sw - 1) / t->sw : 0;
			lo = lo < l->step ? lo : l->step;
			hi = hi < l->step ? hi : l->step;
			long i = 0;
			for (; i < lo; i++)
				row[i] = fill;
			if (t->sw == 1 && hi > i) {
				memcpy(row + i, in + x0 + i, (hi - i) * sizeof(float));
				i = hi;
			}
			for (; i < hi; i++)
				row[i] = in[x0 + i * t->sw];
			for (; i < l->step; i++)
				row[i] = fill;
		}
	}
}

// n finished sums at y: bias, residual and function, in place.
__attribute__((unused)) static void finish_row(const struct conv_task *t, float *y, const float *res, float bias, long n) {
	vf b = v_set(bias), zero = v_zero();
	long i = 0;
	int relu = t->act == ACT_RELU;
	for (; i < n; i += VL) {
		int full = i + VL <= n;
		vm m = full ? v_first(VL) : v_first(n - i);
		vf v = v_add(full ? v_load(y + i) : v_loadm(m, y + i), b);
		if (res)
			v = v_add(v, full ? v_load(res + i) : v_loadm(m, res + i));
		if (relu)
			v = v_max(zero, v);
		if (full)
			v_store(y + i, v);
		else
			v_storem(m, y + i, v);
	}
	if (t->act != ACT_NONE && !relu)
		ISA(aimass_act)(t->act, t->act_a, t->act_b, y, y, n);
}

#endif
