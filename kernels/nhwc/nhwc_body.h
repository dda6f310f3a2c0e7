// Images of bytes with their channels together, for one instruction set.
#include "bytes.h"
#include "nhwc.h"
#include "pool.h"
#include "quotient.h"
#include "table.h"

#if VL == 16
#pragma GCC target("avx512vnni")
enum { GROUP = 4 };
typedef __m512i vb; // bytes of 4·VL channels
INLINE vb bytes_load(const uint8_t *p, long n) { return n >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32((__mmask16)((1u << (n / 4)) - 1), p); }
INLINE void bytes_store(uint8_t *p, vb x, long n) {
	if (n >= 64)
		_mm512_storeu_si512(p, x);
	else
		_mm512_mask_storeu_epi32(p, (__mmask16)((1u << (n / 4)) - 1), x);
}
INLINE vb flipped(vb x, int flip) { return _mm512_xor_si512(x, _mm512_set1_epi8((char)flip)); }
INLINE vi w_load(const void *p, long i) { return _mm512_loadu_si512((const char *)p + 64 * i); }
#define LO8 _mm512_unpacklo_epi8
#define HI8 _mm512_unpackhi_epi8
#define LO16 _mm512_unpacklo_epi16
#define HI16 _mm512_unpackhi_epi16
// Adds what a group of four places gives to the sums: interleaving brings the four of a channel together.
INLINE void add_group(vi s[4], const vb x[GROUP], const void *w) {
	vb a = LO8(x[0], x[1]), b = HI8(x[0], x[1]), c = LO8(x[2], x[3]), d = HI8(x[2], x[3]);
	s[0] = _mm512_dpbusd_epi32(s[0], LO16(a, c), w_load(w, 0));
	s[1] = _mm512_dpbusd_epi32(s[1], HI16(a, c), w_load(w, 1));
	s[2] = _mm512_dpbusd_epi32(s[2], LO16(b, d), w_load(w, 2));
	s[3] = _mm512_dpbusd_epi32(s[3], HI16(b, d), w_load(w, 3));
}
INLINE vb rounded(const vi q[4], int zero, int floor, int is_signed) {
	__m512i z = _mm512_set1_epi16((short)zero), f = _mm512_set1_epi16((short)floor);
	__m512i lo = _mm512_max_epi16(_mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), z), f);
	__m512i hi = _mm512_max_epi16(_mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), z), f);
	return is_signed ? _mm512_packs_epi16(lo, hi) : _mm512_packus_epi16(lo, hi);
}
INLINE vi i_most(vi a, vi b) { return _mm512_max_epi32(a, b); }
#else
enum { GROUP = 2 };
typedef __m256i vb;
INLINE __m256i first_words(long n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n / 4)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE vb bytes_load(const uint8_t *p, long n) { return n >= 32 ? _mm256_loadu_si256((const __m256i *)p) : _mm256_maskload_epi32((const int *)p, first_words(n)); }
INLINE void bytes_store(uint8_t *p, vb x, long n) {
	if (n >= 32)
		_mm256_storeu_si256((__m256i *)p, x);
	else
		_mm256_maskstore_epi32((int *)p, first_words(n), x);
}
INLINE vb flipped(vb x, int flip) { return _mm256_xor_si256(x, _mm256_set1_epi8((char)flip)); }
INLINE vi w_load(const void *p, long i) { return _mm256_loadu_si256((const __m256i *)p + i); }
// Adds what two places give, as sixteen bits.
INLINE void add_group(vi s[4], const vb x[GROUP], const void *w) {
	vb none = _mm256_setzero_si256();
	vb a = _mm256_unpacklo_epi8(x[0], none), b = _mm256_unpackhi_epi8(x[0], none), c = _mm256_unpacklo_epi8(x[1], none), d = _mm256_unpackhi_epi8(x[1], none);
	s[0] = i_add(s[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, c), w_load(w, 0)));
	s[1] = i_add(s[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, c), w_load(w, 1)));
	s[2] = i_add(s[2], _mm256_madd_epi16(_mm256_unpacklo_epi16(b, d), w_load(w, 2)));
	s[3] = i_add(s[3], _mm256_madd_epi16(_mm256_unpackhi_epi16(b, d), w_load(w, 3)));
}
INLINE vb rounded(const vi q[4], int zero, int floor, int is_signed) {
	__m256i z = _mm256_set1_epi16((short)zero), f = _mm256_set1_epi16((short)floor);
	__m256i lo = _mm256_max_epi16(_mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), z), f);
	__m256i hi = _mm256_max_epi16(_mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), z), f);
	return is_signed ? _mm256_packs_epi16(lo, hi) : _mm256_packus_epi16(lo, hi);
}
INLINE vi i_most(vi a, vi b) { return _mm256_max_epi32(a, b); }
#endif

