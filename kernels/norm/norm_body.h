// Normalisations for one instruction set.
#include "norm.h"
#include "pool.h"
#include "vmath.h"

struct rows {
	const struct norm_rows *t;
	float *dst;
	const float *x, *res, *bias, *gamma, *beta;
	float *sum;
	int64_t parts;
};

// Loads and stores of the vector at i of n, whole or the last part.
INLINE vf at(const float *p, long i, long n) { return i + VL <= n ? v_load(p + i) : v_loadn(p + i, n - i); }
INLINE void put(float *p, vf v, long i, long n) {
	if (i + VL <= n)
		v_store(p + i, v);
	else
		v_storen(p + i, v, n - i);
}

// Σ x, with lanes behind the end counting 0.
static float total(const float *x, long n) {
	vf s0 = v_zero(), s1 = v_zero();
	long i = 0;
	for (; i + 2 * VL <= n; i += 2 * VL) {
		s0 = v_add(s0, v_load(x + i));
		s1 = v_add(s1, v_load(x + i + VL));
	}
	for (; i < n; i += VL)
		s0 = v_add(s0, at(x, i, n));
	return v_hsum(v_add(s0, s1));
}

// Σ (x − mean)².
static float squares(const float *x, long n, float mean) {
	vf m = v_set(mean), s0 = v_zero(), s1 = v_zero();
	long i = 0;
	for (; i + 2 * VL <= n; i += 2 * VL) {
		vf a = v_sub(v_load(x + i), m), b = v_sub(v_load(x + i + VL), m);
		s0 = v_fma(a, a, s0);
		s1 = v_fma(b, b, s1);
	}
	for (; i < n; i += VL) {
		vf a = v_sub(at(x, i, n), m);
		if (i + VL > n)
			a = v_sel(v_first(n - i), a, v_zero());
		s0 = v_fma(a, a, s0);
	}
	return v_hsum(v_add(s0, s1));
}

static void norm_row(const struct rows *c, int64_t r) {
	long n = c->t->cols, off = r * n;
	const float *s = c->x + off;
	if (c->res || c->bias) {
		float *out = (c->sum ? c->sum : c->dst) + off;
		for (long i = 0; i < n; i += VL) {
			vf v = at(s, i, n);
			if (c->res)
				v = v_add(v, at(c->res + off, i, n));
			if (c->bias)
				v = v_add(v, at(c->bias, i, n));
			put(out, v, i, n);
		}
		s = out;
	} else if (c->sum) {
		memmove(c->sum + off, s, n * sizeof(float));
	}
	float mean = c->t->rms ? 0 : total(s, n) / n;
	float scale = 1 / sqrtf(squares(s, n, mean) / n + c->t->epsilon);
	vf k = v_set(scale), shift = v_set(-mean * scale);
	for (long i = 0; i < n; i += VL) {
		vf v = v_fma(at(s, i, n), k, shift);
		if (c->gamma && c->beta)
			v = v_fma(v, at(c->gamma, i, n), at(c->beta, i, n));
		else if (c->gamma)
			v = v_mul(v, at(c->gamma, i, n));
		else if (c->beta)
			v = v_add(v, at(c->beta, i, n));
		put(c->dst + off, v, i, n);
	}
}

static int64_t parts_of(int64_t units, double work, int threads) {
	if (threads < 2 || work < 4000 || units < 2)
		return 1;
	return units < 2 * threads ? units : 2 * threads;
}

static void rows_part(void *arg, int p) {
	const struct rows *c = arg;
	for (int64_t r = c->t->rows * p / c->parts; r < c->t->rows * (p + 1) / c->parts; r++)
		norm_row(c, r);
}

void ISA(aimass_norm_rows)(const struct norm_rows *t, float *dst, const float *x, const float *res,
                           const float *bias, const float *gamma, const float *beta, float *sum) {
	struct rows c = {t, dst, x, res, bias, gamma, beta, sum, parts_of(t->rows, (double)t->rows * t->cols, t->threads)};
	aimass_pool_run(rows_part, &c, (int)c.parts, t->threads);
}

struct planes {
	const struct norm_planes *t;
	float *dst;
	const float *x, *gamma, *beta;
	int64_t parts;
};

static void planes_part(void *arg, int p) {
	const struct planes *c = arg;
	const struct norm_planes *t = c->t;
	int64_t all = t->outer * t->channels, n = t->inner;
	for (int64_t q = all * p / c->parts; q < all * (p + 1) / c->parts; q++) {
		const float *x = c->x + q * n;
		float *dst = c->dst + q * n, g = c->gamma[q % t->channels], b = c->beta[q % t->channels];
		if (!t->affine) {
			float mean = total(x, n) / n;
			g /= sqrtf(squares(x, n, mean) / n + t->epsilon);
			b -= mean * g;
		}
		vf gv = v_set(g), bv = v_set(b);
		for (int64_t i = 0; i < n; i += VL)
			put(dst, v_fma(at(x, i, n), gv, bv), i, n);
	}
}

void ISA(aimass_norm_planes)(const struct norm_planes *t, float *dst, const float *x, const float *gamma, const float *beta) {
	int64_t all = t->outer * t->channels;
	struct planes c = {t, dst, x, gamma, beta, parts_of(all, (double)all * t->inner, t->threads)};
	aimass_pool_run(planes_part, &c, (int)c.parts, t->threads);
}
