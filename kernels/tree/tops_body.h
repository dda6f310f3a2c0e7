// The first levels of trees for a vector of rows at a time, for one instruction
// set. A lane's place in a level selects its limit by a permutation; its column
// by blends of all the columns of the level, which cost less than a gather
// as long as a level is narrow.
#include "simd.h"
#include "tree.h"

INLINE vi load(const int32_t *p) { return v_bits(v_load((const float *)p)); }
INLINE vi sel(vm m, vi a, vi b) { return v_bits(v_sel(m, v_frombits(a), v_frombits(b))); }

// pick takes a table of 2·VL integers, pick32 one of 32, at the lanes' places, modulo its
// length. go_on gives 2·at, and 1 more where right.
#if VL == 16
INLINE vi pick(const int32_t *table, vi at) { return _mm512_permutex2var_epi32(load(table), at, load(table + VL)); }
INLINE vi pick32(const int32_t *table, vi at) { return pick(table, at); }
INLINE vm high_half(vi at) { return _mm512_test_epi32_mask(at, i_set(32)); }
INLINE vm above(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
INLINE vi go_on(vi at, vm right) { return _mm512_mask_add_epi32(i_add(at, at), right, i_add(at, at), i_set(1)); }
INLINE vi gather(const int32_t *p, vi at) { return _mm512_i32gather_epi32(at, p, 4); }
INLINE vi lane_numbers(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
#else
// Blends look at the sign: shifts bring the place's bit there.
INLINE vi pick(const int32_t *table, vi at) {
	return sel(v_frombits(i_shl(at, 28)), _mm256_permutevar8x32_epi32(load(table + VL), at), _mm256_permutevar8x32_epi32(load(table), at));
}
INLINE vi pick32(const int32_t *table, vi at) { return sel(v_frombits(i_shl(at, 27)), pick(table + 16, at), pick(table, at)); }
INLINE vm high_half(vi at) { return v_frombits(i_shl(at, 26)); }
INLINE vm above(vi a, vi b) { return v_frombits(_mm256_cmpgt_epi32(a, b)); }
INLINE vi go_on(vi at, vm right) { return i_sub(i_add(at, at), v_bits(right)); }
INLINE vi gather(const int32_t *p, vi at) { return _mm256_i32gather_epi32(p, at, 4); }
INLINE vi lane_numbers(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
#endif

INLINE vi pick64(const int32_t *table, vi at) { return sel(high_half(at), pick32(table + 32, at), pick32(table, at)); }

enum {
	BLENDED = 5,                // levels whose columns are blended
	TOGETHER = VL == 8 ? 2 : 1, // blocks whose steps alternate
};

// The columns of the 2^l nodes of a level, blended by where lanes went before.
INLINE vi blend_level(const int32_t *wide, const int32_t *column, int l, const vm *went) {
	vi v[16];
	UNROLL(16) for (int i = 0; i < 1 << l; i++)
		v[i] = load(wide + column[i]);
	UNROLL(4) for (int k = 0; k < l; k++)
		UNROLL(8) for (int i = 0; i < 1 << (l - 1 - k); i++)
			v[i] = sel(went[l - 1 - k], v[2 * i + 1], v[2 * i]);
	return v[0];
}

// Where n blocks of VL rows, stride apart, end in the first levels of a tree. The levels of one
// block wait for each other; those of two fill that time.
INLINE void descend(const struct tree_top *tree, const int32_t *wide, long stride, int n, vi *at) {
	vm went[TOGETHER][BLENDED];
	for (int b = 0; b < n; b++)
		at[b] = i_set(1);
	UNROLL(5) for (int l = 0; l < BLENDED; l++) {
		if (l >= tree->levels)
			return;
		UNROLL(2) for (int b = 0; b < n; b++) {
			vi limit = pick(tree->limit + ((1 << l) & -2 * VL), at[b]);
			went[b][l] = above(blend_level(wide + b * stride, tree->column + (1 << l), l, went[b]), limit);
			at[b] = go_on(at[b], went[b][l]);
		}
	}
	if (tree->levels == BLENDED)
		return;
	UNROLL(2) for (int b = 0; b < n; b++) {
		vi value = gather(wide + b * stride, i_add(pick32(tree->column + 32, at[b]), lane_numbers()));
		at[b] = go_on(at[b], above(value, pick32(tree->limit + 32, at[b])));
	}
}

// Some levels further for eight lanes. Gives 0 if all had arrived before the last of them.
INLINE uint32_t walk_levels(const struct tree_node **p, const int32_t *wide, int levels) {
	uint32_t on = 0;
	for (int l = 0; l < levels; l++) {
		on = 0;
		UNROLL(8) for (int i = 0; i < 8; i++) {
			on |= p[i]->next;
			p[i] += (size_t)p[i]->next + (size_t)(wide[(size_t)p[i]->column * VL + i] > p[i]->limit);
		}
	}
	return on;
}

// Walks on from what a tree has below its first levels, all lanes together, to nodes; looks now
// and then whether all have arrived.
__attribute__((noinline)) static void walk_rest(const struct tree_top *tree, const struct tree_node *nodes, const int32_t *wide, vi places, int32_t *out) {
	int32_t at[VL];
	memcpy(at, &places, sizeof at);
	for (int h = 0; h < VL; h += 8) {
		const struct tree_node *p[8];
		UNROLL(8) for (int i = 0; i < 8; i++)
			p[i] = nodes + tree->node[at[h + i] & (TOP_NODES - 1)];
		int rest = tree->rest;
		if (walk_levels(p, wide + h, rest % 4) || rest % 4 == 0)
			for (rest -= rest % 4; rest > 0 && walk_levels(p, wide + h, 4); rest -= 4)
				;
		UNROLL(8) for (int i = 0; i < 8; i++)
			out[h + i] = (int32_t)(p[i] - nodes);
	}
}

INLINE void add_doubles(double *sums, vi bits) {
	vf w = v_frombits(bits);
#if VL == 16
	_mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_cvtps_pd(_mm512_castps512_ps256(w))));
	_mm512_storeu_pd(sums + 8, _mm512_add_pd(_mm512_loadu_pd(sums + 8), _mm512_cvtps_pd(_mm512_extractf32x8_ps(w, 1))));
#else
	_mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_cvtps_pd(_mm256_castps256_ps128(w))));
	_mm256_storeu_pd(sums + 4, _mm256_add_pd(_mm256_loadu_pd(sums + 4), _mm256_cvtps_pd(_mm256_extractf128_ps(w, 1))));
