// Depthwise convolution, pooling and the change of layout for one instruction
// set: a block's plane at a time.
#include "cell.h"

struct plane_ctx {
	const struct nchwc_task *t;
	const float *data, *bias, *x, *res;
	float *y;
	int op;
	long rows, row_parts;
};

// The window's taps that lie inside the image for one place of one axis.
INLINE void inside(long o, long stride, long pad, long k, long dilation, long size, long *lo, long *hi) {
	long at = o * stride - pad;
	*lo = at < 0 ? (-at + dilation - 1) / dilation : 0;
	*hi = at < size ? (size - at + dilation - 1) / dilation : 0;
	*lo = *lo < k ? *lo : k;
	*hi = *hi < k ? *hi : k;
	*hi = *hi < *lo ? *lo : *hi;
}

// P places of one row whose windows all lie inside from column to column.
INLINE void dw_places(int P, const struct nchwc_task *t, const float *in, const float *w, vf bias, const float *res, float *y,
                      long ky0, long ky1, long kx0, long kx1) {
	vf acc[8];
	UNROLL(8) for (int p = 0; p < P; p++)
		acc[p] = bias;
	for (long ky = ky0; ky < ky1; ky++) {
		const float *row = in + ky * t->dh * t->w * VL;
		for (long kx = kx0; kx < kx1; kx++) {
			vf k = v_load(w + (ky * t->kw + kx) * VL);
			const float *at = row + kx * t->dw * VL;
			UNROLL(8) for (int p = 0; p < P; p++)
				acc[p] = v_fma(k, v_load(at + p * t->sw * VL), acc[p]);
		}
	}
	UNROLL(8) for (int p = 0; p < P; p++) {
		if (res && !t->after)
			acc[p] = v_add(acc[p], v_load(res + p * VL));
		if (t->act == 1)
			acc[p] = v_max(v_zero(), acc[p]);
		v_store(y + p * VL, acc[p]);
	}
}

static void depthwise_task(void *arg, int task) {
	const struct plane_ctx *c = arg;
	const struct nchwc_task *t = c->t;
	long plane = task / c->row_parts, part = task % c->row_parts, b = plane % t->c;
	const float *x = c->x + plane * t->h * t->w * VL, *w = c->data + b * t->kh * t->kw * VL;
	vf bias = v_load(c->bias + b * VL);
	long r1 = part_start(t->oh, c->row_parts, part + 1);
	for (long oy = part_start(t->oh, c->row_parts, part); oy < r1; oy++) {
		long ky0, ky1, kx0, kx1, at = (plane * t->oh + oy) * t->ow * VL;
		inside(oy, t->sh, t->pt, t->kh, t->dh, t->h, &ky0, &ky1);
		const float *row = x + (oy * t->sh - t->pt) * t->w * VL - t->pl * VL, *res = c->res ? c->res + at : 0;
		float *y = c->y + at;
		for (long ox = 0; ox < t->ow;) {
			inside(ox, t->sw, t->pl, t->kw, t->dw, t->w, &kx0, &kx1);
			const float *in = row + ox * t->sw * VL, *r = res ? res + ox * VL : 0;
			long left = kx0 > 0 ? 0 : (t->w + t->pl - (t->kw - 1) * t->dw - 1) / t->sw + 1 - ox; // whole windows from here on
			left = left < t->ow - ox ? left : t->ow - ox;
			if (left >= 8) {
				dw_places(8, t, in, w, bias, r, y + ox * VL, ky0, ky1, 0, t->kw);
				ox += 8;
			} else if (left >= 4) {
				dw_places(4, t, in, w, bias, r, y + ox * VL, ky0, ky1, 0, t->kw);
				ox += 4;
			} else {
				dw_places(1, t, in, w, bias, r, y + ox * VL, ky0, ky1, kx0, kx1);
				ox++;
			}
		}
		finish_cell(t, 0, t->ow, 1, res, y);
	}
}

NCHWC_CONV(ISA(aimass_nchwc_depthwise)) {
	struct plane_ctx c = {.t = t, .data = data, .bias = bias, .x = x, .res = res, .y = y, .row_parts = 1};
	int threads = (double)t->n * t->c * VL * t->oh * t->ow * t->kh * t->kw < 2e5 ? 1 : t->threads;
	if (threads > 1 && t->n * t->c < 4 * threads)
		c.row_parts = t->oh < 8 ? t->oh : 8;
	aimass_pool_run(depthwise_task, &c, (int)(t->n * t->c * c.row_parts), threads);
}

enum { POOL_MAX, POOL_AVG, POOL_AVG_PADDED };

