// What the Go side of tree calls; see tree.go.
#ifndef AIMASS_TREE_H
#define AIMASS_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A float as an integer of the same order, −0 and +0 being one: comparing integers
// takes a fraction of the time from a float comparison to its flags.
static inline int32_t tree_key(float x) {
	int32_t b;
	x += 0.0f;
	memcpy(&b, &x, sizeof b);
	return b ^ (b >> 31 & 0x7fffffff);
}

// A row of the input becomes a row of columns, each a key. Numeric columns come first: a
// feature, or an infinity where it is NaN. Then come the tables, one for each feature that
// nodes ask for membership: for each of its members, for any other number and
// for NaN it has a row of cells, 0 or 1.
struct tree_table {
	int32_t feature, column, columns; // sets columns of them, from column on
	int32_t first, members;           // its part of the sorted keys of members
	int32_t cells;                    // where its cells begin
};

// A node tests columns[column] <= limit: if so the walk goes on next nodes
// further right, otherwise next + 1. A leaf has the limit of +Inf and next 0, so
// it stays where it is and trees of different depths can step together.
struct tree_node {
	int32_t limit;
	uint16_t column, next;
};

// The node after n for a row of keys.
static inline const struct tree_node *tree_step(const struct tree_node *n, const int32_t *keys) {
	return n + ((size_t)n->next + (size_t)(keys[n->column] > n->limit));
}

// The first levels of a tree, filled up to a perfect one: node i has the children
// 2i and 2i + 1, the root is 1, and level l begins at 2^l. What lies below is at
// i mod 64 in leaf, if nothing of the tree is deeper, and in node: nodes of the
// flat form.
enum { TOP_NODES = 64 };

struct tree_top {
	int32_t limit[TOP_NODES];
	int32_t column[TOP_NODES]; // times the lanes
	int32_t leaf[TOP_NODES];
	int32_t node[TOP_NODES];
	int32_t levels, rest, target; // levels here, and below at most
	int32_t unused[13];
};

struct tree_task {
	int64_t rows, ldx, trees, targets;
	int64_t columns, numeric, tables;
	int32_t plain;  // column i is feature i
	int32_t single; // each leaf has exactly one weight, for its tree's target
	int32_t threads;
	int32_t lanes; // rows that step together by the tops
	double divisor;
};

// start and depth: first node and depth of each tree. leaf and count: for each node with single the bits of
// the weight, else the first weight and how many. target: of each tree with single, else of each weight. base:
// targets values or NULL. tops: one a tree.
struct tree_forest {
	const struct tree_node *nodes;
	const int32_t *start, *depth, *leaf, *count, *target;
	const float *weight, *base;
	const struct tree_top *tops;
};

// Adds to sums, [row][target], what a leaf says of a row.
static inline void tree_add_leaf(const struct tree_forest *f, int64_t node, double *sums) {
	int32_t first = f->leaf[node], n = f->count[node];
	for (int32_t i = first; i < first + n; i++)
		sums[f->target[i]] += f->weight[i];
}

// Adds to sums what trees say of rows rows of keys: to [target][TREE_ROWS] with single, else
// to [row][target]. wide has room for columns·TREE_ROWS keys.
enum { TREE_ROWS = 64 };
#define TREE_TOPS(name) \
	void name(const struct tree_task *t, const struct tree_forest *f, const int32_t *keys, int64_t rows, int32_t *wide, double *sums)
TREE_TOPS(aimass_tree_tops_avx2);
TREE_TOPS(aimass_tree_tops_avx512);

// features and missing: of the numeric columns, the key for NaN. The other arrays are those of tree_forest.
void aimass_tree(const struct tree_task *t, const int32_t *features, const int32_t *missing, const struct tree_table *tables,
                 const int32_t *members, const float *cells, const struct tree_node *nodes, const int32_t *start,
                 const int32_t *depth, const int32_t *leaf, const int32_t *count, const int32_t *target, const float *weight,
                 const float *base, const struct tree_top *tops, const float *x, float *dst);

#endif
