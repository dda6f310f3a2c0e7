//go:build cgo && !noasm

// SSE2 is part of the architecture, and wider registers gain nothing here: the
// stores, one row of a square each, are the bound.
#include "transpose.h"

#include <emmintrin.h>

#include "pool.h"

struct ctx {
	const struct transpose_task *t;
	uint8_t *dst;
	const uint8_t *src;
};

enum { STRIP = 64 }; // columns of the source that are one piece of work

// bytes16 turns a square of 16: four rounds of interleaving row i with row i + 8.
static inline void bytes16(uint8_t *dst, int64_t ldd, const uint8_t *src, int64_t lds) {
	__m128i a[16], b[16];
	for (int i = 0; i < 16; i++)
		a[i] = _mm_loadu_si128((const __m128i *)(src + i * lds));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 8; i++) {
			b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
			b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
		}
		for (int i = 0; i < 8; i++) {
			a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
			a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
		}
	}
	for (int i = 0; i < 16; i++)
		_mm_storeu_si128((__m128i *)(dst + i * ldd), a[i]);
}

static void bytes_strip(void *arg, int p) {
	const struct ctx *x = arg;
	const struct transpose_task *t = x->t;
	int64_t from = (int64_t)p * STRIP, to = from + STRIP < t->cols ? from + STRIP : t->cols;
	int64_t r = 0;
	for (; r + 16 <= t->rows; r += 16) {
		int64_t c = from;
		for (; c + 16 <= to; c += 16)
			bytes16(x->dst + c * t->ldd + r, t->ldd, x->src + r * t->lds + c, t->lds);
		for (; c < to; c++)
			for (int64_t i = r; i < r + 16; i++)
				x->dst[c * t->ldd + i] = x->src[i * t->lds + c];
	}
	for (int64_t c = from; c < to; c++)
		for (int64_t i = r; i < t->rows; i++)
			x->dst[c * t->ldd + i] = x->src[i * t->lds + c];
}

static inline void words4(uint32_t *dst, int64_t ldd, const uint32_t *src, int64_t lds) {
	__m128i a[4], b[4];
	for (int i = 0; i < 4; i++)
		a[i] = _mm_loadu_si128((const __m128i *)(src + i * lds));
	for (int i = 0; i < 2; i++) {
		b[2 * i] = _mm_unpacklo_epi32(a[i], a[i + 2]);
		b[2 * i + 1] = _mm_unpackhi_epi32(a[i], a[i + 2]);
	}
	for (int i = 0; i < 2; i++) {
		a[2 * i] = _mm_unpacklo_epi32(b[i], b[i + 2]);
		a[2 * i + 1] = _mm_unpackhi_epi32(b[i], b[i + 2]);
	}
	for (int i = 0; i < 4; i++)
		_mm_storeu_si128((__m128i *)(dst + i * ldd), a[i]);
}

static void words_strip(void *arg, int p) {
	const struct ctx *x = arg;
	const struct transpose_task *t = x->t;
	uint32_t *dst = (uint32_t *)x->dst;
	const uint32_t *src = (const uint32_t *)x->src;
	int64_t from = (int64_t)p * STRIP, to = from + STRIP < t->cols ? from + STRIP : t->cols;
	// Sixteen rows at a time fill whole lines of the destination.
	for (int64_t r0 = 0; r0 < t->rows; r0 += 16) {
		int64_t r1 = r0 + 16 < t->rows ? r0 + 16 : t->rows;
		int64_t c = from;
		for (; c + 4 <= to; c += 4) {
			int64_t r = r0;
			for (; r + 4 <= r1; r += 4)
				words4(dst + c * t->ldd + r, t->ldd, src + r * t->lds + c, t->lds);
			for (int64_t k = c; k < c + 4; k++)
				for (int64_t i = r; i < r1; i++)
					dst[k * t->ldd + i] = src[i * t->lds + k];
		}
		for (; c < to; c++)
			for (int64_t i = r0; i < r1; i++)
				dst[c * t->ldd + i] = src[i * t->lds + c];
	}
}

static int strips(const struct transpose_task *t) { return (int)((t->cols + STRIP - 1) / STRIP); }

// A core turns some ten bytes in a nanosecond: a few thousand are not worth waking another.
static int threads_of(const struct transpose_task *t, int64_t size) { return t->rows * t->cols * size < 100000 ? 1 : t->threads; }

void aimass_transpose_bytes(const struct transpose_task *t, uint8_t *dst, const uint8_t *src) {
	struct ctx c = {.t = t, .dst = dst, .src = src};
	aimass_pool_run(bytes_strip, &c, strips(t), threads_of(t, 1));
}

void aimass_transpose_words(const struct transpose_task *t, uint32_t *dst, const uint32_t *src) {
	struct ctx c = {.t = t, .dst = (uint8_t *)dst, .src = (const uint8_t *)src};
	aimass_pool_run(words_strip, &c, strips(t), threads_of(t, 4));
}
