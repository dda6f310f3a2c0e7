//go:build cgo && !noasm

// Of few rows, trees step in groups without branches: eight independent chains
// hide the latency of node → key → comparison. Many rows go through the
// first levels together (tops_body.h).
#include "tree.h"

#include <math.h>
#include <string.h>

#include "pool.h"

enum {
	GROUP = 8,      // trees that step together
	SHALLOW = 8,    // groups no deeper than this walk without looking
	LEVELS = 4,     // levels between two looks whether all have arrived
	ROWS = TREE_ROWS, // rows of a task at most
	MAX_TARGETS = 64, // sums kept on the stack
	FEW_KEYS = 1024,  // keys kept on the stack
	NAN_NEXT = 1 << 30,
};

struct ctx {
	const struct tree_task *t;
	const struct tree_node *nodes;
	const int32_t *start, *depth, *leaf, *count, *target;
	const float *weight, *base, *x;
	float *dst;
	const struct tree_top *tops;
	int64_t rows; // of a task
};

// Walks n trees of at most depth levels. Deep groups, whose trees mostly end
// long before the deepest, look now and then whether all have arrived.
#define WALK(n) \
	static void walk_##n(const struct tree_node *nodes, const int32_t *start, int depth, const int32_t *keys, uint32_t *out) { \
		const struct tree_node *at[n]; \
		_Pragma("GCC unroll 8") for (int i = 0; i < n; i++) at[i] = nodes + start[i]; \
		for (; depth > SHALLOW; depth -= LEVELS) { \
			size_t moved = 0; \
			for (int i = 0; i < n; i++) { \
				const struct tree_node *a = at[i]; \
				_Pragma("GCC unroll 4") for (int l = 0; l < LEVELS; l++) at[i] = tree_step(at[i], keys); \
				moved |= (size_t)at[i] ^ (size_t)a; \
			} \
			if (!moved) \
				depth = 0; \
		} \
		for (; depth > 0; depth--) { \
			_Pragma("GCC unroll 8") for (int i = 0; i < n; i++) at[i] = tree_step(at[i], keys); \
		} \
		for (int i = 0; i < n; i++) \
			out[i] = (uint32_t)(at[i] - nodes); \
	}

WALK(8)
WALK(1)

// One tree for a row that has a NaN: every test looks where a NaN goes.
static uint32_t walk_nan(const struct ctx *c, int32_t start, const float *x, const int32_t *keys) {
	const struct tree_node *n = c->nodes + start;
	while (n->next) {
		if (isnan(x[n->feature]))
			n += n->next + !(c->count[n - c->nodes] & NAN_NEXT);
		else
			n = tree_step(n, keys);
	}
	return (uint32_t)(n - c->nodes);
}

static void add_leaf(const struct ctx *c, int64_t tree, uint32_t node, double *sums) {
	if (c->t->single) {
		float w;
		memcpy(&w, c->leaf + node, sizeof w);
		sums[c->target[tree]] += w;
		return;
	}
	int32_t first = c->leaf[node], n = c->count[node] & (NAN_NEXT - 1);
	for (int32_t i = first; i < first + n; i++)
		sums[c->target[i]] += c->weight[i];
}

// The leaves of n trees for the only target there is: in a register, since a sum in memory
// makes each tree wait for the store of the one before.
static void add_leaves(const struct ctx *c, const uint32_t *at, int64_t n, double *sum) {
	double s = *sum;
	for (int64_t i = 0; i < n; i++) {
		float w;
		memcpy(&w, c->leaf + at[i], sizeof w);
		s += w;
	}
	*sum = s;
}

// A row's keys, and whether any value is NaN.
static int make_keys(int32_t *keys, const float *x, long n) {
	int bad = 0;
	for (long i = 0; i < n; i++) {
		bad |= x[i] != x[i];
		keys[i] = tree_key(x[i]);
	}
	return bad;
}

