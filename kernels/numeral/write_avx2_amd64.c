//go:build cgo && !noasm

// A group of numbers is computed without branches, by loops that the compiler makes into vectors, and then put into text one by one.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "numeral.h"

#define TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt")))

enum { least = -5, greatest = 9, step = 16, group = 32 };

// How nine digits stand in the text of a number whose decimal point is behind the point-th digit, for point from least to greatest: the digit
// for each byte, or D.

#define D 0x80
static const _Alignas(16) uint8_t places[greatest - least + 1][step] = {
	{D, D, D, D, D, D, D, 0, 1, 2, 3, 4, 5, 6, 7, 8}, {D, D, D, D, D, D, 0, 1, 2, 3, 4, 5, 6, 7, 8, D}, {D, D, D, D, D, 0, 1, 2, 3, 4, 5, 6, 7, 8, D, D},
	{D, D, D, D, 0, 1, 2, 3, 4, 5, 6, 7, 8, D, D, D}, {D, D, D, 0, 1, 2, 3, 4, 5, 6, 7, 8, D, D, D, D}, {D, D, 0, 1, 2, 3, 4, 5, 6, 7, 8, D, D, D, D, D},
	{0, D, 1, 2, 3, 4, 5, 6, 7, 8, D, D, D, D, D, D}, {0, 1, D, 2, 3, 4, 5, 6, 7, 8, D, D, D, D, D, D}, {0, 1, 2, D, 3, 4, 5, 6, 7, 8, D, D, D, D, D, D},
	{0, 1, 2, 3, D, 4, 5, 6, 7, 8, D, D, D, D, D, D}, {0, 1, 2, 3, 4, D, 5, 6, 7, 8, D, D, D, D, D, D}, {0, 1, 2, 3, 4, 5, D, 6, 7, 8, D, D, D, D, D, D},
	{0, 1, 2, 3, 4, 5, 6, D, 7, 8, D, D, D, D, D, D}, {0, 1, 2, 3, 4, 5, 6, 7, D, 8, D, D, D, D, D, D}, {0, 1, 2, 3, 4, 5, 6, 7, 8, D, D, D, D, D, D, D},
};
#undef D

static const uint32_t powers[10] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

// scale returns g·cp / 2^64, rounded to odd.
static inline uint32_t scale(uint64_t g, uint32_t cp) {
	const uint64_t p = (g >> 32) * cp + ((g & 0xffffffff) * cp >> 32);
	return (uint32_t)(p >> 32) | ((uint32_t)p > 1);
}

// four gives v < 10^4 as four digits, the first in the lowest byte. Each step divides by a power of ten through a multiplication with its
// rounded reciprocal, in one and then two lanes.
static inline uint32_t four(uint32_t v) {
	uint32_t q = v * 10486 >> 20;
	const uint32_t x = q | (v - q * 100) << 16;
	q = (x * 103 >> 10) & 0x000f000f;
	return q | (x - q * 10) << 8;
}

// digits are nine digits of each number, one, four and four, and how many of them stand before its decimal point.
struct digits {
	uint32_t front[group], high[group], low[group];
	int32_t point[group];
};

