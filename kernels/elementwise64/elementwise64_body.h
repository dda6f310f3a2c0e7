// Chains of pointwise functions of double, and folds, for one instruction set.
#include "elementwise64.h"
#include "pool.h"
#include "simd64.h"

enum { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MAX, OP_MIN, OP_NEG, OP_ABS, OP_SQRT, OP_RECIPROCAL, OP_EXP, OP_LOG, OP_SIGMOID, OP_TANH };
enum { LAYOUT_FULL, LAYOUT_ROW, LAYOUT_COL, LAYOUT_SCALAR };
enum { FOLD_SUM, FOLD_SQUARE, FOLD_ABS, FOLD_MAX, FOLD_MIN };

// Values a task takes at least, and a block.
enum { GRAIN = 1 << 15, BLOCK = 256 };

// max and min that give NaN if either is NaN.
INLINE vd d_maxn(vd a, vd b) { return d_sel(d_nan(a), a, d_max(a, b)); }
INLINE vd d_minn(vd a, vd b) { return d_sel(d_nan(a), a, d_min(a, b)); }

// e^r − 1 for |r| ≤ ln 2 / 2, by Taylor's series, whose rest is below 2^-55 of r.
INLINE vd expm1_near(vd r) {
	static const double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
	                           1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5};
	vd q = d_set(c[0]);
	UNROLL(12) for (int i = 1; i < 12; i++)
		q = d_fma(q, r, d_set(c[i]));
	return d_fma(d_mul(r, r), q, r);
}

// x = n·ln 2 + r.
INLINE vd reduced(vd x, vd *n) {
	*n = d_round(d_mul(x, d_set(1.4426950408889634)));
	vd r = d_fma(*n, d_set(-0x1.62e42fefa39efp-1), x);
	return d_fma(*n, d_set(-0x1.abc9e3b39803fp-56), r);
}

// x·2^n for whole n within ±2048, in two factors so that neither leaves the range of normal numbers.
INLINE vd scaled(vd x, vd n) {
	vd half = d_round(d_mul(n, d_set(0.5)));
	return d_mul(d_mul(x, d_exp2i(half)), d_exp2i(d_sub(n, half)));
}

INLINE vd exp_of(vd x) {
	vd n, c = d_min(d_set(710), d_max(d_set(-750), x)); // x where that is NaN
	vd r = reduced(c, &n);
	return scaled(d_add(d_set(1), expm1_near(r)), n);
}

INLINE vd log_of(vd x) {
	// Of subnormal numbers, those times 2^54.
	dc small = d_lt(x, d_set(0x1p-1022));
	vd y = d_sel(small, d_mul(x, d_set(0x1p54)), x);
	vd m, e = d_frexp(y, &m);
	e = d_sub(e, d_sel(small, d_set(54), d_zero()));
	// ln(1+f) = f − (f²/2 − s·(f²/2 + R)), s = f/(2+f), R = Σ 2/(2k+1)·s^2k (fdlibm's form, of the plain series).
	vd f = d_sub(m, d_set(1)), s = d_div(f, d_add(d_set(2), f)), z = d_mul(s, s), q = d_set(2.0 / 23);
	UNROLL(10) for (int k = 10; k >= 1; k--)
		q = d_fma(q, z, d_set(2.0 / (2 * k + 1)));
	vd h = d_mul(d_mul(f, f), d_set(0.5)), low = d_mul(e, d_set(0x1.abc9e3b39803fp-56));
	vd t = d_fma(s, d_fma(q, z, h), low);
	vd out = d_fma(e, d_set(0x1.62e42fefa39efp-1), d_sub(f, d_sub(h, t)));
	out = d_sel(d_lt(x, d_zero()), d_set(NAN), out);
	out = d_sel(d_eq(x, d_zero()), d_set(-INFINITY), out);
	return d_sel(d_eq(x, d_set(INFINITY)), x, d_sel(d_nan(x), x, out));
}

INLINE vd tanh_of(vd x) {
	vd n, a = d_min(d_set(40), d_add(d_abs(x), d_abs(x)));
	vd r = reduced(a, &n), p = expm1_near(r), two = scaled(d_set(1), n);
	vd e = d_fma(two, p, d_sub(two, d_set(1))); // e^2|x| − 1
	return d_or(d_div(e, d_add(e, d_set(2))), d_and(x, d_set(-0.0)));
}

