//go:build cgo && !noasm

// Numbers of the usual forms, without branches that depend on them: their lengths, signs and digits vary, and a branch on what varies is
// mispredicted. What is unusual ends a run, and the caller does it.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "numeral.h"

#define TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt")))

static const uint64_t tens[20] = {1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull, 10000000ull, 100000000ull, 1000000000ull,
	10000000000ull, 100000000000ull, 1000000000000ull, 10000000000000ull, 100000000000000ull, 1000000000000000ull,
	10000000000000000ull, 100000000000000000ull, 1000000000000000000ull, 10000000000000000000ull};

// The last n bytes of 16, from byte n on.
static const int8_t tails[32] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

// eight makes a number of eight digits, the first in the lowest byte.
static inline uint64_t eight(uint64_t v) {
	v = v * 10 + (v >> 8);
	return ((v & 0x000000ff000000ffull) * 0x000f424000000064ull + ((v >> 16) & 0x000000ff000000ffull) * 0x0000271000000001ull) >> 32;
}

static inline uint64_t load64(const char *p) {
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

// lead is what must lie before a number: loads that end with its digits begin before it.
enum { lead = 24, window = 32, most = 19 };

// The number at *at, while there is one that is followed by a comma and another value, perhaps with a space between; *at is where
// the next one begins.
//
// After Lemire, "Number Parsing at a Gigabyte per Second" (2021), with one multiplication: the true product lies between hi and hi+2
// in units of 2^64, so rounding hi is right unless its remainder lies just below or on a half.
TARGET int64_t aimass_numeral_read_f32(const char *text, int64_t size, int64_t *at, char *dst, int64_t n, const uint64_t *pow10) {
	const char *s = text + *at, *last = text + size - window - 2;
	const __m256i zeros = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9);
	int64_t k = 0;
	if (*at < lead) {
		return 0;
	}
	for (; k < n && s <= last; k++) {
		const __m256i v = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)s), zeros);
		uint32_t other = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(v, nine), v));
		const uint32_t minus = *s == '-';
		other &= ~minus;
		const uint32_t first = _tzcnt_u32(other), second = _tzcnt_u32(_blsr_u32(other)); // 32: there is none
		const uint32_t point = first < 32 && s[first] == '.';
		const uint32_t end = point ? second : first;
		const uint32_t whole = first - minus, part = end - first - point;
		const char *next = s + end + 1;
		if (end >= window || s[end] != ',') {
			break;
		}
		next += *next == ' ';
		// A fraction of no digits, no digit before it or one too many zeros; more than 64 bits hold, or than the loads below.
		if ((whole - 1 > 7) | (whole + part > most) | (point & (part == 0)) | ((s[minus] == '0') & (whole > 1)) | ((unsigned char)*next <= ' ')) {
			break;
		}
		const uint64_t before = eight((load64(s + minus) ^ 0x3030303030303030ull) << (8 * (8 - whole)));
		const uint32_t low = part < 16 ? part : 16, high = part - low;
		__m128i digits = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(s + end - 16)), _mm256_castsi256_si128(zeros));
		digits = _mm_and_si128(digits, _mm_loadu_si128((const __m128i *)(tails + low)));
		__m128i x = _mm_maddubs_epi16(digits, _mm_set1_epi16(1 << 8 | 10));
		x = _mm_madd_epi16(x, _mm_set1_epi32(1 << 16 | 100));
		x = _mm_madd_epi16(_mm_packus_epi32(x, x), _mm_set1_epi32(1 << 16 | 10000));
		const uint64_t pair = (uint64_t)_mm_cvtsi128_si64(x);
		uint64_t mant = (pair & 0xffffffff) * 100000000 + (pair >> 32) + before * tens[part];
		if (__builtin_expect(high > 0, 0)) {
			mant += eight((load64(s + end - 24) ^ 0x3030303030303030ull) & (~0ull << (8 * (8 - high)))) * 10000000000000000ull;
		}
		uint32_t bits = 0;
		if (mant != 0) {
			const int lz = (int)_lzcnt_u64(mant);
			const uint64_t hi = (uint64_t)(((unsigned __int128)(mant << lz) * pow10[-(int64_t)part]) >> 64);
			const int upper = (int)(hi >> 63), shift = 39 + upper;
			const uint64_t rest = hi & ((1ull << shift) - 1), half = 1ull << (shift - 1);
			const int biased = ((-217706 * (int)part) >> 16) - 63 + 64 - lz + shift + 150; // floor(log2(10^q)) is 217706·q >> 16
			if ((rest - (half - 2) <= 2) | (biased < 1)) {
				break;
			}
			bits = ((uint32_t)(biased - 1) << 23) + (uint32_t)(hi >> shift) + (uint32_t)((half - rest) >> 63);
		}
		bits |= minus << 31;
		memcpy(dst + 4 * k, &bits, 4);
		s = next;
	}
	*at = s - text;
	return k;
}
