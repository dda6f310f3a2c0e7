// Softmax for one instruction set.
#include "pool.h"
#include "softmax.h"
#include "vmath.h"

// A row in three passes: its maximum, the exponentials and their sum, and the
// quotient. Lanes behind the end count as −Inf.
static void softmax_row(float *y, const float *x, long n, float scale, int log) {
	vf s = v_set(scale), low = v_set(-INFINITY), top = low, sum = v_zero();
	long whole = n / VL * VL;
	vm rest = v_first(n - whole);
	for (long i = 0; i < whole; i += VL)
		top = v_max(top, v_mul(s, v_load(x + i)));
	if (whole < n)
		top = v_max(top, v_sel(rest, v_mul(s, v_loadm(rest, x + whole)), low));
	float m = v_hmax(top);
	vf mv = v_set(m);
	for (long i = 0; i < whole; i += VL) {
		vf e = v_expneg(v_sub(v_mul(s, v_load(x + i)), mv));
		sum = v_add(sum, e);
		if (!log)
			v_store(y + i, e);
	}
	if (whole < n) {
		vf e = v_expneg(v_sub(v_mul(s, v_loadm(rest, x + whole)), mv));
		sum = v_add(sum, v_sel(rest, e, v_zero()));
		if (!log)
			v_storem(rest, y + whole, e);
	}
	float total = v_hsum(sum);
	if (log) {
		vf shift = v_set(m), ls = v_set(logf(total));
		for (long i = 0; i < whole; i += VL)
			v_store(y + i, v_sub(v_sub(v_mul(s, v_load(x + i)), shift), ls));
		if (whole < n)
			v_storem(rest, y + whole, v_sub(v_sub(v_mul(s, v_loadm(rest, x + whole)), shift), ls));
		return;
	}
	vf k = v_set(1.0f / total);
	for (long i = 0; i < whole; i += VL)
		v_store(y + i, v_mul(v_load(y + i), k));
	if (whole < n)
		v_storem(rest, y + whole, v_mul(v_loadm(rest, y + whole), k));
}

// VL neighbouring columns of n rows, inner apart.
static void softmax_columns(float *y, const float *x, long n, long inner, long width, int log) {
	vm m = v_first(width);
	vf top = v_set(-INFINITY), sum = v_zero();
	for (long i = 0; i < n; i++)
		top = v_max(top, v_loadm(m, x + i * inner));
	for (long i = 0; i < n; i++) {
		vf e = v_expneg(v_sub(v_loadm(m, x + i * inner), top));
		sum = v_add(sum, e);
		if (!log)
			v_storem(m, y + i * inner, e);
	}
	if (log) {
		vf ls = v_log(sum);
		for (long i = 0; i < n; i++)
			v_storem(m, y + i * inner, v_sub(v_sub(v_loadm(m, x + i * inner), top), ls));
		return;
	}
	vf k = v_div(v_set(1.0f), sum);
	for (long i = 0; i < n; i++)
		v_storem(m, y + i * inner, v_mul(v_loadm(m, y + i * inner), k));
}

// Rows of so few values fill a vector better side by side than each by itself. Which way a row goes depends on its
// length alone, so that it has the same result in every batch.
enum { FEW = 8 };

// Up to VL rows of n ≤ FEW values.
static void softmax_few(float *y, long ldy, const float *x, long ldx, long rows, long n, float scale, int log) {
	float t[FEW * VL];
	for (long i = 0; i < n; i++)
		v_store(t + i * VL, v_zero());
	for (long r = 0; r < rows; r++)
		for (long i = 0; i < n; i++)
			t[i * VL + r] = scale * x[r * ldx + i];
	softmax_columns(t, t, n, VL, VL, log);
	for (long r = 0; r < rows; r++)
		for (long i = 0; i < n; i++)
			y[r * ldy + i] = t[i * VL + r];
}

struct ctx {
	const struct softmax_task *t;
	float *y;
	const float *x;
	int64_t parts;
};

static void softmax_part(void *arg, int part) {
	const struct ctx *c = arg;
	const struct softmax_task *t = c->t;
	int64_t from = t->rows * part / c->parts, to = t->rows * (part + 1) / c->parts;
	if (!t->inner && t->cols <= FEW) {
		for (int64_t r = from; r < to; r += VL)
			softmax_few(c->y + r * t->ldy, t->ldy, c->x + r * t->ldx, t->ldx, to - r < VL ? to - r : VL, t->cols, t->scale, t->log);
		return;
	}
	for (int64_t r = from; r < to; r++) {
		if (!t->inner) {
			softmax_row(c->y + r * t->ldy, c->x + r * t->ldx, t->cols, t->scale, t->log);
			continue;
		}
		for (int64_t i = 0; i < t->inner; i += VL) {
			int64_t at = r * t->cols * t->inner + i, width = t->inner - i < VL ? t->inner - i : VL;
			softmax_columns(c->y + at, c->x + at, t->cols, t->inner, width, t->log);
		}
	}
}

void ISA(aimass_softmax)(const struct softmax_task *t, float *y, const float *x) {
	struct ctx c = {t, y, x, 1};
	double work = (double)t->rows * t->cols * (t->inner ? t->inner : 1);
	if (t->threads > 1 && work > 20000)
		c.parts = t->rows < 2 * t->threads ? t->rows : 2 * t->threads;
	aimass_pool_run(softmax_part, &c, (int)c.parts, t->threads);
}