INLINE vd apply(int op, vd a, vd b) {
	switch (op) {
	case OP_ADD: return d_add(a, b);
	case OP_SUB: return d_sub(a, b);
	case OP_MUL: return d_mul(a, b);
	case OP_DIV: return d_div(a, b);
	case OP_MAX: return d_maxn(a, b);
	case OP_MIN: return d_minn(a, b);
	case OP_NEG: return d_xor(a, d_set(-0.0));
	case OP_ABS: return d_abs(a);
	case OP_SQRT: return d_sqrt(a);
	case OP_RECIPROCAL: return d_div(d_set(1), a);
	case OP_EXP: return exp_of(a);
	case OP_LOG: return log_of(a);
	case OP_SIGMOID: return d_div(d_set(1), d_add(d_set(1), exp_of(d_xor(a, d_set(-0.0)))));
	default: return tanh_of(a);
	}
}

// One operator over n values. What is one value comes as a vector of it, whose mask is 0.
INLINE void span(int op, double *dst, const double *x, long mx, const double *y, long my, long n) {
	long i = 0;
	for (; i + DL <= n; i += DL)
		d_store(dst + i, apply(op, d_load(x + (i & mx)), d_load(y + (i & my))));
	if (i < n) {
		dm m = d_first(n - i);
		d_storem(m, dst + i, apply(op, d_loadm(m, x + (i & mx)), d_loadm(m, y + (i & my))));
	}
}

static void spans(int op, double *dst, const double *x, long mx, const double *y, long my, long n) {
	switch (op) {
#define CASE(o) \
	case o: span(o, dst, x, mx, y, my, n); break;
		CASE(OP_ADD) CASE(OP_SUB) CASE(OP_MUL) CASE(OP_DIV) CASE(OP_MAX) CASE(OP_MIN) CASE(OP_NEG) CASE(OP_ABS)
		CASE(OP_SQRT) CASE(OP_RECIPROCAL) CASE(OP_EXP) CASE(OP_LOG) CASE(OP_SIGMOID) CASE(OP_TANH)
	}
}

struct program {
	const struct ew64_program *p;
	const uint8_t *steps;
	double *dst;
	const double *in[6];
	int64_t parts;
	int flat; // blocks go on over the ends of rows
};

// What a task keeps: registers, and inputs spelled out.
struct room {
	double reg[8][BLOCK], in[6][2 * BLOCK];
};

// Runs all steps over n ≤ BLOCK values from the one in row r and column c on.
static void block(const struct program *g, struct room *w, int64_t r, int64_t c, long n) {
	const struct ew64_program *p = g->p;
	const double *reg[8];
	long mask[8];
	for (int i = 0; i < p->inputs; i++) {
		mask[i] = -1;
		switch (p->layout[i]) {
		case LAYOUT_FULL: reg[i] = g->in[i] + r * p->cols + c; break;
		case LAYOUT_ROW: reg[i] = g->flat ? w->in[i] + c : g->in[i] + c; break;
		case LAYOUT_COL:
			reg[i] = w->in[i];
			if (!g->flat) {
				mask[i] = 0;
				d_store(w->in[i], d_set(g->in[i][r]));
				break;
			}
			for (long at = 0, row = r, end = p->cols - c; at < n; row++, end += p->cols)
				for (; at < n && at < end; at++)
					w->in[i][at] = g->in[i][row];
			break;
		default: reg[i] = w->in[i], mask[i] = 0;
		}
	}
	for (int s = 0; s < p->steps; s++) {
		const uint8_t *op = g->steps + 4 * s;
		double *out = s + 1 == p->steps ? g->dst + r * p->cols + c : w->reg[op[1]];
		int y = op[0] < OP_NEG ? op[3] : op[2];
		spans(op[0], out, reg[op[2]], mask[op[2]], reg[y], mask[y], n);
		reg[op[1]] = out;
		mask[op[1]] = -1;
	}
}

