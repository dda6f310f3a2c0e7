// Register tiles of the byte GEMM: MR rows by a panel of NR = 2·VL columns.
//
// B is [k/4][NR][4] bytes, signed; a row of A is its bytes, unsigned, and 32 bits of it are a group.
// AVX-512 with VNNI: vpdpbusd takes a group at a time, exactly.
// AVX2: vpmaddubsw sums pairs of products in 16 bits that saturate. It is exact all the same, since A and B
// hold no more than such pairs bear, and what they had beyond that is added behind (struct rest, struct over).
// Where weights are small enough, the pairs of two groups are summed before they become 32 bits: quads.
#ifndef AIMASS_QUANT_TILE_H
#define AIMASS_QUANT_TILE_H

#include "simd.h"

#if VL == 16
#pragma GCC target("avx512vnni")
#define MRMAX 12
#else
#define MRMAX 6
#define QUADS 4 // rows of a tile of quads: their sums and two groups of B fill the registers
#endif
#define GROUP 4
#define NR (2 * VL)

#if VL == 16
INLINE vi b_load(const int8_t *b) { return _mm512_loadu_si512(b); }
INLINE vi a_set(int32_t x) { return _mm512_set1_epi32(x); }
INLINE vi dot(vi s, vi a, vi b) { return _mm512_dpbusd_epi32(s, a, b); }
INLINE void i_store(int32_t *p, vi x) { _mm512_storeu_si512(p, x); }
INLINE vi i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE vi i_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
#else
INLINE vi b_load(const int8_t *b) { return _mm256_loadu_si256((const __m256i *)b); }
INLINE vi a_set(int32_t x) { return _mm256_set1_epi32(x); }
INLINE vi dot(vi s, vi a, vi b) { return _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1))); }
INLINE void i_store(int32_t *p, vi x) { _mm256_storeu_si256((__m256i *)p, x); }
INLINE vi i_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vi i_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
#endif

// What pairs could not bear of the weights of a panel, by halves of VL columns: at the groups at, in ascending order,
// values holds what is to be added to B, laid out as half a group of it.
struct rest {
	const int32_t *at;
	const int8_t *values;
	long n;
};

// What they could not bear of the rows of a tile: at the groups at, in ascending order, values holds the bytes of MRMAX rows, to
// be added to A; those of the negative groups, behind the others, to be taken from it.
struct over {
	int32_t *at;
	uint8_t *values;
	long positive, negative;
};

// Where a tile's results will be stored, and what is added to them: rows that begin row and more bytes apart. They come into the cache while
// the tile is computed, since they lie too far apart for the hardware to see where they are going; row by row, since many fetches
// at once would hold up those of B.
struct place {
	const char *at, *add;
	long row, more;
};

INLINE void fetch_row(struct place *p, int next) {
	__builtin_prefetch(p->at, 1);
	__builtin_prefetch(p->at + 64, 1);
	__builtin_prefetch(p->add);
	__builtin_prefetch(p->add + 64);
	p->at += next ? p->row : 0;
	p->add += next ? p->more : 0;
}

// A tile of rows that begin row bytes apart.
typedef void quant_fn(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c, const struct place *place, const struct rest *rest, const struct over *over);

INLINE int32_t a_group(const uint8_t *a) {
	int32_t x;
	memcpy(&x, a, 4);
	return x;
}

#if VL == 8
INLINE void add_rest(vi acc[][2], int mr, const uint8_t *a, long row, const struct rest *rest) {
	UNROLL(2) for (int h = 0; h < 2; h++)
		for (long e = 0; e < rest[h].n; e++) {
			vi b = b_load(rest[h].values + e * VL * GROUP);
			const uint8_t *p = a + (long)rest[h].at[e] * GROUP;
			UNROLL(6) for (int r = 0; r < mr; r++)
				acc[r][h] = dot(acc[r][h], a_set(a_group(p + r * row)), b);
		}
}

