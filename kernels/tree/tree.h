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

// A node tests tree_key(x[feature]) <= limit: if so the walk goes on next nodes
// further right, otherwise next + 1. A leaf has the limit of +Inf and next 0, so
// it stays where it is and trees of different depths can step together.
struct tree_node {
	int32_t limit;
	uint16_t feature, next;
};

// The node after n for a row of keys.
static inline const struct tree_node *tree_step(const struct tree_node *n, const int32_t *keys) {
	return n + ((size_t)n->next + (size_t)(keys[n->feature] > n->limit));
}

// The first levels of a tree, filled up to a perfect one: node i has the children
// 2i and 2i + 1, the root is 1, and level l begins at 2^l. What lies below is at
// i mod 64 in weight, if nothing of the tree is deeper, and in node: nodes of the
// flat form.
enum { TOP_NODES = 64 };

struct tree_top {
	float limit[TOP_NODES];
	int32_t feature[TOP_NODES]; // times the lanes
	float weight[TOP_NODES];
	int32_t node[TOP_NODES];
	int32_t levels, rest, target; // levels here, and below at most
	int32_t unused[13];
};

struct tree_task {
	int64_t rows, ldx, trees, targets, features;
	int32_t single; // each leaf has exactly one weight, for its tree's target
	int32_t threads;
	int32_t lanes; // rows that step together by the tops; 0: there are none
	double divisor;
};

// Adds to sums, [target][TREE_ROWS], what trees say of rows rows at x, whose keys are at
// keys, features a row; wide has room for features·TREE_ROWS floats. No value of x is NaN, or its row's sums mean nothing.
enum { TREE_ROWS = 64 };
#define TREE_TOPS(name) \
	void name(const struct tree_task *t, const struct tree_top *tops, const struct tree_node *nodes, const int32_t *leaf, \
	          const float *x, const int32_t *keys, int64_t rows, float *wide, double *sums)
TREE_TOPS(aimass_tree_tops_avx2);
TREE_TOPS(aimass_tree_tops_avx512);

// start and depth: first node and depth of each tree. leaf: for each node with single the bits of
// the weight, else the first weight; count: for each node its weights, and
// bit 30 set if a NaN goes to next. target: of each tree with single, else of each weight. base:
// targets values or NULL. tops: one a tree if there are lanes.
void aimass_tree(const struct tree_task *t, const struct tree_node *nodes, const int32_t *start, const int32_t *depth, const int32_t *leaf,
                 const int32_t *count, const int32_t *target, const float *weight, const float *base, const struct tree_top *tops,
                 const float *x, float *dst);

#endif
