// Reductions for one instruction set.
#include "pool.h"
#include "reduce.h"
#include "vmath.h"

enum { R_SUM, R_MEAN, R_MAX, R_MIN, R_SUMSQ, R_L1, R_L2, R_PROD };

INLINE vf fold(int op, vf s, vf x) {
	switch (op) {
	case R_MAX: return v_maxn(s, x);
	case R_MIN: return v_minn(s, x);
	case R_SUMSQ:
	case R_L2: return v_fma(x, x, s);
	case R_L1: return v_add(s, v_abs(x));
	case R_PROD: return v_mul(s, x);
	default: return v_add(s, x);
	}
}

INLINE float start_of(int op) { return op == R_MAX ? -INFINITY : op == R_MIN ? INFINITY : op == R_PROD ? 1 : 0; }

// The lanes of s as one value; max and min keep a NaN.
INLINE float across(int op, vf s) {
	if (op != R_MAX && op != R_MIN && op != R_PROD)
		return v_hsum(s);
	float t[VL], m;
	v_store(t, s);
	m = t[0];
	if (op == R_PROD) {
		for (int i = 1; i < VL; i++)
			m *= t[i];
		return m;
	}
	for (int i = 1; i < VL; i++)
		if (t[i] != t[i] || (op == R_MAX ? t[i] > m : t[i] < m))
			m = t[i];
		else if (m != m)
			break;
	return m;
}

INLINE vf done(int op, vf s, long n) {
	if (op == R_MEAN)
		return v_div(s, v_set((float)n));
	return op == R_L2 ? v_sqrt(s) : s;
}

INLINE void reduce_rows(int op, float *dst, const float *x, int64_t rows, long n) {
	vf first = v_set(start_of(op));
	for (int64_t r = 0; r < rows; r++, x += n) {
		vf s[4] = {first, first, first, first};
		long i = 0;
		for (; i + 4 * VL <= n; i += 4 * VL)
			for (int q = 0; q < 4; q++)
				s[q] = fold(op, s[q], v_load(x + i + q * VL));
		for (; i + VL <= n; i += VL)
			s[0] = fold(op, s[0], v_load(x + i));
		if (i < n) {
			vm m = v_first(n - i);
			s[0] = fold(op, s[0], v_sel(m, v_loadm(m, x + i), first));
		}
		int join = op == R_MAX || op == R_MIN || op == R_PROD ? op : R_SUM;
		s[0] = fold(join, fold(join, s[0], s[1]), fold(join, s[2], s[3]));
		dst[r] = across(op, s[0]);
	}
}

// n rows of inner columns fold into one row, P vectors at a time.
INLINE void reduce_columns(int op, float *dst, const float *x, long n, long inner) {
	vf first = v_set(start_of(op));
	long j = 0;
	for (; j + 4 * VL <= inner; j += 4 * VL) {
		vf s[4] = {first, first, first, first};
		for (long i = 0; i < n; i++)
			for (int q = 0; q < 4; q++)
				s[q] = fold(op, s[q], v_load(x + i * inner + j + q * VL));
		for (int q = 0; q < 4; q++)
			v_store(dst + j + q * VL, done(op, s[q], n));
	}
	for (; j < inner; j += VL) {
		vm m = v_first(inner - j < VL ? inner - j : VL);
		vf s = first;
		for (long i = 0; i < n; i++)
			s = fold(op, s, v_loadm(m, x + i * inner + j));
		v_storem(m, dst + j, done(op, s, n));
	}
}

struct ctx {
	const struct reduce_task *t;
	float *dst;
	const float *x;
	int64_t parts;
};

INLINE void reduce_range(int op, const struct ctx *c, int64_t lo, int64_t hi) {
	const struct reduce_task *t = c->t;
	if (t->inner == 1) {
		reduce_rows(op, c->dst + lo, c->x + lo * t->n, hi - lo, t->n);
		for (int64_t i = lo; i < hi; i++)
			c->dst[i] = op == R_MEAN ? c->dst[i] / t->n : op == R_L2 ? sqrtf(c->dst[i]) : c->dst[i];
		return;
	}
	for (int64_t o = lo; o < hi; o++)
		reduce_columns(op, c->dst + o * t->inner, c->x + o * t->n * t->inner, t->n, t->inner);
}

