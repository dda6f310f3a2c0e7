// Halves to floats and back. Stands behind coded_body.h, whose loads it uses.

enum { GRAIN = 16384 };

struct convert {
	float *f;
	const float *from;
	uint16_t *h;
	const uint16_t *halves;
	int64_t n;
	int kind, parts;
};

#if VL == 16
INLINE void store_halves(uint16_t *p, vf x) { _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, 8 | _MM_FROUND_TO_NEAREST_INT)); }
INLINE void store_high(uint16_t *p, vi x) { _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(x)); }
#define i_shr(a, n) _mm512_srli_epi32(a, n)
#else
INLINE void store_halves(uint16_t *p, vf x) { _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, 8 | _MM_FROUND_TO_NEAREST_INT)); }
INLINE void store_high(uint16_t *p, vi x) {
	_mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}
#define i_shr(a, n) _mm256_srli_epi32(a, n)
#endif

INLINE void store_brains(uint16_t *p, vf x) {
	vi b = v_bits(x), up = i_add(i_add(b, i_set(0x7fff)), i_and(i_shr(b, 16), i_set(1)));
	vf r = v_sel(v_nan(x), v_frombits(i_or(b, i_set(0x400000))), v_frombits(up));
	store_high(p, i_shr(v_bits(r), 16));
}

INLINE void store_half(int kind, uint16_t *p, vf x) {
	if (kind == HALVES)
		store_halves(p, x);
	else
		store_brains(p, x);
}

INLINE void span_of(const struct convert *c, int part, int64_t *lo, int64_t *hi) {
	*lo = c->n * part / c->parts;
	*hi = c->n * (part + 1) / c->parts;
}

INLINE void widen_span(const struct convert *c, int part, int kind) {
	int64_t i, hi;
	span_of(c, part, &i, &hi);
	for (; i + VL <= hi; i += VL)
		v_store(c->f + i, load_half(kind, c->halves + i));
	if (i < hi) {
		uint16_t rest[VL] = {0};
		memcpy(rest, c->halves + i, (hi - i) * sizeof *rest);
		v_storen(c->f + i, load_half(kind, rest), hi - i);
	}
}

static void widen_part(void *arg, int part) {
	const struct convert *c = arg;
	if (c->kind == HALVES)
		widen_span(c, part, HALVES);
	else
		widen_span(c, part, BRAINS);
}

INLINE void narrow_span(const struct convert *c, int part, int kind) {
	int64_t i, hi;
	span_of(c, part, &i, &hi);
	for (; i + VL <= hi; i += VL)
		store_half(kind, c->h + i, v_load(c->from + i));
	if (i < hi) {
		uint16_t rest[VL];
		store_half(kind, rest, v_loadn(c->from + i, hi - i));
		memcpy(c->h + i, rest, (hi - i) * sizeof *rest);
	}
}

static void narrow_part(void *arg, int part) {
	const struct convert *c = arg;
	if (c->kind == HALVES)
		narrow_span(c, part, HALVES);
	else
		narrow_span(c, part, BRAINS);
}

static void convert_all(struct convert *c, aimass_task_fn *fn, int threads) {
	int64_t parts = c->n / GRAIN;
	c->parts = parts < 1 ? 1 : parts < threads ? (int)parts : threads;
	aimass_pool_run(fn, c, c->parts, threads);
}

void ISA(aimass_coded_widen)(float *dst, const uint16_t *src, int64_t n, int kind, int threads) {
	struct convert c = {.f = dst, .halves = src, .n = n, .kind = kind};
	convert_all(&c, widen_part, threads);
}

void ISA(aimass_coded_narrow)(uint16_t *dst, const float *src, int64_t n, int kind, int threads) {
	struct convert c = {.h = dst, .from = src, .n = n, .kind = kind};
	convert_all(&c, narrow_part, threads);
}
