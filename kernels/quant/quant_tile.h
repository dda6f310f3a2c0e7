// Register tiles of the byte GEMM: MR rows by a panel of NR = 2·VL columns.
//
// AVX-512 with VNNI: vpdpbusd takes four k at a time, unsigned A times signed
// B, exactly. B is [k/4][NR][4] bytes, a row of A is its bytes.
// AVX2: both sides widen to int16 and vpmaddwd takes two k at a time, exactly
// (vpmaddubsw would saturate). B is [k/2][NR][2] bytes, a row of A is its
// bytes as int16. A group of either is 32 bits of a row.
#ifndef AIMASS_QUANT_TILE_H
#define AIMASS_QUANT_TILE_H

#include "simd.h"

#if VL == 16
#pragma GCC target("avx512vnni")
#define MRMAX 12
#define GROUP 4
#else
#define MRMAX 6
#define GROUP 2
#endif
#define NR (2 * VL)

#if VL == 16
INLINE vi b_load(const int8_t *b) { return _mm512_loadu_si512(b); }
INLINE vi a_set(int32_t x) { return _mm512_set1_epi32(x); }
INLINE vi dot(vi s, vi a, vi b) { return _mm512_dpbusd_epi32(s, a, b); }
INLINE void i_store(int32_t *p, vi x) { _mm512_storeu_si512(p, x); }
INLINE vi i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE vi i_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
#else
INLINE vi b_load(const int8_t *b) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)b)); }
INLINE vi a_set(int32_t x) { return _mm256_set1_epi32(x); }
INLINE vi dot(vi s, vi a, vi b) { return _mm256_add_epi32(s, _mm256_madd_epi16(a, b)); }
INLINE void i_store(int32_t *p, vi x) { _mm256_storeu_si256((__m256i *)p, x); }
INLINE vi i_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vi i_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
#endif

// A tile of rows that begin row bytes apart.
typedef void quant_fn(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c);

INLINE int32_t a_group(const uint8_t *a) {
	int32_t x;
	memcpy(&x, a, 4);
	return x;
}

// Every third row has a pointer, so that three rows are within reach of an address.
#define QUANT_TILE(MR) \
	static void quant_##MR(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c) { \
		vi acc[MR][2]; \
		const uint8_t *p[(MR + 2) / 3]; \
		UNROLL(4) for (int r = 0; r < MR; r += 3) \
			p[r / 3] = a + r * row; \
		UNROLL(12) for (int r = 0; r < MR; r++) \
			acc[r][0] = acc[r][1] = i_set(0); \
		UNROLL(4) for (long g = 0; g < groups; g++) { \
			vi b0 = b_load(b), b1 = b_load(b + VL * GROUP); \
			_mm_prefetch((const char *)b + 4096, _MM_HINT_T0); \
			_mm_prefetch((const char *)b + 4160, _MM_HINT_T0); \
			UNROLL(12) for (int r = 0; r < MR; r++) { \
				vi x = a_set(a_group(p[r / 3] + (r % 3) * row)); \
				acc[r][0] = dot(acc[r][0], x, b0); \
				acc[r][1] = dot(acc[r][1], x, b1); \
			} \
			UNROLL(4) for (int r = 0; r < MR; r += 3) \
				p[r / 3] += 4; \
			b += NR * GROUP; \
		} \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			i_store(c + r * NR, acc[r][0]); \
			i_store(c + r * NR + VL, acc[r][1]); \
		} \
	}

// One row has too few sums in flight; it keeps four sets.
static void quant_1(long groups, const uint8_t *a, long row, const int8_t *b, int32_t *c) {
	(void)row;
	vi s[4][2];
	UNROLL(4) for (int i = 0; i < 4; i++)
		s[i][0] = s[i][1] = i_set(0);
	long g = 0;
	for (; g + 4 <= groups; g += 4, b += 4 * NR * GROUP) {
		_mm_prefetch((const char *)b + 2048, _MM_HINT_T0);
		_mm_prefetch((const char *)b + 2048 + 64, _MM_HINT_T0);
		UNROLL(4) for (int i = 0; i < 4; i++) {
			vi x = a_set(a_group(a + 4 * (g + i)));
			s[i][0] = dot(s[i][0], x, b_load(b + i * NR * GROUP));
			s[i][1] = dot(s[i][1], x, b_load(b + i * NR * GROUP + VL * GROUP));
		}
	}
	for (; g < groups; g++, b += NR * GROUP) {
		vi x = a_set(a_group(a + 4 * g));
		s[0][0] = dot(s[0][0], x, b_load(b));
		s[0][1] = dot(s[0][1], x, b_load(b + VL * GROUP));
	}
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

#endif
