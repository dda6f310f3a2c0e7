// Products with weights that rest in few bits, for one instruction set.
#define TILE_ROWS
#include "coded.h"
#include "finish.h"
#include "pool.h"

enum {
	// Kind in coded.go.
	NIBBLES,
	BYTES,
	HALVES,
	BRAINS,
};

enum {
	// With no more rows than this, codes become floats in registers alone.
	LEAN_ROWS = 4,
	// Rows of A that stay in the second-level cache, and the depth that is decoded at a time: that which stays in the
	// first-level cache for few rows, and one that seldom reads C again for many.
	MC = MRMAX * (VL == 16 ? 12 : 24),
	KC_FEW = 128,
	KC_MANY = 384,
	FEW_ROWS = 2 * MRMAX,
};

struct ctx {
	const struct coded_task *t;
	const float *a, *scales, *bias, *res;
	const uint32_t *codes;
	const int8_t *zeros;
	float *c;
	long parts;
};

// A panel of columns.
struct panel {
	const uint32_t *codes;
	const float *scales;
	const int8_t *zeros;
};

static long per(int kind) { return kind == NIBBLES ? 8 : kind == BYTES ? 4 : 1; }
static long words(int kind) { return kind >= HALVES ? NR / 2 : NR; }

static struct panel panel_at(const struct ctx *x, long i) {
	const struct coded_task *t = x->t;
	long groups = (t->k + per(t->kind) - 1) / per(t->kind), blocks = (t->k + t->block - 1) / t->block;
	struct panel p = {x->codes + i * groups * words(t->kind), 0, 0};
	if (t->kind < HALVES) {
		p.scales = x->scales + i * blocks * NR;
		p.zeros = x->zeros ? x->zeros + i * blocks * NR : 0;
	}
	return p;
}

#if VL == 16
INLINE vi load_codes(const uint32_t *p) { return _mm512_loadu_si512(p); }
INLINE vf load_zeros(const int8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
INLINE vf load_halves(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE vf load_brains(const uint16_t *p) { return v_frombits(i_shl(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16)); }
// A permutation reads the low four bits of its indices alone.
#define NIBBLE(v, i) _mm512_permutexvar_ps(_mm512_srli_epi32(v, 4 * (i)), _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1))
#else
INLINE vi load_codes(const uint32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vf load_zeros(const int8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))); }
INLINE vf load_halves(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE vf load_brains(const uint16_t *p) { return v_frombits(i_shl(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16)); }
#define NIBBLE(v, i) v_float(i_sar(i_shl(v, 28 - 4 * (i)), 28))
#endif
#define BYTE(v, i) v_float(i_sar(i_shl(v, 24 - 8 * (i)), 24))

INLINE vf load_half(int kind, const uint16_t *p) { return kind == HALVES ? load_halves(p) : load_brains(p); }

// Expands to do(i, w0, w1) for each weight i of a group at g.
#define EACH_NIBBLE(g, DO) \
	do { \
		vi u = load_codes(g), v = load_codes((g) + VL); \
		DO(0, NIBBLE(u, 0), NIBBLE(v, 0)); \
		DO(1, NIBBLE(u, 1), NIBBLE(v, 1)); \
		DO(2, NIBBLE(u, 2), NIBBLE(v, 2)); \
		DO(3, NIBBLE(u, 3), NIBBLE(v, 3)); \
		DO(4, NIBBLE(u, 4), NIBBLE(v, 4)); \
		DO(5, NIBBLE(u, 5), NIBBLE(v, 5)); \
		DO(6, NIBBLE(u, 6), NIBBLE(v, 6)); \
		DO(7, NIBBLE(u, 7), NIBBLE(v, 7)); \
	} while (0)

#define EACH_BYTE(g, DO) \
	do { \
		vi u = load_codes(g), v = load_codes((g) + VL); \
		DO(0, BYTE(u, 0), BYTE(v, 0)); \
		DO(1, BYTE(u, 1), BYTE(v, 1)); \
		DO(2, BYTE(u, 2), BYTE(v, 2)); \
		DO(3, BYTE(u, 3), BYTE(v, 3)); \
	} while (0)

// Sums of rows of x with codes. Of few rows even and odd weights are apart, so that one sum need not wait for the other.
#define LEAN_STEP(i, w0, w1) \
	do { \
		vf y0 = w0, y1 = w1; \
		UNROLL(4) for (int r = 0; r < rows; r++) { \
			vf xv = v_set(xr[r * ldx + (i)]); \
			int o = rows < 3 ? (i) % 2 : 0; \
			sum[r][o][0] = v_fma(xv, y0, sum[r][o][0]); \
			sum[r][o][1] = v_fma(xv, y1, sum[r][o][1]); \
		} \
	} while (0)

// A few rows of x, whole groups, against a panel. xs has for each row and block the sum of x; c is NR wide.
INLINE void lean(int kind, int rows, const struct coded_task *t, const struct panel *p, const float *x, long ldx, const float *xs, float *c) {
	long groups = (t->k + per(kind) - 1) / per(kind), blocks = (t->k + t->block - 1) / t->block;
	long each = kind >= HALVES ? groups : t->block / per(kind);
	const uint32_t *g = p->codes;
	for (long b = 0; b < blocks; b++) {
		vf sum[LEAN_ROWS][2][2];
		long end = groups - b * each < each ? groups - b * each : each;
		const float *xr = x + b * t->block;
		UNROLL(4) for (int r = 0; r < rows; r++)
			UNROLL(2) for (int o = 0; o < 2; o++)
				sum[r][o][0] = sum[r][o][1] = v_zero();
		if (kind >= HALVES) {
			const uint16_t *h = (const uint16_t *)g;
			long i = 0;
			for (; i + 4 <= end; i += 4, h += 4 * NR, xr += 4) {
				LEAN_STEP(0, load_half(kind, h), load_half(kind, h + VL));
				LEAN_STEP(1, load_half(kind, h + NR), load_half(kind, h + NR + VL));
				LEAN_STEP(2, load_half(kind, h + 2 * NR), load_half(kind, h + 2 * NR + VL));
				LEAN_STEP(3, load_half(kind, h + 3 * NR), load_half(kind, h + 3 * NR + VL));
			}
			for (; i < end; i++, h += NR, xr++)
				LEAN_STEP(0, load_half(kind, h), load_half(kind, h + VL));
		} else {
			for (long i = 0; i < end; i++, g += NR, xr += per(kind)) {
				if (kind == NIBBLES)
					EACH_NIBBLE(g, LEAN_STEP);
				else
					EACH_BYTE(g, LEAN_STEP);
			}
		}
		UNROLL(4) for (int r = 0; r < rows; r++) {
			UNROLL(2) for (int o = 0; o < 2; o++) {
				float *to = c + r * NR + o * VL;
				vf s = v_add(sum[r][0][o], sum[r][1][o]);
				if (p->zeros)
					s = v_fnma(load_zeros(p->zeros + b * NR + o * VL), v_set(xs[r * blocks + b]), s);
				if (kind < HALVES)
					s = v_fma(v_load(p->scales + b * NR + o * VL), s, b ? v_load(to) : v_zero());
				v_store(to, s);
			}
		}
	}
}

typedef void lean_fn(const struct coded_task *t, const struct panel *p, const float *x, long ldx, const float *xs, float *c);

#define LEAN(KIND, ROWS) \
	static void lean_##KIND##_##ROWS(const struct coded_task *t, const struct panel *p, const float *x, long ldx, const float *xs, float *c) { \
		lean(KIND, ROWS, t, p, x, ldx, xs, c); \
	}
