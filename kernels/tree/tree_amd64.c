//go:build cgo && !noasm

// Of few rows, trees step in groups without branches: eight independent chains
// hide the latency of node → key → comparison. Many rows go through the
// first levels together (tops_body.h).
#include "tree.h"

#include <string.h>

#include "pool.h"

enum {
	GROUP = 8,      // trees that step together
	SHALLOW = 8,    // groups no deeper than this walk without looking
	LEVELS = 4,     // levels between two looks whether all have arrived
	ROWS = TREE_ROWS, // rows of a task at most
	MAX_TARGETS = 64, // sums kept on the stack
	FEW_KEYS = 1024,  // keys kept on the stack
};

struct ctx {
	const struct tree_task *t;
	struct tree_forest f;
	const int32_t *features, *missing;
	const struct tree_table *tables;
	const int32_t *members;
	const float *cells, *x;
	float *dst;
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

static void add_leaf(const struct ctx *c, int64_t tree, uint32_t node, double *sums) {
	if (c->t->single) {
		float w;
		memcpy(&w, c->f.leaf + node, sizeof w);
		sums[c->f.target[tree]] += w;
		return;
	}
	tree_add_leaf(&c->f, node, sums);
}

// The leaves of n trees for the only target there is: in a register, since a sum in memory
// makes each tree wait for the store of the one before.
static void add_leaves(const struct ctx *c, const uint32_t *at, int64_t n, double *sum) {
	double s = *sum;
	for (int64_t i = 0; i < n; i++) {
		float w;
		memcpy(&w, c->f.leaf + at[i], sizeof w);
		s += w;
	}
	*sum = s;
}

// The row of a table's cells for a value.
static const float *table_row(const struct ctx *c, const struct tree_table *b, float x) {
	const int32_t *member = c->members + b->first;
	int64_t at = b->members + 1;
	if (x == x) {
		int32_t key = tree_key(x);
		int64_t low = 0;
		for (int64_t n = b->members; n > 0;) {
			int64_t half = n / 2, less = member[low + half] < key;
			low += less ? half + 1 : 0;
			n = less ? n - half - 1 : half;
		}
		at = low < b->members && member[low] == key ? low : b->members;
	}
	return c->cells + b->cells + at * b->columns;
}

// The key of a number, or missing; told by integers, which compilers turn into vectors.
static inline int32_t number_key(float x, int32_t missing) {
	int32_t key = tree_key(x);
	int32_t nan = -((key ^ key >> 31) > 0x7f800000);
	return (key & ~nan) | (missing & nan);
}

// The columns of a row.
static void make_keys(const struct ctx *c, int32_t *restrict keys, const float *restrict x) {
	const struct tree_task *t = c->t;
	const int32_t *missing = c->missing;
	if (t->plain) {
		for (int64_t i = 0; i < t->numeric; i++)
			keys[i] = number_key(x[i], missing[i]);
		return;
	}
	for (int64_t i = 0; i < t->numeric; i++)
		keys[i] = number_key(x[c->features[i]], missing[i]);
	for (int64_t i = 0; i < t->tables; i++) {
		const struct tree_table *b = c->tables + i;
		memcpy(keys + b->column, table_row(c, b, x[b->feature]), b->columns * sizeof *keys); // 0 and 1 are their own keys
	}
}

// A group of trees goes over all rows before the next group, so its nodes stay in the
// first-level cache.
static void by_groups(const struct ctx *c, const int32_t *keys, int64_t rows, double *sums) {
	const struct tree_task *t = c->t;
	for (int64_t g = 0; g < t->trees; g += GROUP) {
		int64_t n = t->trees - g < GROUP ? t->trees - g : GROUP;
		int depth = 0;
		for (int64_t i = 0; i < n; i++)
			depth = c->f.depth[g + i] > depth ? c->f.depth[g + i] : depth;
		for (int64_t r = 0; r < rows; r++) {
			const int32_t *row = keys + r * t->columns;
			uint32_t at[GROUP];
			if (n == GROUP) {
				walk_8(c->f.nodes, c->f.start + g, depth, row, at);
			} else {
				for (int64_t i = 0; i < n; i++)
					walk_1(c->f.nodes, c->f.start + g + i, depth, row, at + i);
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

// Rows together.
static void by_tops(const struct ctx *c, const int32_t *keys, int64_t rows, double *sums) {
	const struct tree_task *t = c->t;
	size_t bytes = t->single ? sizeof(double) * TREE_ROWS * t->targets : 0, wide = sizeof *keys * t->columns * TREE_ROWS;
	int slot;
	char *room = aimass_scratch_get(bytes + wide, &slot);
	double *out = t->single ? (double *)room : sums;
	memset(room, 0, bytes);
	(t->lanes == 16 ? aimass_tree_tops_avx512 : aimass_tree_tops_avx2)(t, &c->f, keys, rows, (int32_t *)(room + bytes), out);
	for (int64_t r = 0; r < rows && t->single; r++)
		for (int64_t k = 0; k < t->targets; k++)
			sums[r * t->targets + k] = out[k * TREE_ROWS + r];
	aimass_scratch_put(room, bytes + wide, slot);
}

static void tree_task(void *arg, int task) {
	const struct ctx *c = arg;
	const struct tree_task *t = c->t;
	int64_t r0 = (int64_t)task * c->rows, rows = t->rows - r0 < c->rows ? t->rows - r0 : c->rows;
	double sums[ROWS * MAX_TARGETS];
	int32_t few[FEW_KEYS], *keys = few;
	int slot;
	size_t bytes = rows * t->columns * sizeof *keys;
	if (bytes > sizeof few)
		keys = aimass_scratch_get(bytes, &slot);
	memset(sums, 0, sizeof(double) * rows * t->targets);
	for (int64_t r = 0; r < rows; r++)
		make_keys(c, keys + r * t->columns, c->x + (r0 + r) * t->ldx);
	if (2 * rows >= t->lanes)
		by_tops(c, keys, rows, sums);
	else
		by_groups(c, keys, rows, sums);
	if (keys != few)
		aimass_scratch_put(keys, bytes, slot);
	for (int64_t i = 0; i < rows * t->targets; i++) {
		double s = sums[i] / t->divisor;
		if (c->f.base)
			s += c->f.base[i % t->targets];
		c->dst[r0 * t->targets + i] = (float)s;
	}
}

void aimass_tree(const struct tree_task *t, const int32_t *features, const int32_t *missing, const struct tree_table *tables,
                 const int32_t *members, const float *cells, const struct tree_node *nodes, const int32_t *start,
                 const int32_t *depth, const int32_t *leaf, const int32_t *count, const int32_t *target, const float *weight,
                 const float *base, const struct tree_top *tops, const float *x, float *dst) {
	int threads = t->trees * t->rows < 6000 ? 1 : t->threads;
	int64_t rows = (t->rows + threads - 1) / threads;
	rows = (rows + 15) / 16 * 16; // whole vectors
	struct ctx c = {t, {nodes, start, depth, leaf, count, target, weight, base, tops},
	                features, missing, tables, members, cells, x, dst, rows < ROWS ? rows : ROWS};
	aimass_pool_run(tree_task, &c, (int)((t->rows + c.rows - 1) / c.rows), threads);
}