// acc += over·B, of the groups from..to.
INLINE void add_over(vi acc[][2], int mr, const struct over *over, long from, long to, const int8_t *b, const struct rest *rest) {
	long w[2] = {0, 0};
	for (long e = from; e < to; e++) {
		const uint8_t *v = over->values + e * MRMAX * GROUP;
		long g = over->at[e];
		vi b0 = b_load(b + g * NR * GROUP), b1 = b_load(b + g * NR * GROUP + VL * GROUP);
		UNROLL(6) for (int r = 0; r < mr; r++) {
			vi x = a_set(a_group(v + r * GROUP));
			acc[r][0] = dot(acc[r][0], x, b0);
			acc[r][1] = dot(acc[r][1], x, b1);
		}
		UNROLL(2) for (int h = 0; h < 2; h++) {
			while (w[h] < rest[h].n && rest[h].at[w[h]] < g)
				w[h]++;
			for (; w[h] < rest[h].n && rest[h].at[w[h]] == g; w[h]++) {
				vi more = b_load(rest[h].values + w[h] * VL * GROUP);
				UNROLL(6) for (int r = 0; r < mr; r++)
					acc[r][h] = dot(acc[r][h], a_set(a_group(v + r * GROUP)), more);
			}
		}
	}
}

INLINE void negate(vi acc[][2], int mr) {
	UNROLL(6) for (int r = 0; r < mr; r++) {
		acc[r][0] = i_sub(i_set(0), acc[r][0]);
		acc[r][1] = i_sub(i_set(0), acc[r][1]);
	}
}

INLINE void add_apart(vi acc[][2], int mr, const uint8_t *a, long row, const int8_t *b, const struct rest *rest, const struct over *over) {
	add_rest(acc, mr, a, row, rest);
	add_over(acc, mr, over, 0, over->positive, b, rest);
	if (over->negative) {
		negate(acc, mr);
		add_over(acc, mr, over, over->positive, over->positive + over->negative, b, rest);
		negate(acc, mr);
	}
}
#else
#define add_apart(acc, mr, a, row, b, rest, over) (void)(rest), (void)(over)
#endif

// Every third row has a pointer, so that three rows are within reach of an address.
#define QUANT_TILE(MR) \
	static void quant_##MR(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c, const struct place *place, const struct rest *rest, const struct over *over) { \
		vi acc[MR][2]; \
		const int8_t *first = b; \
		(void)first; \
		struct place out = *place; \
		const uint8_t *p[(MR + 2) / 3]; \
		UNROLL(4) for (int r = 0; r < MR; r += 3) \
			p[r / 3] = a + r * row; \
		UNROLL(12) for (int r = 0; r < MR; r++) \
			acc[r][0] = acc[r][1] = i_set(0); \
		UNROLL(4) for (long g = 0; g < groups; g++) { \
			vi b0 = b_load(b), b1 = b_load(b + VL * GROUP); \
			for (int line = 0; line < NR * GROUP; line += 64) \
				_mm_prefetch((const char *)b + 4096 + line, _MM_HINT_T0); \
			fetch_row(&out, g < MR - 1); \
			UNROLL(12) for (int r = 0; r < MR; r++) { \
				vi v = a_set(a_group(p[r / 3] + (r % 3) * row)); \
				acc[r][0] = dot(acc[r][0], v, b0); \
				acc[r][1] = dot(acc[r][1], v, b1); \
			} \
			UNROLL(4) for (int r = 0; r < MR; r += 3) \
				p[r / 3] += 4; \
			b += NR * GROUP; \
		} \
		add_apart(acc, MR, a, row, first, rest, over); \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			i_store(c + r * NR, acc[r][0]); \
			i_store(c + r * NR + VL, acc[r][1]); \
		} \
	}

