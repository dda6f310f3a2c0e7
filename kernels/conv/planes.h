// Padded copies of image planes.
#ifndef AIMASS_PLANES_H
#define AIMASS_PLANES_H

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

// n copies of v by whole vectors, up to VL − 1 more.
INLINE void fill_over(float *p, long n, vf v) {
	for (long i = 0; i < n; i += VL)
		v_store(p + i, v);
}

// dst[i] = src[i·step] for i < n, up to VL − 1 more values of dst undefined.
INLINE void copy_over(float *dst, const float *src, long n, long step) {
	long i = 0;
	if (step == 1) {
		for (; i + VL <= n; i += VL)
			v_store(dst + i, v_load(src + i));
		if (i < n)
			v_store(dst + i, v_loadn(src + i, n - i));
		return;
	}
	if (step == 2) {
		vf even, odd;
		for (; i + VL < n; i += VL) {
			v_unzip(v_load(src + 2 * i), v_load(src + 2 * i + VL), &even, &odd);
			v_store(dst + i, even);
		}
	}
	for (; i < n; i++)
		dst[i] = src[i * step];
}

// Writes run over into the unused floats behind a row, never further.
static void pad_plane(const struct conv_task *t, const struct layout *l, float *dst, const float *src, float fill) {
	vf f = v_set(fill);
	long need = l->step - VL;
	for (long p = 0; p < t->sw; p++) {
		long x0 = p - t->pl; // column of place 0; places lo..hi lie inside the image
		long lo = x0 < 0 ? (-x0 + t->sw - 1) / t->sw : 0;
		long hi = x0 < t->w ? (t->w - x0 + t->sw - 1) / t->sw : 0;
		lo = lo < need ? lo : need;
		hi = hi < lo ? lo : hi < need ? hi : need;
		for (long y = 0; y < l->rows; y++) {
			float *row = dst + p * l->phase + y * l->step;
			long iy = y - t->pt;
			if (iy < 0 || iy >= t->h) {
				fill_over(row, need, f);
				continue;
			}
			fill_over(row, lo, f);
			copy_over(row + lo, src + iy * t->w + x0 + lo * t->sw, hi - lo, t->sw);
			fill_over(row + hi, need - hi, f);
		}
	}
}

#endif