static void reduce_part(void *arg, int p) {
	const struct ctx *c = arg;
	int64_t lo = c->t->outer * p / c->parts, hi = c->t->outer * (p + 1) / c->parts;
	switch (c->t->op) {
	case R_SUM: reduce_range(R_SUM, c, lo, hi); break;
	case R_MEAN: reduce_range(R_MEAN, c, lo, hi); break;
	case R_MAX: reduce_range(R_MAX, c, lo, hi); break;
	case R_MIN: reduce_range(R_MIN, c, lo, hi); break;
	case R_SUMSQ: reduce_range(R_SUMSQ, c, lo, hi); break;
	case R_L1: reduce_range(R_L1, c, lo, hi); break;
	case R_L2: reduce_range(R_L2, c, lo, hi); break;
	default: reduce_range(R_PROD, c, lo, hi); break;
	}
}

void ISA(aimass_reduce)(const struct reduce_task *t, float *dst, const float *x) {
	struct ctx c = {t, dst, x, 1};
	if (t->threads > 1 && (double)t->outer * t->n * t->inner > 100000)
		c.parts = t->outer < 2 * t->threads ? t->outer : 2 * t->threads;
	aimass_pool_run(reduce_part, &c, (int)c.parts, t->threads);
}

struct runs {
	const struct reduce_runs *t;
	float *dst;
	const float *src;
	const int64_t *at;
	int parts;
};

// Columns lo to hi−1 of all runs.
INLINE void fold_runs(int op, const struct runs *r, int64_t lo, int64_t hi) {
	int64_t n = r->t->n, count = r->t->count;
	const float *src = r->src;
	if (n == 1) {
		for (int64_t i = 0; i < count; i++) {
			float *d = r->dst + r->at[i], x = src[i], y = *d;
			if (op == R_MAX || op == R_MIN)
				*d = y != y || (op == R_MAX ? y > x : y < x) ? y : x;
			else
				*d = op == R_PROD ? y * x : y + x;
		}
		return;
	}
	vm rest = v_first((hi - lo) % VL);
	for (int64_t i = 0; i < count; i++, src += n) {
		float *d = r->dst + r->at[i];
		int64_t j = lo;
		for (; j + VL <= hi; j += VL)
			v_store(d + j, fold(op, v_load(d + j), v_load(src + j)));
		if (j < hi)
			v_storem(rest, d + j, fold(op, v_loadm(rest, d + j), v_loadm(rest, src + j)));
	}
}

static void runs_part(void *arg, int p) {
	const struct runs *r = arg;
	int64_t units = (r->t->n + VL - 1) / VL, lo = units * p / r->parts * VL, hi = units * (p + 1) / r->parts * VL;
	hi = hi < r->t->n ? hi : r->t->n;
	switch (r->t->op) {
	case R_MAX: fold_runs(R_MAX, r, lo, hi); break;
	case R_MIN: fold_runs(R_MIN, r, lo, hi); break;
	case R_PROD: fold_runs(R_PROD, r, lo, hi); break;
	default: fold_runs(R_SUM, r, lo, hi); break;
	}
}

// Threads share the columns, so that runs to the same place keep their order.
void ISA(aimass_reduce_runs)(const struct reduce_runs *t, float *dst, const float *src, const int64_t *at) {
	struct runs r = {t, dst, src, at, 1};
	if (t->threads > 1 && t->n >= 4 * VL && t->count * t->n > 50000)
		r.parts = t->n / (2 * VL) < t->threads ? (int)(t->n / (2 * VL)) : t->threads;
	aimass_pool_run(runs_part, &r, r.parts, t->threads);
}