static void pool_task(void *arg, int plane) {
	const struct plane_ctx *c = arg;
	const struct nchwc_task *t = c->t;
	const float *x = c->x + (long)plane * t->h * t->w * VL;
	float *y = c->y + (long)plane * t->oh * t->ow * VL;
	int padded = c->op == POOL_AVG_PADDED;
	for (long oy = 0; oy < t->oh; oy++)
		for (long ox = 0; ox < t->ow; ox++, y += VL) {
			long ky0, ky1, kx0, kx1, l0, l1, m0, m1;
			inside(oy, t->sh, t->pt, t->kh, t->dh, t->h, &ky0, &ky1);
			inside(ox, t->sw, t->pl, t->kw, t->dw, t->w, &kx0, &kx1);
			const float *in = x + ((oy * t->sh - t->pt) * t->w + ox * t->sw - t->pl) * VL;
			vf s = v_set(c->op == POOL_MAX ? -INFINITY : 0.0f);
			for (long ky = ky0; ky < ky1; ky++)
				for (long kx = kx0; kx < kx1; kx++) {
					vf v = v_load(in + (ky * t->dh * t->w + kx * t->dw) * VL);
					s = c->op == POOL_MAX ? v_maxn(s, v) : v_add(s, v);
				}
			long count = (ky1 - ky0) * (kx1 - kx0);
			if (padded) {
				inside(oy, t->sh, t->pt, t->kh, t->dh, t->h + t->pb, &l0, &l1);
				inside(ox, t->sw, t->pl, t->kw, t->dw, t->w + t->pr, &m0, &m1);
				count = l1 * m1;
			}
			v_store(y, c->op == POOL_MAX ? s : count > 0 ? v_div(s, v_set((float)count)) : v_zero());
		}
}

void ISA(aimass_nchwc_pool)(const struct nchwc_task *t, int op, const float *x, float *y) {
	struct plane_ctx c = {.t = t, .x = x, .y = y, .op = op};
	int threads = (double)t->n * VL * t->oh * t->ow * t->kh * t->kw < 1e5 ? 1 : t->threads;
	aimass_pool_run(pool_task, &c, (int)t->n, threads);
}

struct move_ctx {
	float *dst;
	const float *src;
	long c, hw, blocks;
};

// VL channels of 1..VL places: rows of src, a stride apart, become columns.
INLINE void turn(float *dst, long to, const float *src, long from, long rows, long cols) {
	for (long j = 0; j < cols; j++)
		for (long i = 0; i < rows; i++)
			dst[j * to + i] = src[i * from + j];
}

// Eight vectors of eight floats, transposed.
INLINE void turn8(float *dst, long to, const float *src, long from) {
	__m256 v[8], t[8];
	UNROLL(8) for (int i = 0; i < 8; i++)
		v[i] = _mm256_loadu_ps(src + i * from);
	UNROLL(4) for (int i = 0; i < 8; i += 2) {
		t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
	}
	UNROLL(2) for (int i = 0; i < 8; i += 4) {
		v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
		v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
		v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
		v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
	}
	UNROLL(4) for (int i = 0; i < 4; i++) {
		_mm256_storeu_ps(dst + i * to, _mm256_permute2f128_ps(v[i], v[i + 4], 0x20));
		_mm256_storeu_ps(dst + (i + 4) * to, _mm256_permute2f128_ps(v[i], v[i + 4], 0x31));
	}
}

static void block_task(void *arg, int task) {
	const struct move_ctx *m = arg;
	long img = task / m->blocks, b = task % m->blocks, rows = m->c - b * VL < VL ? m->c - b * VL : VL;
	const float *src = m->src + (img * m->c + b * VL) * m->hw;
	float *dst = m->dst + (long)task * m->hw * VL;
	if (rows < VL)
		memset(dst, 0, m->hw * VL * sizeof(float));
	long j = 0;
	for (; rows == VL && j + 8 <= m->hw; j += 8)
		UNROLL(2) for (long i = 0; i < VL; i += 8)
			turn8(dst + j * VL + i, VL, src + i * m->hw + j, m->hw);
	turn(dst + j * VL, VL, src + j, m->hw, rows, m->hw - j);
}

static void unblock_task(void *arg, int task) {
	const struct move_ctx *m = arg;
	long img = task / m->blocks, b = task % m->blocks, rows = m->c - b * VL < VL ? m->c - b * VL : VL;
	float *dst = m->dst + (img * m->c + b * VL) * m->hw;
	const float *src = m->src + (long)task * m->hw * VL;
	long j = 0;
	for (; rows == VL && j + 8 <= m->hw; j += 8)
		UNROLL(2) for (long i = 0; i < VL; i += 8)
			turn8(dst + i * m->hw + j, m->hw, src + j * VL + i, VL);
	turn(dst + j, m->hw, src + j * VL, VL, m->hw - j, rows);
}

NCHWC_MOVE(ISA(aimass_nchwc_block)) {
	struct move_ctx m = {dst, src, c, hw, parts_of(c, VL)};
	aimass_pool_run(block_task, &m, (int)(n * m.blocks), n * c * hw < 1 << 16 ? 1 : threads);
}

NCHWC_MOVE(ISA(aimass_nchwc_unblock)) {
	struct move_ctx m = {dst, src, c, hw, parts_of(c, VL)};
	aimass_pool_run(unblock_task, &m, (int)(n * m.blocks), n * c * hw < 1 << 16 ? 1 : threads);
}