#define LEAN_KIND(KIND) LEAN(KIND, 1) LEAN(KIND, 2) LEAN(KIND, 3) LEAN(KIND, 4)
LEAN_KIND(NIBBLES) LEAN_KIND(BYTES) LEAN_KIND(HALVES) LEAN_KIND(BRAINS)

#define LEAN_ROW(KIND) {lean_##KIND##_1, lean_##KIND##_2, lean_##KIND##_3, lean_##KIND##_4}
static lean_fn *const lean_by[4][LEAN_ROWS] = {LEAN_ROW(NIBBLES), LEAN_ROW(BYTES), LEAN_ROW(HALVES), LEAN_ROW(BRAINS)};

// Depth k0 to k0+kc of a panel as floats, kc·NR, filled up to whole groups.
static void decode(int kind, const struct panel *p, long block, long k0, long kc, float *dst) {
	if (kind >= HALVES) {
		const uint16_t *h = (const uint16_t *)p->codes + k0 * NR;
		if (kind == HALVES)
			for (long i = 0; i < kc * NR; i += VL)
				v_store(dst + i, load_halves(h + i));
		else
			for (long i = 0; i < kc * NR; i += VL)
				v_store(dst + i, load_brains(h + i));
		return;
	}
	for (long k = k0; k < k0 + kc;) {
		long b = k / block, end = (b + 1) * block < k0 + kc ? (b + 1) * block : k0 + kc;
		vf s0 = v_load(p->scales + b * NR), s1 = v_load(p->scales + b * NR + VL), z0 = v_zero(), z1 = v_zero();
		if (p->zeros) {
			z0 = v_mul(s0, load_zeros(p->zeros + b * NR));
			z1 = v_mul(s1, load_zeros(p->zeros + b * NR + VL));
		}
#define DECODE_STEP(i, w0, w1) \
	do { \
		v_store(dst + (i)*NR, v_sub(v_mul(w0, s0), z0)); \
		v_store(dst + (i)*NR + VL, v_sub(v_mul(w1, s1), z1)); \
	} while (0)
		for (; k < end; k += per(kind), dst += per(kind) * NR) {
			const uint32_t *g = p->codes + k / per(kind) * NR;
			if (kind == NIBBLES)
				EACH_NIBBLE(g, DECODE_STEP);
			else
				EACH_BYTE(g, DECODE_STEP);
		}
#undef DECODE_STEP
	}
}

