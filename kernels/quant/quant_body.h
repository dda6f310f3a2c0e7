// The byte GEMM for one instruction set: packing of A, zero points, stores.
#include "pool.h"
#include "quant.h"
#include "quant_tile.h"
#include "quotient.h"
#include "table.h"
#include "vmath.h"

// Rows of A that are packed at a time: what a core's second-level cache holds beside a
// panel of B.
enum { MC = MRMAX * 16, PACKED = 96 * 1024, MAX_PARTS = 64 };

INLINE long rows_at_a_time(long groups) {
	long rows = PACKED / (groups ? groups : 1) / MRMAX * MRMAX;
	return rows < MRMAX ? MRMAX : rows < MC ? rows : MC;
}

struct ctx {
	const struct quant_task *t;
	const uint8_t *a;
	const int32_t *zeros_a, *sums_b, *zeros_b, *bias_i;
	const int8_t *b, *rest;
	const float *scale_a, *scale_b, *bias, *res;
	const int32_t *places, *rests; // rests: where those of each half of a panel begin, and where the last's end; then their groups
	const uint8_t *pad, *sum, *table;
	void *c;
	long row_parts, col_parts;
	vf *range; // of each part: the least and the greatest of what it stores and 0
};

// Tiles of at most most rows.
INLINE long tiles_of(long m, long most) { return (m + most - 1) / most; }
INLINE long tile_start(long m, long tiles, long t) { return m * t / tiles; }

// Bytes that packed rows of A lie apart: an odd number of cache lines keeps the rows of a tile
// out of each other's sets.
INLINE long row_step(long groups) { return ((groups + 15) / 16 | 1) * 64; }

// n bytes, each raised by flip.
INLINE uint8_t *raise(uint8_t *dst, const uint8_t *a, long n, int flip) {
#if VL == 16
	__m512i f = _mm512_set1_epi8((char)flip);
	for (; n >= 64; n -= 64, a += 64, dst += 64)
		_mm512_storeu_si512(dst, _mm512_xor_si512(_mm512_loadu_si512(a), f));
	__mmask64 m = (1ull << n) - 1;
	_mm512_mask_storeu_epi8(dst, m, _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, a), f));
	return dst + n;
#else
	__m256i all = _mm256_set1_epi8((char)flip);
	__m128i f = _mm256_castsi256_si128(all);
	long i = 0;
	for (; i + 32 <= n; i += 32)
		_mm256_storeu_si256((__m256i *)(dst + i), _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + i)), all));
	for (; i + 16 <= n; i += 16)
		_mm_storeu_si128((__m128i *)(dst + i), _mm_xor_si128(_mm_loadu_si128((const __m128i *)(a + i)), f));
	for (; i + 4 <= n; i += 4) {
		uint32_t x;
		memcpy(&x, a + i, 4);
		x ^= (uint32_t)flip * 0x01010101u;
		memcpy(dst + i, &x, 4);
	}
	for (; i < n; i++)
		dst[i] = a[i] ^ (uint8_t)flip;
	return dst + n;
#endif
}

// Σ of k bytes, each raised by flip.
static int32_t sum_bytes(const uint8_t *a, long k, uint32_t flip) {
	__m256i s = _mm256_setzero_si256(), f = _mm256_set1_epi8((char)flip);
	long i = 0;
	for (; i + 32 <= k; i += 32)
		s = _mm256_add_epi64(s, _mm256_sad_epu8(_mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + i)), f), _mm256_setzero_si256()));
	int64_t q[4], sum;
	_mm256_storeu_si256((__m256i *)q, s);
	sum = q[0] + q[1] + q[2] + q[3];
	for (; i < k; i++)
		sum += a[i] ^ (flip & 0xff);
	return (int32_t)sum;
}

// The zero point of row i, as that of unsigned values.
INLINE int32_t unsigned_zero(const struct ctx *c, long i) {
	return (c->zeros_a ? c->zeros_a[i] : c->t->zero_a) + (c->t->a_signed ? 128 : 0);
}

