// The double GEMM, and distances, for one instruction set: tiles, blocking, threads.
#include "gemm64.h"
#include "pool.h"
#include "simd64.h"

#define NR (2 * DL)
#if DL == 8
#define MRMAX 12
#else
#define MRMAX 6
#endif

enum {
	// Rows of A, and depth, that are taken at a time: they stay in the second-level cache while panels of
	// B stream past. Where all of B fits there, as in doubles, it stays and rows stream: rows of C are
	// then written along, not down.
	MC = MRMAX * (DL == 8 ? 10 : 20),
	KC_MAX = 256,
	B_STAYS = 48 << 10,
	// Rows of A that lie further apart, in doubles, are copied together where they are used often: each is
	// a page, and the first-level translation cache holds fewer.
	FAR_APART = 256,
	// Columns of an unpacked B that are packed at a time.
	NC = 256,
	// With no more rows than this, rows of an unpacked B are read in place.
	FEW_ROWS = MRMAX,
	// With no more rows, or columns, than this, sums run along vectors of the depth.
	DOT_ROWS = 2,
	LINE = 64 / sizeof(double),
};

// A tile is MR rows of A in place, lda apart, by P vectors of columns of B, whose rows are bs apart:
// C = Σ or C += Σ (add). Rows 3g, 3g+1 and 3g+2 are addressed as base g plus 0, 1 or 2 strides, which keeps
// twelve rows within the sixteen general registers.
typedef void tile_fn(long kc, const double *a, long lda, const double *b, long bs, double *c, long ldc, int add);

#define PRODUCT(acc, x, y) acc = d_fma(x, y, acc)
#define SQUARE(acc, x, y) \
	do { \
		vd diff = d_sub(x, y); \
		acc = d_fma(diff, diff, acc); \
	} while (0)
#define DIFFERENCE(acc, x, y) acc = d_add(acc, d_abs(d_sub(x, y)))

#define STEP(MR, P, SUM, i) \
	do { \
		vd bv[P]; \
		UNROLL(2) for (int j = 0; j < P; j++) { \
			bv[j] = d_load(b + j * DL); \
			if (DL == 8 || j == 0) \
				_mm_prefetch((const char *)(b + 12 * bs + j * DL), _MM_HINT_T0); \
		} \
		b += bs; \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			vd x = d_set(row[r / 3][(r % 3) * lda + (i)]); \
			UNROLL(2) for (int j = 0; j < P; j++) \
				SUM(acc[r][j], x, bv[j]); \
		} \
	} while (0)

#define TILE(NAME, MR, P, SUM) \
	static void NAME##_##MR##_##P(long kc, const double *a, long lda, const double *b, long bs, double *c, long ldc, int add) { \
		vd acc[MR][P]; \
		const double *row[4] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda}; \
		double *cr = c; \
		UNROLL(12) for (int r = 0; r < MR; r++, cr += ldc) \
			UNROLL(2) for (int j = 0; j < P; j++) \
				acc[r][j] = add ? d_load(cr + j * DL) : d_zero(); \
		__asm__("" : "+r"(c)); /* addresses of C that are kept across the loop spill */ \
		for (; kc >= 2; kc -= 2) { \
			STEP(MR, P, SUM, 0); \
			STEP(MR, P, SUM, 1); \
			UNROLL(4) for (int g = 0; g < (MR + 2) / 3; g++) \
				row[g] += 2; \
		} \
		if (kc > 0) \
			STEP(MR, P, SUM, 0); \
		UNROLL(12) for (int r = 0; r < MR; r++, c += ldc) \
			UNROLL(2) for (int j = 0; j < P; j++) \
				d_store(c + j * DL, acc[r][j]); \
	}

