//go:build cgo && !noasm

// Trees step in groups without branches: eight independent chains hide the
// latency of node → feature → comparison. There is nothing for a vector unit
// here that gathers do not slow down again, so one file serves every level.
#include "tree.h"

#include <math.h>
#include <string.h>

#include "pool.h"

enum {
	GROUP = 8,      // trees that step together
	SHALLOW = 8,    // groups no deeper than this walk without looking
	LEVELS = 4,     // levels between two looks whether all have arrived
	ROWS = 64,      // rows of a task
	MAX_TARGETS = 64, // sums kept on the stack
	NAN_NEXT = 1 << 30,
};

struct ctx {
	const struct tree_task *t;
	const struct tree_node *nodes;
	const int32_t *start, *depth, *leaf, *count, *target;
	const float *weight, *base, *x;
	float *dst;
};

static inline const struct tree_node *step(const struct tree_node *n, const float *x) {
	return n + ((size_t)n->next + (size_t)(x[n->feature] > n->limit));
}

// Walks n trees of at most depth levels. Deep groups, whose trees mostly end
// long before the deepest, look now and then whether all have arrived.
#define WALK(n) \
	static void walk_##n(const struct tree_node *nodes, const int32_t *start, int depth, const float *x, uint32_t *out) { \
		const struct tree_node *at[n]; \
		_Pragma("GCC unroll 8") for (int i = 0; i < n; i++) at[i] = nodes + start[i]; \
		for (; depth > SHALLOW; depth -= LEVELS) { \
			size_t moved = 0; \
			for (int i = 0; i < n; i++) { \
				const struct tree_node *a = at[i]; \
				_Pragma("GCC unroll 4") for (int l = 0; l < LEVELS; l++) at[i] = step(at[i], x); \
				moved |= (size_t)at[i] ^ (size_t)a; \
			} \
			if (!moved) \
				depth = 0; \
		} \
		for (; depth > 0; depth--) { \
			_Pragma("GCC unroll 8") for (int i = 0; i < n; i++) at[i] = step(at[i], x); \
		} \
		for (int i = 0; i < n; i++) \
			out[i] = (uint32_t)(at[i] - nodes); \
	}

WALK(8)
WALK(1)

// One tree for a row that has a NaN: every test looks where a NaN goes.
static uint32_t walk_nan(const struct ctx *c, int32_t start, const float *x) {
	const struct tree_node *n = c->nodes + start;
	while (n->next) {
		if (isnan(x[n->feature]))
			n += n->next + !(c->count[n - c->nodes] & NAN_NEXT);
		else
			n = step(n, x);
	}
	return (uint32_t)(n - c->nodes);
}

static void add_leaf(const struct ctx *c, uint32_t node, double *sums) {
	if (c->t->single) {
		float w;
		memcpy(&w, c->leaf + node, sizeof w);
		sums[0] += w;
		return;
	}
	int32_t first = c->leaf[node], n = c->count[node] & (NAN_NEXT - 1);
	for (int32_t i = first; i < first + n; i++)
		sums[c->target[i]] += c->weight[i];
}

static int has_nan(const float *x, long n) {
	int bad = 0;
	for (long i = 0; i < n; i++)
		bad |= x[i] != x[i];
	return bad;
}

// A group of trees goes over all rows of a task before the next group, so its
// nodes stay in the first-level cache.
static void tree_task(void *arg, int task) {
	const struct ctx *c = arg;
	const struct tree_task *t = c->t;
	int64_t r0 = (int64_t)task * ROWS, rows = t->rows - r0 < ROWS ? t->rows - r0 : ROWS;
	const float *x = c->x + r0 * t->ldx;
	double sums[ROWS * MAX_TARGETS];
	int bad[ROWS];
	memset(sums, 0, sizeof(double) * rows * t->targets);
	for (int64_t r = 0; r < rows; r++)
		bad[r] = has_nan(x + r * t->ldx, t->features);
	for (int64_t g = 0; g < t->trees; g += GROUP) {
		int64_t n = t->trees - g < GROUP ? t->trees - g : GROUP;
		int depth = 0;
		for (int64_t i = 0; i < n; i++)
			depth = c->depth[g + i] > depth ? c->depth[g + i] : depth;
		for (int64_t r = 0; r < rows; r++) {
			const float *row = x + r * t->ldx;
			uint32_t at[GROUP];
			if (bad[r]) {
				for (int64_t i = 0; i < n; i++)
					at[i] = walk_nan(c, c->start[g + i], row);
			} else if (n == GROUP) {
				walk_8(c->nodes, c->start + g, depth, row, at);
			} else {
				for (int64_t i = 0; i < n; i++)
					walk_1(c->nodes, c->start + g + i, depth, row, at + i);
			}
			for (int64_t i = 0; i < n; i++)
				add_leaf(c, at[i], sums + r * t->targets);
		}
	}
	for (int64_t i = 0; i < rows * t->targets; i++) {
		double s = sums[i] / t->divisor;
		if (c->base)
			s += c->base[i % t->targets];
		c->dst[r0 * t->targets + i] = (float)s;
	}
}

void aimass_tree(const struct tree_task *t, const struct tree_node *nodes, const int32_t *start, const int32_t *depth, const int32_t *leaf,
                 const int32_t *count, const int32_t *target, const float *weight, const float *base,
                 const float *x, float *dst) {
	struct ctx c = {t, nodes, start, depth, leaf, count, target, weight, base, x, dst};
	int64_t tasks = (t->rows + ROWS - 1) / ROWS;
	aimass_pool_run(tree_task, &c, (int)tasks, t->trees * t->rows < 20000 ? 1 : t->threads);
}