// What packing takes from the values of row i, so that those near its zero point are within 0..span.
INLINE int32_t base_of(const struct ctx *c, long i) {
	int32_t least = unsigned_zero(c, i) - c->t->span / 2, most = 255 - c->t->span;
	return least < 0 ? 0 : least < most ? least : most;
}

// Rows m0..m0+mr of A one behind the other, as unsigned values: signed ones are raised by 128.
static void pack_rows(const struct ctx *c, uint8_t *dst, int32_t *sums, long m0, long mr, long groups) {
	const struct quant_task *t = c->t;
	int flip = t->a_signed ? 0x80 : 0, summed = c->zeros_b || t->zero_b != t->shift_b;
	for (long r = 0; r < mr; r++, dst += row_step(groups)) {
		const int32_t *place = t->taps ? c->places + (m0 + r) * t->taps : 0;
		const uint8_t *a = c->a + (m0 + r) * t->lda;
		uint8_t *d = dst;
		sums[r] = 0;
		for (long k = 0, next; k < t->taps; k = next) {
			const uint8_t *run = place[k] < 0 ? c->pad : c->a + place[k];
			long n = t->tap;
			for (next = k + 1; place[k] >= 0 && next < t->taps && place[next] == place[k] + n; next++)
				n += t->tap; // places side by side
			d = raise(d, run, n, flip);
			if (summed)
				sums[r] += sum_bytes(run, n, flip);
		}
		if (!t->taps) {
			d = raise(d, a, t->k, flip);
			if (summed)
				sums[r] = sum_bytes(a, t->k, flip);
		}
		int32_t base = base_of(c, m0 + r);
		sums[r] -= base * (int32_t)t->k;
		memset(d, base, dst + row_step(groups) - d);
	}
}

#if VL == 8
// Appends to a tile's list the groups of 32 bytes from k on that have what its rows hold beyond the span; gives their number.
INLINE long list_over(const vi *beyond, vi any, long mr, long k, int32_t *at, uint8_t *values) {
	long n = 0;
	unsigned seen = 0xff & ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(any, i_set(0))));
	for (; seen; seen &= seen - 1, n++) {
		long g = __builtin_ctz(seen);
		at[n] = (int32_t)(k / GROUP + g);
		for (long r = 0; r < mr; r++)
			memcpy(values + (n * MRMAX + r) * GROUP, (const uint8_t *)&beyond[r] + g * GROUP, GROUP);
	}
	return n;
}

// Takes the base from the packed rows of a tile and limits them to the span; what they had beyond is in over, which has room for
// two lists of all groups.
static void limit_rows(const struct ctx *c, uint8_t *rows, long m0, long mr, long step, struct over *over) {
	long groups = (c->t->k + GROUP - 1) / GROUP, above = 0, below = 0;
	vi span = _mm256_set1_epi8((char)c->t->span), base[MRMAX], top[MRMAX], beyond[MRMAX];
	int based = 0;
	for (long r = 0; r < mr; r++) {
		int32_t from = base_of(c, m0 + r);
		based |= from;
		base[r] = _mm256_set1_epi8((char)from);
		top[r] = _mm256_set1_epi8((char)(from + c->t->span));
	}
	// The lists of what lies above and below; the second begins where the first could end.
	int32_t *below_at = over->at + groups;
	uint8_t *below_values = over->values + groups * MRMAX * GROUP;
	for (long k = 0; k < groups * GROUP; k += 32) {
		vi any = i_set(0);
		if (based) {
			for (long r = 0; r < mr; r++) {
				beyond[r] = _mm256_subs_epu8(base[r], _mm256_loadu_si256((vi *)(rows + r * step + k)));
				any = _mm256_or_si256(any, beyond[r]);
			}
			if (!_mm256_testz_si256(any, any))
				below += list_over(beyond, any, mr, k, below_at + below, below_values + below * MRMAX * GROUP);
			any = i_set(0);
		}
		for (long r = 0; r < mr; r++) {
			vi *at = (vi *)(rows + r * step + k), x = _mm256_loadu_si256(at);
			beyond[r] = _mm256_subs_epu8(x, top[r]);
			any = _mm256_or_si256(any, beyond[r]);
			_mm256_storeu_si256(at, _mm256_min_epu8(_mm256_subs_epu8(x, base[r]), span));
		}
		if (!_mm256_testz_si256(any, any))
			above += list_over(beyond, any, mr, k, over->at + above, over->values + above * MRMAX * GROUP);
	}
	memmove(over->at + above, below_at, below * sizeof *over->at);
	memmove(over->values + above * MRMAX * GROUP, below_values, below * MRMAX * GROUP);
	over->positive = above;
	over->negative = below;
}
#else
// Nothing saturates; the span is 255.
INLINE void limit_rows(const struct ctx *c, uint8_t *rows, long m0, long mr, long step, struct over *over) {
	(void)c, (void)rows, (void)m0, (void)mr, (void)step, (void)over;
}
#endif

