// Ranges of floats, and bytes from and to floats, outside products. Stands behind quant_body.h, whose stores and shares it uses.
#include "bytes.h"

enum { GRAIN = 32768 };

struct conv {
	const float *x;
	uint8_t *q;
	float *f, scale;
	int64_t n;
	int zero, is_signed, parts;
	long cols, row_parts, col_parts; // of a matrix that is shared like a product
	float range[MAX_PARTS][2];
};

static int parts_of(int64_t n, int threads) {
	int64_t p = n / GRAIN;
	p = p < threads ? p : threads;
	return p < 1 ? 1 : p > MAX_PARTS ? MAX_PARTS : (int)p;
}

static void span_of(const struct conv *c, int p, int64_t *lo, int64_t *hi) {
	*lo = c->n * p / c->parts;
	*hi = c->n * (p + 1) / c->parts;
}

static void minmax_part(void *arg, int p) {
	struct conv *c = arg;
	int64_t i, hi;
	span_of(c, p, &i, &hi);
	vf a = v_zero(), b = v_zero(), a2 = a, b2 = b;
	for (; i + 2 * VL <= hi; i += 2 * VL) {
		vf x = v_load(c->x + i), y = v_load(c->x + i + VL);
		a = v_min(x, a);
		b = v_max(x, b);
		a2 = v_min(y, a2);
		b2 = v_max(y, b2);
	}
	for (; i < hi; i += VL) {
		vf x = v_loadn(c->x + i, hi - i < VL ? hi - i : VL);
		a = v_min(x, a);
		b = v_max(x, b);
	}
	c->range[p][0] = v_hmin(v_min(a, a2));
	c->range[p][1] = v_hmax(v_max(b, b2));
}

void ISA(aimass_quant_minmax)(const float *x, int64_t n, int threads, float *range) {
	struct conv c = {.x = x, .n = n, .parts = parts_of(n, threads)};
	aimass_pool_run(minmax_part, &c, c.parts, threads);
	range[0] = range[1] = 0;
	for (int p = 0; p < c.parts; p++)
		widen(range, c.range[p][0], c.range[p][1]);
}

INLINE vf clamp_byte(vf v, int is_signed) {
	return v_min(v_set(is_signed ? 127.0f : 255.0f), v_max(v_set(is_signed ? -128.0f : 0.0f), v));
}

// Shorts without those of NaN, which are the least there is.
INLINE vi numbers(vi s) {
#if VL == 16
	return _mm512_maskz_mov_epi16(_mm512_cmpneq_epi16_mask(s, _mm512_set1_epi16(INT16_MIN)), s);
#else
	return _mm256_andnot_si256(_mm256_cmpeq_epi16(s, _mm256_set1_epi16(INT16_MIN)), s);
#endif
}

// Whole panels of a span whose quotients are exact; gives where they end. Bounded values have quotients that are shorts.
INLINE int64_t quantize_panels(const struct conv *c, struct divisor scale, int64_t i, int64_t hi, int bounded) {
	vf most = v_set(30000.0f * c->scale), least = v_neg(most);
	vi zero = panel_set(c->zero);
	for (; i + NR <= hi; i += NR) {
		vi q[2];
		UNROLL(2) for (int p = 0; p < 2; p++) {
			vf x = v_load(c->x + i + p * VL);
			q[p] = v_int(quotient(scale, bounded ? x : v_max(least, v_min(most, x))));
		}
		panel_store(c->q + i, panel_bytes(shorts_add(numbers(shorts_of(q)), zero), c->is_signed));
	}
	return i;
}

static void quantize_span(const struct conv *c, int64_t i, int64_t hi) {
	struct divisor scale = divisor_of(c->scale);
	if (scale.exact) {
		i = c->cols ? quantize_panels(c, scale, i, hi, 1) : quantize_panels(c, scale, i, hi, 0);
	}
	vf zero = v_set((float)c->zero);
	for (; i < hi; i += VL) {
		long n = hi - i < VL ? hi - i : VL;
		vf v = v_round(v_div(n == VL ? v_load(c->x + i) : v_loadn(c->x + i, n), scale.by));
		v = v_sel(v_nan(v), v_zero(), v);
		put_ints(c->q + i, v_int(clamp_byte(v_add(v, zero), c->is_signed)), n, c->is_signed);
	}
}

static void quantize_part(void *arg, int p) {
	const struct conv *c = arg;
	int64_t lo, hi;
	span_of(c, p, &lo, &hi);
	quantize_span(c, lo, hi);
}

void ISA(aimass_quant_quantize)(uint8_t *dst, const float *x, int64_t n, float scale, int zero, int is_signed, int threads) {
	struct conv c = {.x = x, .q = dst, .n = n, .scale = scale, .zero = zero, .is_signed = is_signed, .parts = parts_of(n, threads)};
	aimass_pool_run(quantize_part, &c, c.parts, threads);
}

static void quantize_block(void *arg, int p) {
	const struct conv *c = arg;
	long rp = p / c->col_parts, cp = p % c->col_parts, rows = c->n / c->cols;
	long n0 = part(c->cols, NR, cp, c->col_parts), n1 = part(c->cols, NR, cp + 1, c->col_parts);
	for (long r = part(rows, 1, rp, c->row_parts), end = part(rows, 1, rp + 1, c->row_parts); r < end; r++)
		quantize_span(c, r * c->cols + n0, r * c->cols + n1);
}

void ISA(aimass_quant_quantize_rows)(uint8_t *dst, const float *x, int64_t rows, int64_t cols, float scale, int zero, int threads) {
	struct conv c = {.x = x, .q = dst, .n = rows * cols, .cols = cols, .scale = scale, .zero = zero};
	threads = c.n < 2 * GRAIN / 8 ? 1 : threads < MAX_PARTS ? threads : MAX_PARTS;
	shares(rows, cols, threads, &c.row_parts, &c.col_parts);
	aimass_pool_run(quantize_block, &c, (int)(c.row_parts * c.col_parts), threads);
}

static void dequantize_part(void *arg, int p) {
	const struct conv *c = arg;
	int64_t i, hi;
	span_of(c, p, &i, &hi);
	if (c->is_signed)
		for (; i < hi; i++)
			c->f[i] = (float)((int8_t)c->q[i] - c->zero) * c->scale;
	else
		for (; i < hi; i++)
			c->f[i] = (float)(c->q[i] - c->zero) * c->scale;
}

void ISA(aimass_quant_dequantize)(float *dst, const uint8_t *x, int64_t n, float scale, int zero, int is_signed, int threads) {
	struct conv c = {.q = (uint8_t *)x, .f = dst, .n = n, .scale = scale, .zero = zero, .is_signed = is_signed, .parts = parts_of(n, threads)};
	aimass_pool_run(dequantize_part, &c, c.parts, threads);
}