enum { BLOCK = 4 * VL, MAX_PLACES = 128 };

struct depthwise {
	const struct nhwc_window *w;
	uint8_t *dst;
	const uint8_t *src, *pad, *table;
	const char *weights;
	const int32_t *bias;
	const float *scale;
	int parts;
};

// A place of the result, all channels: where the window's places lie is in at, filled up to whole groups.
INLINE void one_place(const struct depthwise *d, uint8_t *dst, const uint8_t *const *at, long groups, int flip, int is_signed) {
	const struct nhwc_window *w = d->w;
	const char *weights = d->weights;
	for (long c = 0; c < w->c; c += BLOCK) {
		long n = w->c - c;
		vi s[4];
		UNROLL(4) for (int i = 0; i < 4; i++)
			s[i] = w_load(d->bias + c, i);
		for (long g = 0; g < groups; g++, weights += 4 * VL * 4) {
			vb x[GROUP];
			UNROLL(4) for (int t = 0; t < GROUP; t++)
				x[t] = flipped(bytes_load(at[g * GROUP + t] + c, n), flip);
			add_group(s, x, weights);
		}
		UNROLL(4) for (int i = 0; i < 4; i++)
			s[i] = v_int(v_min(v_set(1e6f), v_mul(v_float(s[i]), v_load(d->scale + c + i * VL))));
		bytes_store(dst + c, rounded(s, w->zero, w->floor, is_signed), n);
	}
}

static void depthwise_part(void *arg, int part) {
	const struct depthwise *d = arg;
	const struct nhwc_window *w = d->w;
	const uint8_t *at[MAX_PLACES];
	long places = (long)w->kh * w->kw, groups = (places + GROUP - 1) / GROUP, row = (long)w->ow * w->c;
	int flip = w->is_signed ? 0x80 : 0;
	for (long t = places; t < groups * GROUP; t++)
		at[t] = d->pad;
	for (long oy = (long)w->oh * part / d->parts, end = (long)w->oh * (part + 1) / d->parts; oy < end; oy++) {
		uint8_t *dst = d->dst + oy * row;
		for (long ox = 0; ox < w->ow; ox++) {
			long t = 0, x0 = ox * w->sw - w->left;
			for (long i = 0; i < w->kh; i++) {
				long y = oy * w->sh - w->top + i * w->dh;
				const uint8_t *line = d->src + y * w->w * w->c;
				int inside = y >= 0 && y < w->h;
				for (long j = 0; j < w->kw; j++) {
					long x = x0 + j * w->dw;
					at[t++] = inside && x >= 0 && x < w->w ? line + x * w->c : d->pad;
				}
			}
			if (w->out_signed)
				one_place(d, dst + ox * w->c, at, groups, flip, 1);
			else
				one_place(d, dst + ox * w->c, at, groups, flip, 0);
		}
		if (d->table)
			table_map(dst, dst, row, d->table);
	}
}

// Parts of work of n units worth of operations, of which a thread should have enough.
static int parts_of(double work, long n, int threads) {
	long p = work < 2e5 ? 1 : threads;
	return (int)(p < n ? p : n);
}

void ISA(aimass_nhwc_depthwise)(const struct nhwc_window *w, uint8_t *dst, const uint8_t *src, const uint8_t *pad, const void *weights, const int32_t *bias, const float *scale, const uint8_t *table) {
	struct depthwise d = {w, dst, src, pad, table, weights, bias, scale, 1};
	d.parts = parts_of((double)w->oh * w->ow * w->c * w->kh * w->kw, w->oh, w->threads);
	aimass_pool_run(depthwise_part, &d, d.parts, w->threads);
}

