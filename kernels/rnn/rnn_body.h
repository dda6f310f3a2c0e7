// Recurrent cells for one instruction set. The weights of each gate are panels
// of NR columns by hidden rows, padded with zeros, one gate behind the other;
// products go to a scratch row of as many columns.
#include "act.h"
#include "pool.h"
#include "rnn.h"
#include "tile.h"
#include "vmath.h"

enum { LSTM, GRU, GRU_AFTER };

struct ctx {
	const struct rnn_task *t;
	const float *data, *peep, *bias, *gates;
	float *h, *c, *y;
	const int32_t *lens;
	long n, wide, count; // hidden, hidden rounded up to NR, gates
	float *sums;         // batch × count·wide
	float *tmp;          // wide, for the gates and the reset state of one row
};

// Gates g0..g1 of the products of rows 0..rows of h (row stride hidden).
static void product(const struct ctx *c, const float *h, long rows, float *sums, long g0, long g1) {
	long ld = c->count * c->wide, tiles = tiles_of(rows);
	for (long j = g0 * c->wide; j < g1 * c->wide;) {
		const float *b = c->data + j * c->n;
		long left = (g1 * c->wide - j) / NR, p = rows == 1 && left >= 4 ? 4 : 1;
		for (long i = 0; i < tiles; i++) {
			long r0 = tile_start(rows, tiles, i), mr = tile_start(rows, tiles, i + 1) - r0;
			float *out = sums + r0 * ld + j;
			if (p == 4)
				direct_1_4(c->n, h, c->n, b, NR, c->n * NR, out, ld, 0);
			else
				direct_tile[mr](c->n, h + r0 * c->n, c->n, b, NR, 0, out, ld, 0);
		}
		j += p * NR;
	}
}

static void apply(const struct rnn_act *a, float *x, long n) { ISA(aimass_act)(a->func, a->a, a->b, x, x, n); }

// s += x, + w·v if w, then bounded; n values, all whole vectors of s.
static void gate(const struct ctx *c, float *s, const float *x, const float *w, const float *v) {
	vf hi = v_set(c->t->clip > 0 ? c->t->clip : INFINITY), lo = v_neg(hi);
	for (long j = 0; j < c->n; j += VL) {
		vm m = v_first(c->n - j < VL ? c->n - j : VL);
		vf q = v_add(v_load(s + j), v_loadm(m, x + j));
		if (w)
			q = v_fma(v_loadm(m, w + j), v_loadm(m, v + j), q);
		v_store(s + j, v_max(lo, v_min(hi, q)));
	}
}

static void lstm_row(const struct ctx *c, float *s, const float *x, float *h, float *cell) {
	const struct rnn_task *t = c->t;
	long n = c->n;
	float *i = s, *o = s + c->wide, *f = s + 2 * c->wide, *g = s + 3 * c->wide;
	const float *p = c->peep;
	gate(c, i, x, p, cell);
	apply(&t->f, i, n);
	if (!t->input_forget) {
		gate(c, f, x + 2 * n, p ? p + 2 * n : 0, cell);
		apply(&t->f, f, n);
	}
	gate(c, g, x + 3 * n, 0, 0);
	apply(&t->g, g, n);
	for (long j = 0; j < n; j += VL) {
		vm m = v_first(n - j < VL ? n - j : VL);
		vf iv = v_load(i + j), fv = t->input_forget ? v_sub(v_set(1.0f), iv) : v_load(f + j);
		vf cv = v_fma(fv, v_loadm(m, cell + j), v_mul(iv, v_load(g + j)));
		v_storem(m, cell + j, cv);
		v_store(g + j, cv);
	}
	gate(c, o, x + n, p ? p + n : 0, cell);
	apply(&t->f, o, n);
	apply(&t->h, g, n);
	for (long j = 0; j < n; j += VL)
		v_storen(h + j, v_mul(v_load(o + j), v_load(g + j)), n - j < VL ? n - j : VL);
}

static void gru_row(const struct ctx *c, float *s, const float *x, float *h) {
	const struct rnn_task *t = c->t;
	long n = c->n;
	float *z = s, *r = s + c->wide, *g = s + 2 * c->wide;
	gate(c, z, x, 0, 0);
	apply(&t->f, z, n);
	gate(c, r, x + n, 0, 0);
	apply(&t->f, r, n);
	if (t->kind == GRU) {
		for (long j = 0; j < n; j += VL)
			v_store(c->tmp + j, v_mul(v_load(r + j), v_loadn(h + j, n - j < VL ? n - j : VL)));
		product(c, c->tmp, 1, s, 2, 3);
	} else {
		for (long j = 0; j < n; j += VL)
			v_store(g + j, v_mul(v_load(r + j), v_add(v_load(g + j), v_loadn(c->bias + j, n - j < VL ? n - j : VL))));
	}
	gate(c, g, x + 2 * n, 0, 0);
	apply(&t->g, g, n);
	for (long j = 0; j < n; j += VL) {
		vm m = v_first(n - j < VL ? n - j : VL);
		vf zv = v_load(z + j), gv = v_load(g + j);
		v_storem(m, h + j, v_fma(v_sub(v_set(1.0f), zv), gv, v_mul(zv, v_loadm(m, h + j))));
	}
}

static void step(const struct ctx *c, long k) {
	const struct rnn_task *t = c->t;
	product(c, c->h, t->batch, c->sums, 0, t->kind == GRU ? 2 : c->count);
	for (long b = 0; b < t->batch; b++) {
		long steps = c->lens ? c->lens[b] : t->steps, at = t->reverse && k < steps ? steps - 1 - k : k;
		float *y = c->y ? c->y + at * t->y_step + b * t->y_row : 0, *h = c->h + b * c->n;
		if (k >= steps) {
			if (y)
				memset(y, 0, c->n * sizeof(float));
			continue;
		}
		float *s = c->sums + b * c->count * c->wide;
		const float *x = c->gates + (at * t->batch + b) * c->count * c->n;
		if (t->kind == LSTM)
			lstm_row(c, s, x, h, c->c + b * c->n);
		else
			gru_row(c, s, x, h);
		if (y)
			memcpy(y, h, c->n * sizeof(float));
	}
}

void ISA(aimass_rnn)(const struct rnn_task *t, const float *data, const float *peep, const float *bias,
                     const float *gates, float *h, float *cell, float *y, const int32_t *lens) {
	struct ctx c = {t, data, peep, bias, gates, h, cell, y, lens, t->hidden, (t->hidden + NR - 1) / NR * NR, t->kind == LSTM ? 4 : 3, 0, 0};
	size_t sums = t->batch * c.count * c.wide, bytes = (sums + c.wide) * sizeof(float);
	int slot;
	c.sums = aimass_scratch_get(bytes, &slot);
	c.tmp = c.sums + sums;
	for (long k = 0; k < t->steps; k++)
		step(&c, k);
	aimass_scratch_put(c.sums, bytes, slot);
}
