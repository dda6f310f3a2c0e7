// The first levels of trees for a vector of rows at a time, for one instruction
// set. A lane's place in a level selects its limit by a permutation; its feature
// by blends of all the features of the level, which cost less than a gather
// as long as a level is narrow.
#include "simd.h"
#include "tree.h"

// A table of 2·VL floats at the lanes' places, modulo its length.
#if VL == 16
INLINE vf pick(const float *table, vi at) {
	return _mm512_permutex2var_ps(v_load(table), at, v_load(table + VL));
}
#else
INLINE vf pick(const float *table, vi at) {
	vf lo = _mm256_permutevar8x32_ps(v_load(table), at), hi = _mm256_permutevar8x32_ps(v_load(table + VL), at);
	return v_sel(_mm256_castsi256_ps(i_shl(at, 28)), hi, lo);
}
#endif

// Where not, 0 and, where so, 1.
INLINE vi one_where(vm m) { return v_bits(v_sel(m, v_frombits(i_set(1)), v_zero())); }

// The features of the 2^l nodes of a level, blended by where lanes went before.
INLINE vf blend_level(const float *wide, const int32_t *feature, int l, const vm *went) {
	vf v[16];
	UNROLL(16) for (int i = 0; i < 1 << l; i++)
		v[i] = v_load(wide + feature[i]);
	UNROLL(4) for (int k = 0; k < l; k++)
		UNROLL(8) for (int i = 0; i < 1 << (l - 1 - k); i++)
			v[i] = v_sel(went[l - 1 - k], v[2 * i + 1], v[2 * i]);
	return v[0];
}

#if VL == 16
INLINE vf wide_pick(const float *table, vi at) { return pick(table, at); }
INLINE vf gather(const float *p, vi at) { return _mm512_i32gather_ps(at, p, 4); }
INLINE vi lane_numbers(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
#else
INLINE vf wide_pick(const float *table, vi at) {
	return v_sel(_mm256_castsi256_ps(i_shl(at, 27)), pick(table + 16, at), pick(table, at));
}
INLINE vf gather(const float *p, vi at) { return _mm256_i32gather_ps(p, at, 4); }
INLINE vi lane_numbers(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
#endif

enum {
	BLENDED = 5,                // levels whose features are blended
	TOGETHER = VL == 8 ? 2 : 1, // blocks whose steps alternate
};

// Where n blocks of VL rows, stride apart, end in the first levels of a tree. The levels of one
// block wait for each other; those of two fill that time.
INLINE void descend(const struct tree_top *tree, const float *wide, long stride, int n, vi *at) {
	vm went[TOGETHER][BLENDED];
	for (int b = 0; b < n; b++)
		at[b] = i_set(1);
	UNROLL(5) for (int l = 0; l < BLENDED; l++) {
		if (l >= tree->levels)
			return;
		UNROLL(2) for (int b = 0; b < n; b++) {
			vf limit = pick(tree->limit + ((1 << l) & -2 * VL), at[b]);
			went[b][l] = v_lt(limit, blend_level(wide + b * stride, tree->feature + (1 << l), l, went[b]));
			at[b] = i_add(i_add(at[b], at[b]), one_where(went[b][l]));
		}
	}
	if (tree->levels == BLENDED)
		return;
	UNROLL(2) for (int b = 0; b < n; b++) {
		vi feature = v_bits(wide_pick((const float *)tree->feature + 32, at[b]));
		vf value = gather(wide + b * stride, i_add(feature, lane_numbers()));
		at[b] = i_add(i_add(at[b], at[b]), one_where(v_lt(wide_pick(tree->limit + 32, at[b]), value)));
	}
}

INLINE vf weight_at(const struct tree_top *tree, vi at) {
#if VL == 16
	vm high = _mm512_test_epi32_mask(at, i_set(32));
	return v_sel(high, pick(tree->weight + 32, at), pick(tree->weight, at));
#else
	vf far = _mm256_castsi256_ps(i_shl(at, 26)); // the sign is bit 5
	return v_sel(far, wide_pick(tree->weight + 32, at), wide_pick(tree->weight, at));
#endif
}

// One level further for n lanes, each in its row of keys.
INLINE void walk_level(const struct tree_node **p, const int32_t *keys, long features, long n) {
	UNROLL(8) for (int i = 0; i < n; i++)
		p[i] = tree_step(p[i], keys + i * features);
}

// Walks on from what a tree has below its first levels, all lanes together; looks now
// and then whether all have arrived.
static void walk_rest(const struct tree_top *tree, const struct tree_node *nodes, const int32_t *leaf, const int32_t *keys, long features,
                      vi places, long n, float *weight) {
	int32_t at[VL];
	const struct tree_node *p[VL];
	memcpy(at, &places, sizeof at);
	for (int i = 0; i < VL; i++)
		p[i] = nodes + tree->node[at[i] & (TOP_NODES - 1)];
	int rest = tree->rest;
	for (; rest % 4 > 0; rest--)
		walk_level(p, keys, features, n);
	for (; rest > 0; rest -= 4) {
		const struct tree_node *before[VL];
		memcpy(before, p, sizeof p);
		for (int l = 0; l < 4; l++)
			walk_level(p, keys, features, n);
		if (!memcmp(before, p, n * sizeof *p))
			break;
	}
	for (int i = 0; i < n; i++)
		memcpy(weight + i, leaf + (p[i] - nodes), sizeof *weight);
}

INLINE void add_doubles(double *sums, vf w) {
#if VL == 16
	_mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_cvtps_pd(_mm512_castps512_ps256(w))));
	_mm512_storeu_pd(sums + 8, _mm512_add_pd(_mm512_loadu_pd(sums + 8), _mm512_cvtps_pd(_mm512_extractf32x8_ps(w, 1))));
#else
	_mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_cvtps_pd(_mm256_castps256_ps128(w))));
	_mm256_storeu_pd(sums + 4, _mm256_add_pd(_mm256_loadu_pd(sums + 4), _mm256_cvtps_pd(_mm256_extractf128_ps(w, 1))));
