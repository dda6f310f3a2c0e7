// Pointwise kernels for one instruction set.
#include "act.h"
#include "elementwise.h"
#include "pool.h"
#include "vmath.h"

enum { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MAX, OP_MIN };

// Values a task takes at least: some 10 µs of the cheapest work.
enum { GRAIN = 1 << 16, BLOCK = 512 };

INLINE vf apply(int op, vf a, vf b) {
	switch (op) {
	case OP_ADD: return v_add(a, b);
	case OP_SUB: return v_sub(a, b);
	case OP_MUL: return v_mul(a, b);
	case OP_DIV: return v_div(a, b);
	case OP_MAX: return v_maxn(a, b);
	default: return v_minn(a, b);
	}
}

// n values of a row: ys is 1 for a vector y, 0 for one value.
INLINE void span(int op, int swap, int ys, float *dst, const float *x, const float *y, long n) {
	vf k = ys ? v_zero() : v_set(*y);
	long i = 0;
	for (; i + VL <= n; i += VL) {
		vf a = v_load(x + i), b = ys ? v_load(y + i) : k;
		v_store(dst + i, swap ? apply(op, b, a) : apply(op, a, b));
	}
	if (i < n) {
		vm m = v_first(n - i);
		vf a = v_loadm(m, x + i), b = ys ? v_loadm(m, y + i) : k;
		v_storem(m, dst + i, swap ? apply(op, b, a) : apply(op, a, b));
	}
}

#define SPAN_CASES(swap, ys) \
	switch (op) { \
	case OP_ADD: span(OP_ADD, swap, ys, dst, x, y, n); break; \
	case OP_SUB: span(OP_SUB, swap, ys, dst, x, y, n); break; \
	case OP_MUL: span(OP_MUL, swap, ys, dst, x, y, n); break; \
	case OP_DIV: span(OP_DIV, swap, ys, dst, x, y, n); break; \
	case OP_MAX: span(OP_MAX, swap, ys, dst, x, y, n); break; \
	default: span(OP_MIN, swap, ys, dst, x, y, n); break; \
	}

static void spans(int op, int swap, int ys, float *dst, const float *x, const float *y, long n) {
	if (ys) {
		if (swap)
			SPAN_CASES(1, 1)
		else
			SPAN_CASES(0, 1)
	} else {
		if (swap)
			SPAN_CASES(1, 0)
		else
			SPAN_CASES(0, 0)
	}
}

static int parts_of(int64_t work, int threads) {
	int64_t parts = work / GRAIN;
	return parts < 2 || threads < 2 ? 1 : parts < 2 * threads ? (int)parts : 2 * threads;
}

struct unary {
	int op, parts;
	float a, b;
	float *dst;
	const float *x;
	int64_t n;
};

static void unary_task(void *arg, int t) {
	const struct unary *u = arg;
	int64_t lo = u->n / VL * t / u->parts * VL, hi = t + 1 == u->parts ? u->n : u->n / VL * (t + 1) / u->parts * VL;
	ISA(aimass_act)(u->op, u->a, u->b, u->dst + lo, u->x + lo, hi - lo);
}

void ISA(aimass_ew_unary)(int op, float a, float b, float *dst, const float *x, int64_t n, int threads) {
	struct unary u = {op, parts_of(n * (op >= ACT_SIGMOID && op <= ACT_MISH ? 8 : 1), threads), a, b, dst, x, n};
	aimass_pool_run(unary_task, &u, u.parts, threads);
}

struct binary {
	const struct ew_form *f;
	int64_t parts;
	float *dst;
	const float *x, *y;
};

// Work is cut by rows, or along the row if there is but one.
static void binary_task(void *arg, int t) {
	const struct binary *b = arg;
	const struct ew_form *f = b->f;
	if (f->rows == 1) {
		int64_t lo = f->cols / VL * t / b->parts * VL;
		int64_t hi = t + 1 == b->parts ? f->cols : f->cols / VL * (t + 1) / b->parts * VL;
		spans(f->op, f->swap, (int)f->ys, b->dst + lo, b->x + lo, b->y + lo * f->ys, hi - lo);
		return;
	}
	for (int64_t r = f->rows * t / b->parts; r < f->rows * (t + 1) / b->parts; r++)
		spans(f->op, f->swap, (int)f->ys, b->dst + r * f->cols, b->x + r * f->cols, b->y + r * f->yr, f->cols);
}

void ISA(aimass_ew_binary)(const struct ew_form *f, float *dst, const float *x, const float *y) {
	struct binary b = {f, parts_of(f->rows * f->cols, f->threads), dst, x, y};
	aimass_pool_run(binary_task, &b, (int)b.parts, f->threads);
}

struct program {
	const struct ew_program *p;
	const int32_t *code;
	const float *consts;
	float *dst;
	const float *in[6];
	int64_t parts;
};

// Runs all steps over cols ≤ BLOCK values of row r that begin at column c. A
// register is a pointer: an input that is read in place, or a block of its own.
static void program_block(const struct program *g, float blocks[8][BLOCK], int64_t r, int64_t c, long cols) {
	const struct ew_program *p = g->p;
	const float *reg[8];
	int step[8]; // 0 for a register that is one value
	for (int i = 0; i < p->inputs; i++) {
		int l = p->layout[i];
		reg[i] = g->in[i] + (l == 0 ? r * p->cols + c : l == 1 ? c : l == 2 ? r : 0);
		step[i] = l < 2;
	}
	for (int s = 0; s < p->steps; s++) {
		const int32_t *op = g->code + 5 * s;
		int dst = op[2], x = op[3], y = op[4];
		float *out = s + 1 == p->steps ? g->dst + r * p->cols + c : blocks[dst];
		if (op[0]) {
			float one;
			if (step[x]) {
				ISA(aimass_act)(op[1], g->consts[2 * s], g->consts[2 * s + 1], out, reg[x], cols);
			} else {
				ISA(aimass_act)(op[1], g->consts[2 * s], g->consts[2 * s + 1], &one, reg[x], 1);
				for (long i = 0; i < cols; i++)
					out[i] = one;
			}
		} else if (step[x]) {
			spans(op[1], 0, step[y], out, reg[x], reg[y], cols);
		} else if (step[y]) {
			spans(op[1], 1, 0, out, reg[y], reg[x], cols);
		} else {
			float one[VL];
			for (int i = 0; i < VL; i++)
				one[i] = *reg[x];
			spans(op[1], 0, 0, one, one, reg[y], 1);
			for (long i = 0; i < cols; i++)
				out[i] = one[0];
		}
		reg[dst] = out;
		step[dst] = 1;
	}
}

static void program_task(void *arg, int t) {
	const struct program *g = arg;
	float blocks[8][BLOCK] __attribute__((aligned(64)));
	int64_t rows = g->p->rows, cols = g->p->cols, per = (cols + BLOCK - 1) / BLOCK;
	for (int64_t i = rows * per * t / g->parts; i < rows * per * (t + 1) / g->parts; i++) {
		int64_t r = i / per, c = i % per * BLOCK;
		program_block(g, blocks, r, c, cols - c < BLOCK ? cols - c : BLOCK);
	}
}

void ISA(aimass_ew_program)(const struct ew_program *p, const int32_t *code, const float *consts, float *dst,
                            const float *i0, const float *i1, const float *i2, const float *i3,
                            const float *i4, const float *i5) {
	struct program g = {p, code, consts, dst, {i0, i1, i2, i3, i4, i5}, 0};
	g.parts = parts_of(p->rows * p->cols * p->steps, p->threads);
	aimass_pool_run(program_task, &g, (int)g.parts, p->threads);
}
