// The epilogue of a product for one instruction set, and the way of its narrow last panel.
#ifndef AIMASS_GEMM_FINISH_H
#define AIMASS_GEMM_FINISH_H

#include "gemm.h"
#include "tile.h"
#include "vmath.h"

// Whole vectors of columns, P of them side by side, whose bias goes by columns or isn't there: nothing is masked, and what
// all rows share is read once.
#define FINISH_WHOLE(P) \
	INLINE void finish_whole_##P(const struct gemm_epilogue *e, const float *bias, const float *res, float *c, long ldc, long rows, int act) { \
		vf alpha = v_set(e->alpha), beta = v_set(e->beta), aa = v_set(e->act_a), ab = v_set(e->act_b), b[P]; \
		UNROLL(2) for (int j = 0; j < P; j++) \
			b[j] = bias ? v_load(bias + j * VL) : v_zero(); \
		for (long r = 0; r < rows; r++, c += ldc) \
			UNROLL(2) for (int j = 0; j < P; j++) { \
				vf v = v_fma(v_load(c + j * VL), alpha, b[j]); \
				if (res) \
					v = v_fma(beta, v_load(res + r * e->ldr + j * VL), v); \
				v_store(c + j * VL, act == ACT_NONE ? v : v_act(act, v, aa, ab)); \
			} \
	}

FINISH_WHOLE(1) FINISH_WHOLE(2)

// What is left to do to a block of C that holds the finished product, by one function for all of it.
INLINE void finish_by(const struct gemm_epilogue *e, const float *bias, const float *res, float *c, long ldc,
                      long i0, long j0, long rows, long cols, int act) {
	vf alpha = v_set(e->alpha), beta = v_set(e->beta), aa = v_set(e->act_a), ab = v_set(e->act_b);
	int cb = bias && !e->bias_rows;
	if (__builtin_constant_p(act) && cols % VL == 0 && !(bias && e->bias_rows)) {
		for (long j = 0; j < cols; j += NR) {
			const float *bj = bias ? bias + j0 + j : 0, *rj = res ? res + i0 * e->ldr + j0 + j : 0;
			if (cols - j >= NR)
				finish_whole_2(e, bj, rj, c + j, ldc, rows, act);
			else
				finish_whole_1(e, bj, rj, c + j, ldc, rows, act);
		}
		return;
	}
	for (long r = 0; r < rows; r++) {
		float *row = c + r * ldc;
		const float *rr = res ? res + (i0 + r) * e->ldr + j0 : 0;
		vf rb = v_set(bias && e->bias_rows ? bias[i0 + r] : 0.0f);
		for (long j = 0; j < cols; j += VL) {
			int full = cols - j >= VL;
			vm m = v_first(full ? VL : cols - j);
			vf v = full ? v_load(row + j) : v_loadm(m, row + j);
			vf b = !cb ? rb : full ? v_load(bias + j0 + j) : v_loadm(m, bias + j0 + j);
			v = v_fma(v, alpha, b);
			if (rr)
				v = v_fma(beta, full ? v_load(rr + j) : v_loadm(m, rr + j), v);
			if (act != ACT_NONE)
				v = v_act(act, v, aa, ab);
			if (full)
				v_store(row + j, v);
			else
				v_storem(m, row + j, v);
		}
	}
}

static void finish(const struct gemm_epilogue *e, const float *bias, const float *res, float *c, long ldc,
                   long i0, long j0, long rows, long cols) {
	if (e->act == ACT_NONE) {
		if (bias || res || e->alpha != 1.0f)
			finish_by(e, bias, res, c, ldc, i0, j0, rows, cols, ACT_NONE);
	} else if (e->act == ACT_RELU) {
		finish_by(e, bias, res, c, ldc, i0, j0, rows, cols, ACT_RELU);
	} else if (e->act == ACT_GELU) {
		finish_by(e, bias, res, c, ldc, i0, j0, rows, cols, ACT_GELU);
	} else {
		finish_by(e, bias, res, c, ldc, i0, j0, rows, cols, e->act);
	}
}

// A narrow block of C goes through a tile of full width, since kernels write
// whole panels.
struct edge {
	float tile[MRMAX * NR] __attribute__((aligned(64)));
};

__attribute__((unused)) static void edge_load(struct edge *e, const float *c, long ldc, long rows, long cols) {
	for (long r = 0; r < rows; r++)
		memcpy(e->tile + r * NR, c + r * ldc, cols * sizeof(float));
}

static void edge_store(const struct edge *e, float *c, long ldc, long rows, long cols) {
	for (long r = 0; r < rows; r++)
		memcpy(c + r * ldc, e->tile + r * NR, cols * sizeof(float));
}

#endif