// A masked store costs many a plain one on AVX2 machines.
INLINE void put(float *p, vf v, vm m, long n) {
	if (n == VL)
		v_store(p, v);
	else
		v_storem(m, p, v);
}

// What is subtracted from the sums of VL columns for the zero points: zero of the row times the
// sums of the weights, and that of the column times the sum of the row.
struct zeros {
	vi sums, all, by;
	int rows, columns; // whether rows have zero points of their own, and whether columns have any
};

INLINE int32_t zero_of(const struct ctx *c, long i) { return unsigned_zero(c, i) - base_of(c, i); }

INLINE struct zeros zeros_at(const struct ctx *c, long j, vm m) {
	const struct quant_task *t = c->t;
	struct zeros z = {.rows = c->zeros_a != 0, .columns = c->zeros_b || t->zero_b != t->shift_b};
	z.sums = v_bits(v_loadm(m, (const float *)(c->sums_b + j)));
	z.all = z.rows ? i_set(0) : i_mul(i_set(zero_of(c, 0)), z.sums);
	z.by = i_sub(c->zeros_b ? v_bits(v_loadm(m, (const float *)(c->zeros_b + j))) : i_set(t->zero_b), i_set(t->shift_b));
	return z;
}

// The sums of row i without its zero points.
INLINE vi exact(const struct ctx *c, const struct zeros *z, vi s, long i, int32_t row_sum) {
	s = i_sub(s, z->all);
	if (z->rows)
		s = i_sub(s, i_mul(i_set(zero_of(c, i)), z->sums));
	if (z->columns)
		s = i_sub(s, i_mul(z->by, i_set(row_sum - (int32_t)c->t->k * zero_of(c, i))));
	return s;
}

// VL columns of a tile as floats, by one function for all of its rows. With plain, all columns are there and no zero point goes by
// rows or columns.
INLINE void float_rows(const struct ctx *c, const int32_t *tile, const int32_t *sums, long m0, long mr, long j, long n, int act, int plain, vf *range) {
	const struct quant_task *t = c->t;
	vm m = v_first(n);
	struct zeros z = zeros_at(c, j, m);
	vf by = c->scale_b ? v_loadm(m, c->scale_b + j) : v_set(1.0f), bias = c->bias ? v_loadm(m, c->bias + j) : v_zero();
	vf all = v_mul(v_set(t->scale), by), a = v_set(t->act_a), b = v_set(t->act_b);
	const float *res = c->res ? c->res + m0 * t->ldr + j : 0;
	float *out = (float *)c->c + m0 * t->ldc + j;
	vf lo = range[0], hi = range[1];
	for (long r = 0; r < mr; r++, out += t->ldc, tile += NR) {
		vf scale = c->scale_a ? v_mul(v_set(t->scale * c->scale_a[m0 + r]), by) : all;
		vi s = plain ? i_sub(i_load(tile), z.all) : exact(c, &z, i_load(tile), m0 + r, sums[r]);
		vf v = v_mul(v_float(s), scale);
		if (c->bias)
			v = v_add(v, bias);
		if (res) {
			v = v_add(v, plain ? v_load(res) : v_loadm(m, res));
			res += t->ldr;
		}
		if (act == ACT_RELU)
			v = v_max(v_zero(), v);
		else if (act != ACT_NONE)
			v = v_act(act, v, a, b);
		put(out, v, m, plain ? VL : n);
		if (c->range) {
			if (!plain)
				v = v_sel(m, v, v_zero());
			lo = v_min(v, lo);
			hi = v_max(v, hi);
		}
	}
	range[0] = lo;
	range[1] = hi;
}