#endif
}

// What one tree says of n blocks, the first of which is at wide and has left rows that count.
INLINE void blocks_of(const struct tree_task *t, const struct tree_top *tree, const struct tree_node *nodes, const int32_t *leaf,
                      const float *wide, const int32_t *keys, long left, int n, double *sums) {
	vi at[TOGETHER];
	descend(tree, wide, t->features * VL, n, at);
	UNROLL(2) for (int b = 0; b < n; b++) {
		vf w;
		if (tree->rest > 0) {
			float out[VL] = {0};
			long rows = left - b * VL < VL ? left - b * VL : VL;
			walk_rest(tree, nodes, leaf, keys + b * VL * t->features, t->features, at[b], rows, out);
			w = v_load(out);
		} else {
			w = weight_at(tree, at[b]);
		}
		add_doubles(sums + b * VL, w);
	}
}

// A tree goes over all rows before the next one, so its tables stay in the
// first-level cache.
TREE_TOPS(ISA(aimass_tree_tops)) {
	long blocks = (rows + VL - 1) / VL, size = t->features * VL;
	for (long b = 0; b < blocks; b++)
		for (long f = 0; f < t->features; f++)
			for (long i = 0; i < VL; i++)
				wide[b * size + f * VL + i] = b * VL + i < rows ? x[(b * VL + i) * t->ldx + f] : 0;
	for (long k = 0; k < t->trees; k++) {
		const struct tree_top *tree = tops + k;
		double *s = sums + (long)tree->target * TREE_ROWS;
		long b = 0;
		for (; b + TOGETHER <= blocks; b += TOGETHER)
			blocks_of(t, tree, nodes, leaf, wide + b * size, keys + b * VL * t->features, rows - b * VL, TOGETHER, s + b * VL);
		if (b < blocks)
			blocks_of(t, tree, nodes, leaf, wide + b * size, keys + b * VL * t->features, rows - b * VL, 1, s + b * VL);
	}
}