struct mapping {
	uint8_t *dst;
	const uint8_t *src, *table;
	int64_t ldd, lds, rows, cols;
	int parts;
};

static void map_part(void *arg, int part) {
	const struct mapping *m = arg;
	if (m->rows == 1) { // by whole cache lines
		long lines = (m->cols + 63) / 64, from = lines * part / m->parts * 64, to = lines * (part + 1) / m->parts * 64;
		table_map(m->dst + from, m->src + from, (to < m->cols ? to : m->cols) - from, m->table);
		return;
	}
	for (long r = m->rows * part / m->parts, end = m->rows * (part + 1) / m->parts; r < end; r++)
		table_map(m->dst + r * m->ldd, m->src + r * m->lds, m->cols, m->table);
}

void ISA(aimass_nhwc_map)(uint8_t *dst, int64_t ldd, const uint8_t *src, int64_t lds, int64_t rows, int64_t cols, const uint8_t *table, int threads) {
	struct mapping m = {dst, src, table, ldd, lds, rows, cols, 1};
	m.parts = parts_of((double)rows * cols, rows == 1 ? (cols + 63) / 64 : rows, threads);
	aimass_pool_run(map_part, &m, m.parts, threads);
}

struct combination {
	uint8_t *dst;
	const uint8_t *a, *b;
	int64_t rows, cols;
	const struct nhwc_pair *p;
	int parts;
};

INLINE void combine_row(const struct combination *c, uint8_t *dst, const uint8_t *a, const uint8_t *b, long n, int product, int is_signed) {
	const struct nhwc_pair *p = c->p;
	struct divisor by = divisor_of(p->scale);
	vf scale_a = v_set(p->scale_a), scale_b = v_set(p->scale_b), fixed = v_set(p->fixed), factor = v_set(p->factor), shift = v_set(p->shift);
	vi zero = i_set(p->zero), zero_a = i_set(p->zero_a), zero_b = i_set(p->zero_b), floor = i_set(p->relu ? p->zero : -0x7fffffff);
	for (long i = 0; i < n; i += VL) {
		long left = n - i < VL ? n - i : VL;
		vf x = v_mul(v_float(i_sub(byte_ints(a + i, left, is_signed), zero_a)), scale_a);
		vf y = v_mul(v_float(i_sub(byte_ints(b + i, left, is_signed), zero_b)), scale_b);
		if (product)
			x = v_add(v_mul(v_mul(x, y), factor), shift);
		else
			x = v_add(v_add(x, fixed), y);
		vi q = i_add(v_int(v_max(v_set(-1e6f), v_min(v_set(1e6f), quotient(by, x)))), zero);
		put_ints(dst + i, i_most(q, floor), left, is_signed);
	}
}

static void combine_part(void *arg, int part) {
	const struct combination *c = arg;
	const struct nhwc_pair *p = c->p;
	long cols = c->cols, from = c->rows * part / c->parts, to = c->rows * (part + 1) / c->parts, first = 0;
	if (!p->whole) { // one row, by whole registers
		long units = (cols + VL - 1) / VL, end = units * (part + 1) / c->parts * VL;
		first = units * part / c->parts * VL;
		from = 0, to = 1;
		cols = (end < cols ? end : cols) - first;
	}
	for (long r = from; r < to; r++) {
		uint8_t *dst = c->dst + r * cols + first;
		const uint8_t *a = c->a + r * cols + first, *b = c->b + first;
		if (p->product && p->is_signed)
			combine_row(c, dst, a, b, cols, 1, 1);
		else if (p->product)
			combine_row(c, dst, a, b, cols, 1, 0);
		else if (p->is_signed)
			combine_row(c, dst, a, b, cols, 0, 1);
		else
			combine_row(c, dst, a, b, cols, 0, 0);
	}
}

void ISA(aimass_nhwc_combine)(uint8_t *dst, const uint8_t *a, const uint8_t *b, int64_t rows, int64_t cols, const struct nhwc_pair *p, int threads) {
	struct combination c = {dst, a, b, rows, cols, p, 1};
	c.parts = parts_of((double)rows * cols * 4, p->whole ? rows : (cols + VL - 1) / VL, threads);
	aimass_pool_run(combine_part, &c, c.parts, threads);
}