static void program_task(void *arg, int t) {
	const struct program *g = arg;
	const struct ew64_program *p = g->p;
	struct room w;
	int64_t rows = p->rows, cols = p->cols;
	for (int i = 0; i < p->inputs; i++) {
		if (p->layout[i] == LAYOUT_SCALAR)
			d_store(w.in[i], d_set(*g->in[i]));
		if (p->layout[i] == LAYOUT_ROW && g->flat)
			for (long at = 0; at < cols + BLOCK; at++)
				w.in[i][at] = at < cols ? g->in[i][at] : w.in[i][at - cols];
	}
	if (g->flat) {
		int64_t lo = rows * cols * t / g->parts, hi = rows * cols * (t + 1) / g->parts;
		for (int64_t at = lo; at < hi; at += BLOCK)
			block(g, &w, at / cols, at % cols, hi - at < BLOCK ? hi - at : BLOCK);
		return;
	}
	int64_t per = (cols + BLOCK - 1) / BLOCK;
	for (int64_t i = rows * per * t / g->parts; i < rows * per * (t + 1) / g->parts; i++) {
		int64_t c = i % per * BLOCK;
		block(g, &w, i / per, c, cols - c < BLOCK ? cols - c : BLOCK);
	}
}

void ISA(aimass_ew64_program)(const struct ew64_program *p, const uint8_t *steps, double *dst, const double *i0,
                              const double *i1, const double *i2, const double *i3, const double *i4, const double *i5) {
	struct program g = {p, steps, dst, {i0, i1, i2, i3, i4, i5}, 1, p->cols <= BLOCK};
	int64_t work = p->rows * p->cols * p->steps / GRAIN;
	if (p->threads > 1 && work > 1)
		g.parts = work < 2 * p->threads ? work : 2 * p->threads;
	aimass_pool_run(program_task, &g, (int)g.parts, p->threads);
}

INLINE vd join(int op, vd a, vd v) {
	switch (op) {
	case FOLD_SUM: return d_add(a, v);
	case FOLD_SQUARE: return d_fma(v, v, a);
	case FOLD_ABS: return d_add(a, d_abs(v));
	case FOLD_MAX: return d_maxn(a, v);
	default: return d_minn(a, v);
	}
}

// The lanes beyond a mask must not count.
INLINE vd first_of(int op) { return d_set(op == FOLD_MAX ? -INFINITY : op == FOLD_MIN ? INFINITY : 0); }

INLINE void fold(int op, double *dst, const double *x, int64_t outer, int64_t n, int64_t inner) {
	vd first = first_of(op);
	for (int64_t o = 0; o < outer; o++, x += n * inner, dst += inner) {
		if (inner == 1) {
			vd a = first, b = first;
			int64_t i = 0;
			for (; i + 2 * DL <= n; i += 2 * DL) {
				a = join(op, a, d_load(x + i));
				b = join(op, b, d_load(x + i + DL));
			}
			for (; i + DL <= n; i += DL)
				a = join(op, a, d_load(x + i));
			if (i < n)
				b = join(op, b, d_selm(d_first(n - i), d_loadm(d_first(n - i), x + i), first));
			double lane[DL];
			d_store(lane, op == FOLD_MAX ? d_maxn(a, b) : op == FOLD_MIN ? d_minn(a, b) : d_add(a, b));
			double s = lane[0];
			for (int k = 1; k < DL; k++)
				s = op < FOLD_MAX ? s + lane[k] : s != s || (op == FOLD_MAX ? s > lane[k] : s < lane[k]) ? s : lane[k];
			*dst = s;
			continue;
		}
		for (int64_t j = 0; j < inner; j += DL) {
			dm m = d_first(inner - j < DL ? inner - j : DL);
			vd a = first;
			for (int64_t k = 0; k < n; k++)
				a = join(op, a, d_loadm(m, x + k * inner + j));
			d_storem(m, dst + j, a);
		}
	}
}

void ISA(aimass_ew64_fold)(int op, double *dst, const double *x, int64_t outer, int64_t n, int64_t inner) {
	switch (op) {
	case FOLD_SUM: fold(FOLD_SUM, dst, x, outer, n, inner); break;
	case FOLD_SQUARE: fold(FOLD_SQUARE, dst, x, outer, n, inner); break;
	case FOLD_ABS: fold(FOLD_ABS, dst, x, outer, n, inner); break;
	case FOLD_MAX: fold(FOLD_MAX, dst, x, outer, n, inner); break;
	default: fold(FOLD_MIN, dst, x, outer, n, inner); break;
	}
}