// Sixteen columns of integers as 16 bits that saturate.
INLINE __m256i shorts(const vi *q) {
#if VL == 16
	return _mm512_cvtsepi32_epi16(q[0]);
#else
	return _mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xd8);
#endif
}

// round(v) + zero as bytes, at least floor.
INLINE __m128i rounded_bytes(const vf *v, int zero, int floor, int is_signed) {
	vi q[16 / VL];
	UNROLL(2) for (int p = 0; p < 16 / VL; p++)
		q[p] = v_int(v_min(v_set(1e6f), v[p])); // what exceeds an int would become negative
	__m256i s = _mm256_max_epi16(_mm256_adds_epi16(shorts(q), _mm256_set1_epi16((short)zero)), _mm256_set1_epi16((short)floor));
	__m128i lo = _mm256_castsi256_si128(s), hi = _mm256_extracti128_si256(s, 1);
	return is_signed ? _mm_packs_epi16(lo, hi) : _mm_packus_epi16(lo, hi);
}

// VL of sixteen bytes as floats.
INLINE vf bytes_float(__m128i x, int part, int is_signed) {
#if VL == 16
	(void)part;
	return v_float(is_signed ? _mm512_cvtepi8_epi32(x) : _mm512_cvtepu8_epi32(x));
#else
	if (part)
		x = _mm_srli_si128(x, 8);
	return v_float(is_signed ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x));
#endif
}

// Sixteen columns of a tile as bytes, n of them there.
INLINE void byte_rows(const struct ctx *c, const int32_t *tile, const int32_t *sums, long m0, long mr, long j, long n, int is_signed) {
	enum { PARTS = 16 / VL };
	const struct quant_task *t = c->t;
	struct zeros z[PARTS];
	vf scale[PARTS];
	for (int p = 0; p < PARTS; p++) {
		long left = n - p * VL, at = j + p * VL;
		vm m = v_first(left < 0 ? 0 : left < VL ? left : VL);
		z[p] = zeros_at(c, at, m);
		if (c->bias_i)
			z[p].all = i_sub(z[p].all, v_bits(v_loadm(m, (const float *)(c->bias_i + at))));
		scale[p] = t->one_scale ? v_set(c->scale_b[0]) : v_loadm(m, c->scale_b + at);
	}
	vf zero = v_set((float)t->zero_c), scale_c = v_set(t->sum_scale_c), zero_a = v_set((float)t->sum_zero_a), scale_a = v_set(t->sum_scale_a);
	struct divisor sum_scale = divisor_of(c->sum ? t->sum_scale : 1.0f);
	uint8_t *dst = (uint8_t *)c->c + m0 * t->ldc + j;
	const uint8_t *sum = c->sum ? c->sum + m0 * t->lds + j : 0;
	for (long r = 0; r < mr; r++, dst += t->ldc) {
		vf v[PARTS];
		UNROLL(2) for (int p = 0; p < PARTS; p++)
			v[p] = v_mul(v_float(exact(c, &z[p], i_load(tile + r * NR + p * VL), m0 + r, sums[r])), scale[p]);
		__m128i b = rounded_bytes(v, t->zero_c, t->floor_c, is_signed);
		if (sum) {
			uint8_t some[16] = {0};
			if (n < 16)
				memcpy(some, sum, (size_t)n);
			__m128i x = _mm_loadu_si128((const __m128i *)(n < 16 ? some : sum));
			UNROLL(2) for (int p = 0; p < PARTS; p++) {
				vf own = v_mul(v_sub(bytes_float(b, p, is_signed), zero), scale_c);
				vf other = v_mul(v_sub(bytes_float(x, p, is_signed), zero_a), scale_a);
				v[p] = quotient(sum_scale, v_add(own, other));
			}
			b = rounded_bytes(v, t->sum_zero, t->sum_floor, is_signed);
			sum += t->lds;
		}
		if (n == 16) {
			_mm_storeu_si128((__m128i *)dst, b);
		} else {
			uint8_t some[16];
			_mm_storeu_si128((__m128i *)some, b);
			memcpy(dst, some, (size_t)n);
		}
	}
}