// A group of trees goes over all rows that are not done before the next group, so
// its nodes stay in the first-level cache.
static void by_groups(const struct ctx *c, const float *x, const int32_t *keys, int64_t rows, const char *done, const int *bad, double *sums) {
	const struct tree_task *t = c->t;
	for (int64_t g = 0; g < t->trees; g += GROUP) {
		int64_t n = t->trees - g < GROUP ? t->trees - g : GROUP;
		int depth = 0;
		for (int64_t i = 0; i < n; i++)
			depth = c->depth[g + i] > depth ? c->depth[g + i] : depth;
		for (int64_t r = 0; r < rows; r++) {
			const int32_t *row = keys + r * t->features;
			uint32_t at[GROUP];
			if (done[r])
				continue;
			if (bad[r]) {
				for (int64_t i = 0; i < n; i++)
					at[i] = walk_nan(c, c->start[g + i], x + r * t->ldx, row);
			} else if (n == GROUP) {
				walk_8(c->nodes, c->start + g, depth, row, at);
			} else {
				for (int64_t i = 0; i < n; i++)
					walk_1(c->nodes, c->start + g + i, depth, row, at + i);
			}
			if (t->single && t->targets == 1) {
				add_leaves(c, at, n, sums + r);
				continue;
			}
			for (int64_t i = 0; i < n; i++)
				add_leaf(c, g + i, at[i], sums + r * t->targets);
		}
	}
}

// Rows together; those with a NaN stay to be done.
static void by_tops(const struct ctx *c, const float *x, const int32_t *keys, int64_t rows, char *done, const int *bad, double *sums) {
	const struct tree_task *t = c->t;
	size_t bytes = sizeof(double) * TREE_ROWS * t->targets, wide = sizeof(float) * t->features * TREE_ROWS;
	int slot;
	double *by_target = aimass_scratch_get(bytes + wide, &slot);
	memset(by_target, 0, bytes);
	(t->lanes == 16 ? aimass_tree_tops_avx512 : aimass_tree_tops_avx2)(
		t, c->tops, c->nodes, c->leaf, x, keys, rows, (float *)((char *)by_target + bytes), by_target);
	for (int64_t r = 0; r < rows; r++) {
		done[r] = !bad[r];
		for (int64_t k = 0; k < t->targets && done[r]; k++)
			sums[r * t->targets + k] = by_target[k * TREE_ROWS + r];
	}
	aimass_scratch_put(by_target, bytes + wide, slot);
}

static void tree_task(void *arg, int task) {
	const struct ctx *c = arg;
	const struct tree_task *t = c->t;
	int64_t r0 = (int64_t)task * c->rows, rows = t->rows - r0 < c->rows ? t->rows - r0 : c->rows;
	const float *x = c->x + r0 * t->ldx;
	double sums[ROWS * MAX_TARGETS];
	int32_t few[FEW_KEYS], *keys = few;
	int bad[ROWS], slot;
	size_t bytes = rows * t->features * sizeof *keys;
	if (bytes > sizeof few)
		keys = aimass_scratch_get(bytes, &slot);
	char done[ROWS] = {0};
	memset(sums, 0, sizeof(double) * rows * t->targets);
	for (int64_t r = 0; r < rows; r++)
		bad[r] = make_keys(keys + r * t->features, x + r * t->ldx, t->features);
	if (t->lanes && 2 * rows >= t->lanes)
		by_tops(c, x, keys, rows, done, bad, sums);
	by_groups(c, x, keys, rows, done, bad, sums);
	if (keys != few)
		aimass_scratch_put(keys, bytes, slot);
	for (int64_t i = 0; i < rows * t->targets; i++) {
		double s = sums[i] / t->divisor;
		if (c->base)
			s += c->base[i % t->targets];
		c->dst[r0 * t->targets + i] = (float)s;
	}
}

void aimass_tree(const struct tree_task *t, const struct tree_node *nodes, const int32_t *start, const int32_t *depth, const int32_t *leaf,
                 const int32_t *count, const int32_t *target, const float *weight, const float *base, const struct tree_top *tops,
                 const float *x, float *dst) {
	int threads = t->trees * t->rows < 6000 ? 1 : t->threads;
	int64_t rows = (t->rows + threads - 1) / threads;
	rows = (rows + 15) / 16 * 16; // whole vectors
	struct ctx c = {t, nodes, start, depth, leaf, count, target, weight, base, x, dst, tops, rows < ROWS ? rows : ROWS};
	aimass_pool_run(tree_task, &c, (int)((t->rows + c.rows - 1) / c.rows), threads);
}