// Sums of each block of each row.
static void block_sums(const struct coded_task *t, const float *x, long ldx, float *xs) {
	for (long r = 0; r < t->m; r++) {
		for (long k = 0; k < t->k; k += t->block) {
			vf s = v_zero();
			long n = t->k - k < t->block ? t->k - k : t->block, i = 0;
			for (; i + VL <= n; i += VL)
				s = v_add(s, v_load(x + r * ldx + k + i));
			if (i < n)
				s = v_add(s, v_loadn(x + r * ldx + k + i, n - i));
			*xs++ = v_hsum(s);
		}
	}
}

// All rows, of which there are few, against panels p0 to p1.
static void few_rows(const struct ctx *x, long p0, long p1) {
	const struct coded_task *t = x->t;
	long group = per(t->kind), blocks = (t->k + t->block - 1) / t->block, padded = (t->k + group - 1) / group * group, ldx = t->lda;
	size_t bytes = (t->m * (blocks + padded) + 16) * sizeof(float);
	int slot;
	float *xs = aimass_scratch_get(bytes, &slot), *xp = xs + t->m * blocks;
	const float *rows = x->a;
	if (padded != t->k) {
		for (long r = 0; r < t->m; r++) {
			memcpy(xp + r * padded, x->a + r * t->lda, t->k * sizeof(float));
			memset(xp + r * padded + t->k, 0, (padded - t->k) * sizeof(float));
		}
		rows = xp;
		ldx = padded;
	}
	if (x->zeros)
		block_sums(t, rows, ldx, xs);
	struct edge e;
	for (long i = p0; i < p1; i++) {
		struct panel p = panel_at(x, i);
		long j = i * NR, cols = t->n - j < NR ? t->n - j : NR;
		lean_by[t->kind][t->m - 1](t, &p, rows, ldx, xs, e.tile);
		edge_store(&e, x->c + j, t->ldc, t->m, cols);
		finish(&t->ep, x->bias, x->res, x->c + j, t->ldc, 0, j, t->m, cols);
	}
	aimass_scratch_put(xs, bytes, slot);
}

// Rows m0 to m1 against panels p0 to p1, decoded part by part.
static void many_rows(const struct ctx *x, long m0, long m1, long p0, long p1, float *part, long top) {
	const struct coded_task *t = x->t;
	long rows = m1 - m0, tiles = tiles_of(rows);
	struct edge e;
	for (long k0 = 0; k0 < t->k; k0 += top) {
		long kc = t->k - k0 < top ? t->k - k0 : top;
		int last = k0 + kc == t->k;
		for (long i = p0; i < p1; i++) {
			struct panel p = panel_at(x, i);
			long j = i * NR, cols = t->n - j < NR ? t->n - j : NR;
			decode(t->kind, &p, t->block, k0, kc, part);
			for (long q = 0; q < tiles; q++) {
				long r0 = m0 + tile_start(rows, tiles, q), mr = m0 + tile_start(rows, tiles, q + 1) - r0, ldt = t->ldc;
				float *c = x->c + r0 * t->ldc + j, *tile = c;
				if (cols < NR) {
					tile = e.tile;
					ldt = NR;
					if (k0)
						edge_load(&e, c, t->ldc, mr, cols);
				}
				rows_tile[cols > VL][mr](kc, x->a + r0 * t->lda + k0, t->lda, part, part, 0, tile, ldt, k0 > 0);
				if (cols < NR)
					edge_store(&e, c, t->ldc, mr, cols);
				if (last)
					finish(&t->ep, x->bias, x->res, c, t->ldc, r0, j, mr, cols);
			}
		}
	}
}

static void run_task(void *arg, int task) {
	const struct ctx *x = arg;
	const struct coded_task *t = x->t;
	long panels = (t->n + NR - 1) / NR, p0 = panels * task / x->parts, p1 = panels * (task + 1) / x->parts;
	if (p0 == p1)
		return;
	if (t->m <= LEAN_ROWS) {
		few_rows(x, p0, p1);
		return;
	}
	// Depths are cut at multiples of 16, which blocks and groups are, too.
	long most = t->m <= FEW_ROWS ? KC_FEW : KC_MANY, cuts = (t->k + most - 1) / most, top = ((t->k + cuts - 1) / cuts + 15) / 16 * 16;
	long mblocks = (t->m + MC - 1) / MC;
	size_t bytes = top * NR * sizeof(float);
	int slot;
	float *part = aimass_scratch_get(bytes, &slot);
	for (long i = 0; i < mblocks; i++)
		many_rows(x, t->m * i / mblocks, t->m * (i + 1) / mblocks, p0, p1, part, top);
	aimass_scratch_put(part, bytes, slot);
}

void ISA(aimass_coded)(const struct coded_task *t, const float *a, const uint32_t *codes, const float *scales, const int8_t *zeros,
                       float *c, const float *bias, const float *res) {
	struct ctx x = {t, a, scales, bias, res, codes, zeros, c, 1};
	long panels = (t->n + NR - 1) / NR;
	int threads = t->threads;
	// As in gemm.
	if ((double)t->m * t->n * t->k < 4e5 && (double)t->n * t->k < 8e4)
		threads = 1;
	x.parts = panels < threads ? panels : threads;
	aimass_pool_run(run_task, &x, (int)x.parts, threads);
}