// Columns of a whole panel: their integers as 16 bits that saturate, in whatever order, and those as bytes, in order.
#if VL == 16
typedef __m256i panel;
INLINE vi panel_set(int x) { return _mm512_set1_epi16((short)x); }
INLINE vi shorts_of(const vi *q) { return _mm512_packs_epi32(q[0], q[1]); }
INLINE vi shorts_add(vi a, vi b) { return _mm512_adds_epi16(a, b); }
INLINE vi panel_shorts(const vi *q, vi zero, vi floor) { return _mm512_max_epi16(shorts_add(shorts_of(q), zero), floor); }
INLINE panel panel_bytes(vi s, int is_signed) {
	// Packing goes by quarters of a register: the first of each pair are the panel's, in this order.
	vi order = _mm512_castsi256_si512(_mm256_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13));
	return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, is_signed ? _mm512_packs_epi16(s, s) : _mm512_packus_epi16(s, s)));
}
INLINE panel panel_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void panel_store(uint8_t *p, panel x) { _mm256_storeu_si256((__m256i *)p, x); }
INLINE vf panel_float(panel x, int half, int is_signed) { return bytes_float(half ? _mm256_extracti128_si256(x, 1) : _mm256_castsi256_si128(x), 0, is_signed); }
#else
typedef __m128i panel;
INLINE vi panel_set(int x) { return _mm256_set1_epi16((short)x); }
INLINE vi shorts_of(const vi *q) { return _mm256_packs_epi32(q[0], q[1]); }
INLINE vi shorts_add(vi a, vi b) { return _mm256_adds_epi16(a, b); }
INLINE vi panel_shorts(const vi *q, vi zero, vi floor) { return _mm256_max_epi16(shorts_add(shorts_of(q), zero), floor); }
INLINE panel panel_bytes(vi s, int is_signed) {
	__m128i lo = _mm256_castsi256_si128(s), hi = _mm256_extracti128_si256(s, 1);
	return _mm_shuffle_epi32(is_signed ? _mm_packs_epi16(lo, hi) : _mm_packus_epi16(lo, hi), 0xd8);
}
INLINE panel panel_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE void panel_store(uint8_t *p, panel x) { _mm_storeu_si128((__m128i *)p, x); }
INLINE vf panel_float(panel x, int half, int is_signed) { return bytes_float(x, half, is_signed); }
#endif