#if VL == 8
INLINE vi quad(vi s, vi a0, vi b0, vi a1, vi b1) {
	vi pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a0, b0), _mm256_maddubs_epi16(a1, b1));
	return _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#define QUAD_TILE(MR) \
	static void quads_##MR(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c, const struct place *place, const struct rest *rest, const struct over *over) { \
		vi acc[MR][2]; \
		const int8_t *first = b; \
		struct place out = *place; \
		const uint8_t *p = a; \
		UNROLL(4) for (int r = 0; r < MR; r++) \
			acc[r][0] = acc[r][1] = i_set(0); \
		for (long g = 0; g + 2 <= groups; g += 2, p += 2 * GROUP, b += 2 * NR * GROUP) { \
			vi b00 = b_load(b), b01 = b_load(b + VL * GROUP), b10 = b_load(b + NR * GROUP), b11 = b_load(b + (NR + VL) * GROUP); \
			_mm_prefetch((const char *)b + 4096, _MM_HINT_T0); \
			_mm_prefetch((const char *)b + 4096 + 64, _MM_HINT_T0); \
			fetch_row(&out, g < 2 * (MR - 1)); \
			UNROLL(4) for (int r = 0; r < MR; r++) { \
				vi x = a_set(a_group(p + r * row)), y = a_set(a_group(p + r * row + GROUP)); \
				acc[r][0] = quad(acc[r][0], x, b00, y, b10); \
				acc[r][1] = quad(acc[r][1], x, b01, y, b11); \
			} \
		} \
		if (groups & 1) \
			UNROLL(4) for (int r = 0; r < MR; r++) { \
				vi x = a_set(a_group(p + r * row)); \
				acc[r][0] = dot(acc[r][0], x, b_load(b)); \
				acc[r][1] = dot(acc[r][1], x, b_load(b + VL * GROUP)); \
			} \
		add_apart(acc, MR, a, row, first, rest, over); \
		UNROLL(4) for (int r = 0; r < MR; r++) { \
			i_store(c + r * NR, acc[r][0]); \
			i_store(c + r * NR + VL, acc[r][1]); \
		} \
	}

QUAD_TILE(2) QUAD_TILE(3) QUAD_TILE(4)
#endif

// One row has too few sums in flight; it keeps four sets.
static void quant_1(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c, const struct place *place, const struct rest *rest, const struct over *over) {
	(void)row, (void)place;
	vi s[4][2];
	const int8_t *first = b;
	(void)first;
	UNROLL(4) for (int i = 0; i < 4; i++)
		s[i][0] = s[i][1] = i_set(0);
	long g = 0;
	for (; g + 4 <= groups; g += 4, b += 4 * NR * GROUP) {
		_mm_prefetch((const char *)b + 2048, _MM_HINT_T0);
		_mm_prefetch((const char *)b + 2048 + 64, _MM_HINT_T0);
		UNROLL(4) for (int i = 0; i < 4; i++) {
			vi v = a_set(a_group(a + 4 * (g + i)));
			s[i][0] = dot(s[i][0], v, b_load(b + i * NR * GROUP));
			s[i][1] = dot(s[i][1], v, b_load(b + i * NR * GROUP + VL * GROUP));
		}
	}
	for (; g < groups; g++, b += NR * GROUP) {
		vi v = a_set(a_group(a + 4 * g));
		s[0][0] = dot(s[0][0], v, b_load(b));
		s[0][1] = dot(s[0][1], v, b_load(b + VL * GROUP));
	}
	add_apart(s, 1, a, row, first, rest, over);
	UNROLL(2) for (int j = 0; j < 2; j++)
		i_store(c + j * VL, i_add(i_add(s[0][j], s[1][j]), i_add(s[2][j], s[3][j])));
}

QUANT_TILE(2) QUANT_TILE(3) QUANT_TILE(4) QUANT_TILE(5) QUANT_TILE(6)
#if VL == 16
QUANT_TILE(7) QUANT_TILE(8) QUANT_TILE(9) QUANT_TILE(10) QUANT_TILE(11) QUANT_TILE(12)
#endif

static quant_fn *const quant_tile[MRMAX + 1] = {
	0, quant_1, quant_2, quant_3, quant_4, quant_5, quant_6,
#if VL == 16
	quant_7, quant_8, quant_9, quant_10, quant_11, quant_12,
#endif
};
#if VL == 8
static quant_fn *const quads_tile[QUADS + 1] = {0, quant_1, quads_2, quads_3, quads_4};
#endif

#endif