// Giulietti, "The Schubfach way to render doubles" (2020), for 32 bits. The interval's ends and the value are scaled by four, so that all
// three are integers. What is no positive number gives something that nobody looks at.
TARGET static void shortest(struct digits *o, const uint32_t *v, const uint64_t *pow10) {
	uint32_t digits[group];
	int32_t exps[group];
	for (int j = 0; j < group; j++) {
		const uint32_t b = v[j] & 0x7fffffff;
		uint32_t c = b & 0x7fffff;
		int32_t q = (int32_t)(b >> 23);
		const int32_t closer = (c == 0) & (q > 1); // the lower neighbour is at half the distance
		c |= (uint32_t)(q > 0) << 23;
		q = (q > 0 ? q : 1) - 150;
		const uint32_t odd = c & 1;
		// floor(log10(2^q)), or floor(log10(3/4·2^q)) where the interval is narrower.
		const int32_t k = (q * 1262611 - closer * 524031) >> 22;
		const uint32_t h = (uint32_t)(q + ((-k * 217706) >> 16) + 1);
		const uint64_t g = pow10[-k] + (uint64_t)((-k < 0) | (-k > 27)); // rounded up; from 0 to 27 it is exact
		const uint32_t low = scale(g, (4 * c - 2 + (uint32_t)closer) << h) + odd, val = scale(g, 4 * c << h), high = scale(g, (4 * c + 2) << h) - odd;
		// A digit fewer, if one of the two candidates lies inside the interval.
		const uint32_t s = val / 4, t = s / 10;
		uint32_t up = high >= 40 * t + 40;
		const uint32_t fewer = ((uint32_t)(40 * t >= low) ^ up) & (s > 9), less = t + up;
		// Else, of two the one inside the interval, or if both or none are, the nearer.
		up = high >= 4 * s + 4;
		const uint32_t one = (uint32_t)(4 * s >= low) ^ up, nearer = 4 * s + 2 < val + (s & 1);
		const uint32_t all = s + ((one & up) | ((one ^ 1) & nearer));
		digits[j] = (less & -fewer) | (all & (fewer - 1));
		exps[j] = k + (int32_t)fewer;
	}
	for (int j = 0; j < group; j++) {
		const uint32_t d = digits[j];
		const int32_t count = 1 + (d >= 10) + (d >= 100) + (d >= 1000) + (d >= 10000) + (d >= 100000) + (d >= 1000000) + (d >= 10000000) + (d >= 100000000);
		const uint32_t nine = d * powers[9 - count];
		const uint32_t front = (uint32_t)((uint64_t)nine * 1441151881 >> 57); // /10^8
		const uint32_t rest = nine - front * 100000000;
		const uint32_t high = (uint32_t)((uint64_t)rest * 3518437209u >> 45); // /10^4
		o->front[j] = front;
		o->high[j] = four(high);
		o->low[j] = four(rest - high * 10000);
		o->point[j] = count + exps[j];
	}
}

// The shortest decimals that read back as the values, each with a comma behind it, until one is not finite or needs an exponent. What a number
// overwrites behind its text is less than 24 bytes.
TARGET int64_t aimass_numeral_write_f32(char *dst, int64_t *size, const char *src, int64_t n, const uint64_t *pow10) {
	char *p = dst;
	int64_t i = 0;
	uint32_t v[group];
	struct digits o;
	for (; i < n; i += group) {
		const int have = n - i < group ? (int)(n - i) : group;
		memset(v, 0, sizeof v);
		memcpy(v, src + 4 * i, 4 * have);
		shortest(&o, v, pow10);
		for (int j = 0; j < have; j++) {
			const uint32_t b = v[j] & 0x7fffffff, minus = v[j] >> 31;
			const int point = o.point[j];
			if (b - 1 >= 0x7f800000 - 1 || point < least || point > greatest) {
				if (b != 0) {
					*size = p - dst;
					return i + j;
				}
				memcpy(p, minus ? "-0.0,   " : "0,      ", 8);
				p += 2 + 3 * minus;
				continue;
			}
			const uint64_t rest = o.high[j] | (uint64_t)o.low[j] << 32;
			const int used = 9 - (int)(_lzcnt_u64(rest) >> 3);
			__m128i x = _mm_insert_epi8(_mm_slli_si128(_mm_cvtsi64_si128((long long)rest), 1), (int)o.front[j], 0);
			x = _mm_add_epi8(_mm_shuffle_epi8(x, _mm_load_si128((const __m128i *)places[point - least])), _mm_set1_epi8('0'));
			// All ones where there is nothing behind the point, and where nothing is before it.
			const int whole = (used - point - 1) >> 31, small = (point - 1) >> 31;
			*p = '-';
			p += minus;
			_mm_storeu_si128((__m128i *)p, x);
			p[(point & ~small) | (1 & small)] = (char)('.' + (('0' - '.') & whole));
			p += (point & whole) | ((used + 1 + ((1 - point) & small)) & ~whole);
			*p++ = ',';
		}
	}
	*size = p - dst;
	return n;
}