// A whole panel of a tile as bytes, where no zero point goes by rows or columns.
INLINE void byte_panel(const struct ctx *c, const int32_t *tile, long m0, long mr, long j, int is_signed) {
	const struct quant_task *t = c->t;
	vi all[2];
	vf scale[2], most = v_set(1e6f);
	for (int p = 0; p < 2; p++) {
		all[p] = i_mul(i_set(zero_of(c, 0)), i_load(c->sums_b + j + p * VL));
		if (c->bias_i)
			all[p] = i_sub(all[p], i_load(c->bias_i + j + p * VL));
		scale[p] = t->one_scale ? v_set(c->scale_b[0]) : v_load(c->scale_b + j + p * VL);
	}
	vi zero = panel_set(t->zero_c), floor = panel_set(t->floor_c);
	uint8_t *dst = (uint8_t *)c->c + m0 * t->ldc + j;
	if (!c->sum) {
		for (long r = 0; r < mr; r++, dst += t->ldc, tile += NR) {
			vi q[2];
			UNROLL(2) for (int p = 0; p < 2; p++)
				q[p] = v_int(v_min(most, v_mul(v_float(i_sub(i_load(tile + p * VL), all[p])), scale[p])));
			panel_store(dst, panel_bytes(panel_shorts(q, zero, floor), is_signed));
		}
		return;
	}
	// The bytes before the sum stay floats without their zero point.
	vf least = v_set((float)((t->floor_c > (is_signed ? -128 : 0) ? t->floor_c : is_signed ? -128 : 0) - t->zero_c));
	vf greatest = v_set((float)((is_signed ? 127 : 255) - t->zero_c));
	vf scale_c = v_set(t->sum_scale_c), zero_a = v_set((float)t->sum_zero_a), scale_a = v_set(t->sum_scale_a);
	struct divisor sum_scale = divisor_of(t->sum_scale);
	vi sum_zero = panel_set(t->sum_zero), sum_floor = panel_set(t->sum_floor);
	const uint8_t *sum = c->sum + m0 * t->lds + j;
	for (long r = 0; r < mr; r++, dst += t->ldc, sum += t->lds, tile += NR) {
		vi q[2];
		panel other = panel_load(sum);
		UNROLL(2) for (int p = 0; p < 2; p++) {
			vf own = v_round(v_mul(v_float(i_sub(i_load(tile + p * VL), all[p])), scale[p]));
			vf x = v_mul(v_min(greatest, v_max(least, own)), scale_c);
			vf y = v_mul(v_sub(panel_float(other, p, is_signed), zero_a), scale_a);
			q[p] = v_int(v_min(most, quotient(sum_scale, v_add(x, y))));
		}
		panel_store(dst, panel_bytes(panel_shorts(q, sum_zero, sum_floor), is_signed));
	}
}

static void store_tile(const struct ctx *c, const int32_t *tile, const int32_t *sums, long m0, long mr, long j0, long cols, vf *range) {
	const struct quant_task *t = c->t;
	int plain = !c->zeros_a && !c->zeros_b && t->zero_b == t->shift_b;
	if (t->kind == QUANT_BYTES && cols == NR && plain) {
		if (t->c_signed)
			byte_panel(c, tile, m0, mr, j0, 1);
		else
			byte_panel(c, tile, m0, mr, j0, 0);
		return;
	}
	for (long j = j0; t->kind == QUANT_BYTES && j < j0 + cols; j += 16, tile += 16) {
		long n = j0 + cols - j < 16 ? j0 + cols - j : 16;
		if (t->c_signed)
			byte_rows(c, tile, sums, m0, mr, j, n, 1);
		else
			byte_rows(c, tile, sums, m0, mr, j, n, 0);
	}
	for (long j = j0; t->kind != QUANT_BYTES && j < j0 + cols; j += VL, tile += VL) {
		long n = j0 + cols - j < VL ? j0 + cols - j : VL;
		if (t->kind == QUANT_INT32) {
			vm m = v_first(n);
			struct zeros z = zeros_at(c, j, m);
			for (long r = 0; r < mr; r++)
				put((float *)c->c + (m0 + r) * t->ldc + j, v_frombits(exact(c, &z, i_load(tile + r * NR), m0 + r, sums[r])), m, n);
		} else if (n < VL || !plain) {
			float_rows(c, tile, sums, m0, mr, j, n, t->act, 0, range);
		} else if (t->act == ACT_NONE) {
			float_rows(c, tile, sums, m0, mr, j, VL, ACT_NONE, 1, range);
		} else if (t->act == ACT_GELU) {
			float_rows(c, tile, sums, m0, mr, j, VL, ACT_GELU, 1, range);
		} else {
			float_rows(c, tile, sums, m0, mr, j, VL, t->act, 1, range);
		}
	}
}