#endif
}

// What one tree says of n blocks from row on.
INLINE void blocks_of(const struct tree_task *t, const struct tree_forest *f, const struct tree_top *tree, const int32_t *wide, long row,
                      long rows, int n, double *sums) {
	vi at[TOGETHER];
	descend(tree, wide + row * t->columns, t->columns * VL, n, at);
	UNROLL(2) for (int b = 0; b < n; b++, row += VL) {
		if (t->single && tree->rest == 0) {
			add_doubles(sums + tree->target * TREE_ROWS + row, pick64(tree->leaf, at[b]));
			continue;
		}
		int32_t end[VL];
		long lanes = rows - row < VL ? rows - row : VL;
		walk_rest(tree, f->nodes, wide + row * t->columns, at[b], end);
		for (int i = 0; i < lanes; i++) {
			if (t->single) {
				float w;
				memcpy(&w, f->leaf + end[i], sizeof w);
				sums[tree->target * TREE_ROWS + row + i] += w;
			} else {
				tree_add_leaf(f, end[i], sums + (row + i) * t->targets);
			}
		}
	}
}

// A tree goes over all rows before the next one, so its tables stay in the
// first-level cache.
TREE_TOPS(ISA(aimass_tree_tops)) {
	long blocks = (rows + VL - 1) / VL, n = t->columns;
	for (long b = 0; b < blocks; b++)
		for (long c = 0; c < n; c++)
			for (long i = 0; i < VL; i++)
				wide[(b * n + c) * VL + i] = b * VL + i < rows ? keys[(b * VL + i) * n + c] : 0;
	for (long k = 0; k < t->trees; k++) {
		long b = 0;
		for (; b + TOGETHER <= blocks; b += TOGETHER)
			blocks_of(t, f, f->tops + k, wide, b * VL, rows, TOGETHER, sums);
		if (TOGETHER > 1 && b < blocks)
			blocks_of(t, f, f->tops + k, wide, b * VL, rows, 1, sums);
	}
}