#define TILES(MR) TILE(product, MR, 1, PRODUCT) TILE(product, MR, 2, PRODUCT) TILE(square, MR, 1, SQUARE) TILE(square, MR, 2, SQUARE) \
	TILE(difference, MR, 1, DIFFERENCE) TILE(difference, MR, 2, DIFFERENCE)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if DL == 8
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#define ROW_OF_TILES(NAME, P) \
	{0, NAME##_1_##P, NAME##_2_##P, NAME##_3_##P, NAME##_4_##P, NAME##_5_##P, NAME##_6_##P, NAME##_7_##P, NAME##_8_##P, NAME##_9_##P, NAME##_10_##P, NAME##_11_##P, NAME##_12_##P}
#else
#define ROW_OF_TILES(NAME, P) \
	{0, NAME##_1_##P, NAME##_2_##P, NAME##_3_##P, NAME##_4_##P, NAME##_5_##P, NAME##_6_##P}
#endif

// By sum, vectors of columns less one, and rows.
static tile_fn *const tiles[3][2][MRMAX + 1] = {
	{ROW_OF_TILES(product, 1), ROW_OF_TILES(product, 2)},
	{ROW_OF_TILES(square, 1), ROW_OF_TILES(square, 2)},
	{ROW_OF_TILES(difference, 1), ROW_OF_TILES(difference, 2)},
};

// One row against a panel: with four accumulators a column, for the latency of one is all that would bound it.
static void lone_row(long kc, const double *a, const double *b, long bs, double *c) {
	vd acc[4][2];
	UNROLL(4) for (int i = 0; i < 4; i++)
		acc[i][0] = acc[i][1] = d_zero();
	for (; kc >= 4; kc -= 4, a += 4, b += 4 * bs) {
		UNROLL(4) for (int i = 0; i < 4; i++) {
			vd x = d_set(a[i]);
			acc[i][0] = d_fma(x, d_load(b + i * bs), acc[i][0]);
			acc[i][1] = d_fma(x, d_load(b + i * bs + DL), acc[i][1]);
		}
	}
	for (; kc > 0; kc--, a++, b += bs) {
		vd x = d_set(*a);
		acc[0][0] = d_fma(x, d_load(b), acc[0][0]);
		acc[0][1] = d_fma(x, d_load(b + DL), acc[0][1]);
	}
	for (int j = 0; j < 2; j++)
		d_store(c + j * DL, d_add(d_add(acc[0][j], acc[1][j]), d_add(acc[2][j], acc[3][j])));
}

struct ctx {
	const struct gemm64_task *t;
	const double *a, *b, *bias, *res;
	double *c;
	long row_parts, col_parts;
};

struct block {
	const struct gemm64_task *t;
	const double *a, *b, *bias, *res;
	double *c;
	long m0, m1, n0, n1;
};

// What is left to do to a block of C that holds the finished sums.
static void finish(const struct block *k, double *c, long ldc, long i0, long j0, long rows, long cols) {
	const struct gemm64_task *t = k->t;
	if (!k->bias && !k->res && t->alpha == 1 && !t->root)
		return;
	vd alpha = d_set(t->alpha), beta = d_set(t->beta);
	for (long r = 0; r < rows; r++) {
		double *row = c + r * ldc;
		const double *rr = k->res ? k->res + (i0 + r) * t->ldr + j0 : 0;
		for (long j = 0; j < cols; j += DL) {
			dm m = d_first(cols - j < DL ? cols - j : DL);
			vd v = d_mul(d_loadm(m, row + j), alpha);
			if (k->bias)
				v = d_add(v, d_loadm(m, k->bias + j0 + j));
			if (rr)
				v = d_fma(beta, d_loadm(m, rr + j), v);
			if (t->root)
				v = d_sqrt(v);
			d_storem(m, row + j, v);
		}
	}
}

// Rows of A, lda apart, against panels of B, pb apart, with rows bs apart. A narrow or last block of C goes
// through a tile of full width, since kernels write whole vectors.
static void block_rows(const struct block *k, const double *a, long lda, long m0, long rows, const double *b, long bs, long pb,
                       long n0, long n1, long kc, int first, int last) {
	const struct gemm64_task *t = k->t;
	long parts = (rows + MRMAX - 1) / MRMAX;
	double edge[MRMAX * NR] __attribute__((aligned(64)));
	for (long j = n0; j < n1; j += NR, b += pb) {
		long cols = n1 - j < NR ? n1 - j : NR;
		tile_fn *const *tile_of = tiles[t->sum][cols > DL];
		for (long i = 0; i < parts; i++) {
			long r0 = rows * i / parts, mr = rows * (i + 1) / parts - r0, ldt = t->ldc;
			double *c = k->c + (m0 + r0) * t->ldc + j, *tile = c;
			if (cols < NR) {
				tile = edge;
				ldt = NR;
				for (long r = 0; r < mr && !first; r++)
					memcpy(edge + r * NR, c + r * t->ldc, cols * sizeof *c);
			}
			if (mr == 1 && first && last && t->sum == SUM_PRODUCTS && cols > DL)
				lone_row(kc, a + r0 * lda, b, bs, tile);
			else
				tile_of[mr](kc, a + r0 * lda, lda, b, bs, tile, ldt, !first);
			for (long r = 0; r < mr && cols < NR; r++)
				memcpy(c + r * t->ldc, edge + r * NR, cols * sizeof *c);
			if (last)
				finish(k, c, t->ldc, m0 + r0, j, mr, cols);
		}
	}
}

// kc rows of n ≤ NR columns of B, from row k0 and column j on, as one zero-padded panel.
static void pack_panel(double *dst, const struct block *k, long k0, long j, long n, long kc) {
	const struct gemm64_task *t = k->t;
	if (t->form == B_PLAIN) {
		const double *b = k->b + k0 * t->ldb + j;
		dm m0 = d_first(n < DL ? n : DL), m1 = d_first(n < DL ? 0 : n - DL);
		for (long p = 0; p < kc; p++, dst += NR, b += t->ldb) {
			d_store(dst, d_loadm(m0, b));
			d_store(dst + DL, d_loadm(m1, n > DL ? b + DL : b));
		}
		return;
	}
	for (long c = 0; c < NR; c++) {
		const double *b = k->b + (j + c) * t->ldb + k0;
		for (long p = 0; p < kc; p++)
			dst[p * NR + c] = c < n ? b[p] : 0;
	}
}

// The rows m0..m1 of A, depth k0..k0+kc, as rows one behind the other.
static void pack_rows(double *dst, const struct block *k, long m0, long m1, long k0, long kc) {
	for (long i = m0; i < m1 && !k->t->trans_a; i++)
		memcpy(dst + (i - m0) * kc, k->a + i * k->t->lda + k0, kc * sizeof *dst);
	if (!k->t->trans_a)
		return;
	for (long p = 0; p < kc; p++) {
		const double *a = k->a + (k0 + p) * k->t->lda;
		for (long i = m0; i < m1; i++)
			dst[(i - m0) * kc + p] = a[i];
	}
}

static void tiled_block(const struct block *k) {
	const struct gemm64_task *t = k->t;
	long kblocks = t->k > KC_MAX ? (t->k + KC_MAX - 1) / KC_MAX : 1;
	long kc_top = (t->k + kblocks - 1) / kblocks, cols = k->n1 - k->n0;
	long mc = kc_top * cols <= B_STAYS ? MRMAX : MC;
	long rows = k->m1 - k->m0, mblocks = (rows + mc - 1) / mc;
	int in_place = t->form == B_PLAIN && rows <= FEW_ROWS && !t->trans_a;
	int pack_a = t->trans_a || (mc == MC && rows > MRMAX && t->lda > FAR_APART);
	size_t fa = pack_a ? (MC * kc_top + 7) / 8 * 8 : 0;
	size_t bytes = (fa + (t->form == B_PANELS ? 0 : NC * kc_top)) * sizeof(double);
	int slot;
	double *pa = bytes ? aimass_scratch_get(bytes, &slot) : 0, *pb = pa + fa;
	for (long q = 0; q < kblocks; q++) {
		long k0 = t->k * q / kblocks, kc = t->k * (q + 1) / kblocks - k0;
		int first = q == 0, last = q == kblocks - 1;
		long step = t->form == B_PANELS ? cols : NC;
		for (long j0 = k->n0; j0 < k->n1; j0 += step) {
			long j1 = j0 + step < k->n1 ? j0 + step : k->n1, whole = in_place ? j0 + (j1 - j0) / NR * NR : j0;
			for (long j = whole; j < j1 && t->form != B_PANELS; j += NR)
				pack_panel(pb + (j - whole) * kc, k, k0, j, j1 - j < NR ? j1 - j : NR, kc);
			for (long i = 0; i < mblocks; i++) {
				long m0 = k->m0 + rows * i / mblocks, m1 = k->m0 + rows * (i + 1) / mblocks, lda = t->lda;
				const double *a = k->a + m0 * t->lda + k0;
				if (pack_a) {
					pack_rows(pa, k, m0, m1, k0, kc);
					a = pa;
					lda = kc;
				}
				if (t->form == B_PANELS) {
					block_rows(k, a, lda, m0, m1 - m0, k->b + j0 * t->k + k0 * NR, NR, t->k * NR, j0, j1, kc, first, last);
					continue;
				}
				if (whole > j0)
					block_rows(k, a, lda, m0, m1 - m0, k->b + k0 * t->ldb + j0, t->ldb, NR, j0, whole, kc, first, last);
				block_rows(k, a, lda, m0, m1 - m0, pb, NR, kc * NR, whole, j1, kc, first, last);
			}
		}
	}
	if (bytes)
		aimass_scratch_put(pa, bytes, slot);
}

INLINE vd term(int sum, vd acc, vd x, vd y) {
	if (sum == SUM_PRODUCTS)
		PRODUCT(acc, x, y);
	else if (sum == SUM_SQUARES)
		SQUARE(acc, x, y);
	else
		DIFFERENCE(acc, x, y);
	return acc;
}

// dots_by sets out[0], out[step], … of n ≤ 4 rows, ld apart, to their sums with y.
INLINE void dots_by(int sum, const double *rows, long ld, long n, const double *y, long k, double *out, long step) {
	const double *x[4];
	vd s[4][2];
	UNROLL(4) for (int q = 0; q < 4; q++) {
		x[q] = rows + (q < n ? q : 0) * ld;
		s[q][0] = s[q][1] = d_zero();
	}
	for (; k >= 2 * DL; k -= 2 * DL, y += 2 * DL) {
		UNROLL(2) for (int h = 0; h < 2; h++) {
			vd v = d_load(y + h * DL);
			UNROLL(4) for (int q = 0; q < 4; q++) {
				s[q][h] = term(sum, s[q][h], d_load(x[q] + h * DL), v);
			}
		}
		UNROLL(4) for (int q = 0; q < 4; q++)
			x[q] += 2 * DL;
	}
	for (; k > 0; k -= DL, y += DL) {
		dm m = d_first(k < DL ? k : DL);
		vd v = d_loadm(m, y);
		UNROLL(4) for (int q = 0; q < 4; q++) {
			s[q][0] = term(sum, s[q][0], d_loadm(m, x[q]), v);
			x[q] += DL;
		}
	}
	UNROLL(4) for (int q = 0; q < 4; q++)
		if (q < n)
			out[q * step] = d_hsum(d_add(s[q][0], s[q][1]));
}

// Few rows, or few columns, against a transposed B: the operand of many rows goes four rows at a time.
static void dots_block(const struct block *k) {
	const struct gemm64_task *t = k->t;
	long rows = k->m1 - k->m0, cols = k->n1 - k->n0;
	int by_rows = rows > DOT_ROWS;
	long many = by_rows ? rows : cols, few = by_rows ? cols : rows;
	long ldx = by_rows ? t->lda : t->ldb, ldy = by_rows ? t->ldb : t->lda;
	const double *a = k->a + k->m0 * t->lda, *b = k->b + k->n0 * t->ldb, *x = by_rows ? a : b, *y = by_rows ? b : a;
	double *c = k->c + k->m0 * t->ldc + k->n0;
	long cx = by_rows ? t->ldc : 1, cy = by_rows ? 1 : t->ldc;
	for (long i = 0; i < many; i += 4) {
		long n = many - i < 4 ? many - i : 4;
		for (long j = 0; j < few; j++) {
			if (t->sum == SUM_PRODUCTS)
				dots_by(SUM_PRODUCTS, x + i * ldx, ldx, n, y + j * ldy, t->k, c + i * cx + j * cy, cx);
			else if (t->sum == SUM_SQUARES)
				dots_by(SUM_SQUARES, x + i * ldx, ldx, n, y + j * ldy, t->k, c + i * cx + j * cy, cx);
			else
				dots_by(SUM_DIFFERENCES, x + i * ldx, ldx, n, y + j * ldy, t->k, c + i * cx + j * cy, cx);
		}
	}
	finish(k, c, t->ldc, k->m0, k->n0, rows, cols);
}

static void run_block(const struct block *k) {
	const struct gemm64_task *t = k->t;
	long rows = k->m1 - k->m0, cols = k->n1 - k->n0;
	if (rows <= 0 || cols <= 0)
		return;
	int turned = t->form == B_TRANS || (t->form == B_PLAIN && t->n == 1 && t->ldb == 1);
	if (turned && !t->trans_a && (rows <= DOT_ROWS || t->n <= DOT_ROWS)) {
		struct gemm64_task u = *t;
		struct block v = *k;
		u.ldb = t->form == B_TRANS ? t->ldb : 0;
		v.t = &u;
		dots_block(&v);
	} else {
		tiled_block(k);
	}
}

static long part(long length, long unit, long i, long n) {
	long units = (length + unit - 1) / unit, at = units * i / n * unit;
	return at < length ? at : length;
}

static void run_task(void *arg, int task) {
	const struct ctx *x = arg;
	const struct gemm64_task *t = x->t;
	long parts = x->row_parts * x->col_parts, q = task / parts, p = task % parts;
	long rp = p / x->col_parts, cp = p % x->col_parts;
	struct block k = {t, x->a, x->b, x->bias, x->res, x->c, 0, 0, 0, 0};
	for (int d = 3; d >= 0; d--) {
		long n = t->batch[d] > 1 ? t->batch[d] : 1, i = q % n;
		q /= n;
		k.a += i * t->stride_a[d];
		k.b += i * t->stride_b[d];
		k.c += i * t->stride_c[d];
		if (k.res)
			k.res += i * t->stride_c[d];
	}
	k.m0 = part(t->m, 1, rp, x->row_parts);
	k.m1 = part(t->m, 1, rp + 1, x->row_parts);
	k.n0 = part(t->n, NR, cp, x->col_parts);
	k.n1 = part(t->n, NR, cp + 1, x->col_parts);
	run_block(&k);
}

void ISA(aimass_gemm64)(const struct gemm64_task *t, const double *a, const double *b, double *c, const double *bias, const double *res) {
	struct ctx x = {t, a, b, bias, res, c, 1, 1};
	long batches = 1;
	for (int d = 0; d < 4; d++)
		batches *= t->batch[d] > 1 ? t->batch[d] : 1;
	int threads = t->threads;
	// Less arithmetic and less reading of B than this is not worth waking another thread.
	double work = (double)t->m * t->n * t->k * batches, reads = (double)t->k * t->n * batches;
	if (work < 2e5 && reads < 4e4)
		threads = 1;
	if (threads > 1 && batches < 2 * threads) {
		long panels = (t->n + NR - 1) / NR;
		if (t->m >= 4 * MRMAX * threads)
			x.row_parts = threads * (t->m >= 16 * MRMAX * threads ? 2 : 1);
		else
			x.col_parts = panels < threads ? panels : threads;
	}
	aimass_pool_run(run_task, &x, (int)(batches * x.row_parts * x.col_parts), threads);
}
