// What the Go side of tree calls; see tree.go.
#ifndef AIMASS_TREE_H
#define AIMASS_TREE_H

#include <stdint.h>

// A node tests x[feature] <= limit: if so the walk goes on next nodes further
// right, otherwise next + 1. A leaf has limit +Inf and next 0, so it stays
// where it is and trees of different depths can step together.
struct tree_node {
	float limit;
	uint16_t feature, next;
};

struct tree_task {
	int64_t rows, ldx, trees, targets, features;
	int32_t single; // each leaf has exactly one weight, for target 0
	int32_t threads;
	double divisor;
};

// start and depth: first node and depth of each tree. leaf: for each node with single the bits of
// the weight, else the first weight; count: for each node its weights, and
// bit 30 set if a NaN goes to next. base: targets values or NULL.
void aimass_tree(const struct tree_task *t, const struct tree_node *nodes, const int32_t *start, const int32_t *depth, const int32_t *leaf,
                 const int32_t *count, const int32_t *target, const float *weight, const float *base,
                 const float *x, float *dst);

#endif