// The place of a tile from row m0 and column j0 on.
INLINE struct place place_of(const struct ctx *c, long m0, long j0) {
	const struct quant_task *t = c->t;
	long size = t->kind == QUANT_BYTES ? 1 : sizeof(float);
	const char *out = (const char *)c->c + (m0 * t->ldc + j0) * size;
	if (c->res)
		return (struct place){out, (const char *)(c->res + m0 * t->ldr + j0), t->ldc * size, t->ldr * (long)sizeof(float)};
	if (c->sum)
		return (struct place){out, (const char *)(c->sum + m0 * t->lds + j0), t->ldc * size, t->lds};
	return (struct place){out, out, t->ldc * size, t->ldc * size};
}

static long part(long length, long unit, long i, long n) {
	long units = (length + unit - 1) / unit, at = units * i / n * unit;
	return at < length ? at : length;
}

// How threads share m×n results: by rows if each has several tiles of them, so that it reads what it
// wrote one product before; else by panels of columns, so that weights are read once.
static void shares(long m, long n, int threads, long *row_parts, long *col_parts) {
	long panels = (n + NR - 1) / NR;
	int rows = threads > 1 && m >= 8 * MRMAX * threads;
	*row_parts = rows ? threads : 1;
	*col_parts = rows || threads <= 1 ? 1 : panels < threads ? panels : threads;
}

// The rest of half a panel.
static struct rest rest_of(const struct ctx *c, long half) {
	const int32_t *groups = c->rests + 2 * ((c->t->n + NR - 1) / NR) + 1;
	long from = c->rests[half];
	return (struct rest){groups + from, c->rest + from * VL * GROUP, c->rests[half + 1] - from};
}

// What the table has for columns n0..n1 of rows that have become bytes.
static void map_rows(const struct ctx *c, long m0, long rows, long n0, long n1) {
	uint8_t *at = (uint8_t *)c->c + m0 * c->t->ldc + n0;
	if (c->t->ldc == n1 - n0) {
		table_map(at, at, rows * (n1 - n0), c->table);
		return;
	}
	for (long r = 0; r < rows; r++, at += c->t->ldc)
		table_map(at, at, n1 - n0, c->table);
}

