// Registers of integers from and to bytes, for the instruction set of simd.h.
#ifndef AIMASS_BYTES_H
#define AIMASS_BYTES_H

#include <string.h>

#include "simd.h"

// byte_ints reads n ≤ VL bytes; those that are missing are 0. put_ints writes n, which saturate.
#if VL == 16
INLINE vi byte_ints(const uint8_t *p, long n, int is_signed) {
	__m128i x = _mm_maskz_loadu_epi8(v_first(n), p);
	return is_signed ? _mm512_cvtepi8_epi32(x) : _mm512_cvtepu8_epi32(x);
}
INLINE void put_ints(uint8_t *p, vi q, long n, int is_signed) {
	_mm_mask_storeu_epi8(p, v_first(n), is_signed ? _mm512_cvtsepi32_epi8(q) : _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
}
#else
INLINE vi byte_ints(const uint8_t *p, long n, int is_signed) {
	int64_t bits = 0;
	if (n == 8)
		memcpy(&bits, p, 8);
	else
		memcpy(&bits, p, (size_t)n);
	__m128i x = _mm_cvtsi64_si128(bits);
	return is_signed ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x);
}
INLINE void put_ints(uint8_t *p, vi q, long n, int is_signed) {
	__m128i w = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
	w = is_signed ? _mm_packs_epi16(w, w) : _mm_packus_epi16(w, w);
	int64_t bits = _mm_cvtsi128_si64(w);
	if (n == 8)
		memcpy(p, &bits, 8);
	else
		memcpy(p, &bits, (size_t)n);
}
#endif

#endif
