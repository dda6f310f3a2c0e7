// Functions of a byte by a table of all 256, for the instruction set of simd.h.
#ifndef AIMASS_TABLE_H
#define AIMASS_TABLE_H

#include "simd.h"

// Sixteen registers of sixteen entries: an index out of a register's range raises the bit that
// makes vpshufb give 0.
static void table_shuffle(uint8_t *dst, const uint8_t *src, long n, const uint8_t *table) {
	long i = 0;
	const __m256i bias = _mm256_set1_epi8(0x70);
	for (; i + 32 <= n; i += 32) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(src + i)), y = _mm256_setzero_si256();
		UNROLL(16) for (int h = 0; h < 16; h++) {
			__m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * h)));
			__m256i at = _mm256_adds_epu8(_mm256_xor_si256(x, _mm256_set1_epi8((char)(16 * h))), bias);
			y = _mm256_or_si256(y, _mm256_shuffle_epi8(t, at));
		}
		_mm256_storeu_si256((__m256i *)(dst + i), y);
	}
	for (; i < n; i++)
		dst[i] = table[src[i]];
}

#if VL == 16
__attribute__((target("avx512vbmi"))) static void table_permute(uint8_t *dst, const uint8_t *src, long n, const uint8_t *table) {
	__m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64), t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
	for (long i = 0; i < n; i += 64) {
		__mmask64 m = n - i >= 64 ? ~0ull : (1ull << (n - i)) - 1;
		__m512i x = _mm512_maskz_loadu_epi8(m, src + i);
		__m512i y = _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), _mm512_permutex2var_epi8(t0, x, t1), _mm512_permutex2var_epi8(t2, x, t3));
		_mm512_mask_storeu_epi8(dst + i, m, y);
	}
}
#endif

// dst may be src.
static inline void table_map(uint8_t *dst, const uint8_t *src, long n, const uint8_t *table) {
#if VL == 16
	if (__builtin_cpu_supports("avx512vbmi")) {
		table_permute(dst, src, n, table);
		return;
	}
#endif
	table_shuffle(dst, src, n, table);
}

#endif