static void quant_task(void *arg, int task) {
	const struct ctx *c = arg;
	const struct quant_task *t = c->t;
	long rp = task / c->col_parts, cp = task % c->col_parts;
	long m0 = part(t->m, 1, rp, c->row_parts), m1 = part(t->m, 1, rp + 1, c->row_parts);
	long n0 = part(t->n, NR, cp, c->col_parts), n1 = part(t->n, NR, cp + 1, c->col_parts);
	long groups = (t->k + GROUP - 1) / GROUP;
	int limited = t->span < 255;
	// Rows that lie whole pages apart would fill the same few lines of the first-level cache.
	int placed = !limited && !t->a_signed && !t->taps && t->k % GROUP == 0 && t->lda % 4096;
	int summed = c->zeros_b || t->zero_b != t->shift_b;
	long mc = placed ? MC : rows_at_a_time(groups);
	long step = placed ? t->lda : row_step(groups);
#if VL == 8
	long most = t->quads ? QUADS : MRMAX;
	quant_fn *const *tile_fn = t->quads ? quads_tile : quant_tile;
	struct over over[MC / QUADS];
	long starts[MC / QUADS + 1];
#else
	long most = MRMAX;
	quant_fn *const *tile_fn = quant_tile;
	struct over over[MC / MRMAX];
	long starts[MC / MRMAX + 1];
#endif
	// Scratch: rows, their sums, and where they are limited the lists of each tile (a group may be in both).
	long lists = limited ? tiles_of(mc, most) * 2 * groups : 0;
	size_t rows_bytes = placed ? 0 : mc * step;
	size_t bytes = rows_bytes + mc * sizeof(int32_t) + lists * (sizeof(int32_t) + MRMAX * GROUP);
	int slot;
	uint8_t *packed = aimass_scratch_get(bytes, &slot);
	int32_t *sums = (int32_t *)(packed + rows_bytes), *over_at = sums + mc;
	uint8_t *over_values = (uint8_t *)(over_at + lists);
	int32_t tile[MRMAX * NR] __attribute__((aligned(64)));
	vf range[2] = {v_zero(), v_zero()};
	for (long i = m0; i < m1; i += mc) {
		long rows = m1 - i < mc ? m1 - i : mc, tiles = tiles_of(rows, most);
		const uint8_t *a = placed ? c->a + i * t->lda : packed;
		if (!placed)
			pack_rows(c, packed, sums, i, rows, groups);
		for (long r = 0; r < rows && placed; r++)
			sums[r] = summed ? sum_bytes(a + r * t->lda, t->k, 0) : 0;
		for (long q = 0; q < tiles; q++) {
			over[q] = (struct over){over_at + q * 2 * groups, over_values + q * 2 * groups * MRMAX * GROUP, 0, 0};
			starts[q] = tile_start(rows, tiles, q);
			if (limited)
				limit_rows(c, packed + starts[q] * step, i + starts[q], tile_start(rows, tiles, q + 1) - starts[q], step, &over[q]);
		}
		starts[tiles] = rows;
		for (long j = n0; j < n1; j += NR) {
			const int8_t *b = c->b + j * groups * GROUP;
			struct rest rest[2] = {{0}};
			for (int h = 0; h < 2 && c->rests; h++)
				rest[h] = rest_of(c, j / NR * 2 + h);
			for (long q = 0; q < tiles; q++) {
				long r0 = starts[q], mr = starts[q + 1] - r0;
				struct place place = place_of(c, i + r0, j);
				tile_fn[mr](groups, a + r0 * step, step, b, tile, &place, rest, &over[q]);
				store_tile(c, tile, sums + r0, i + r0, mr, j, n1 - j < NR ? n1 - j : NR, range);
			}
		}
		if (c->table)
			map_rows(c, i, rows, n0, n1);
	}
	if (c->range)
		memcpy(c->range + 2 * task, range, sizeof range);
	aimass_scratch_put(packed, bytes, slot);
}

INLINE void widen(float *range, float lo, float hi) {
	range[0] = lo < range[0] ? lo : range[0];
	range[1] = hi > range[1] ? hi : range[1];
}

void ISA(aimass_quant)(const struct quant_task *t, const uint8_t *a, const int32_t *zeros_a, const int8_t *b,
                       const int32_t *sums_b, const int32_t *zeros_b, const float *scale_a, const float *scale_b,
                       const float *bias, const int32_t *bias_i, const float *res, void *out, const int32_t *places, const uint8_t *pad, const uint8_t *sum, float *range,
                       const int32_t *rests, const int8_t *rest, const uint8_t *table) {
	vf ranges[2 * MAX_PARTS];
	struct ctx c = {t, a, zeros_a, sums_b, zeros_b, bias_i, b, rest, scale_a, scale_b, bias, res, places, rests, pad, sum, table, out, 1, 1, range ? ranges : 0};
	int threads = (double)t->m * t->n * t->k < 8e5 && (double)t->n * t->k < 3e5 ? 1 : t->threads;
	threads = threads < MAX_PARTS ? threads : MAX_PARTS;
	shares(t->m, t->n, threads, &c.row_parts, &c.col_parts);
	int parts = (int)(c.row_parts * c.col_parts);
	aimass_pool_run(quant_task, &c, parts, threads);
	if (!range)
		return;
	range[0] = range[1] = 0;
	for (int p = 0; p < parts; p++)
		widen(range, v_hmin(ranges[2 * p]), v_hmax(ranges[2 * p + 1]));
}
