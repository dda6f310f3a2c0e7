// The float GEMM for one instruction set: blocking, epilogue, threads.
#define TILE_ROWS
#include "gemm.h"
#include "finish.h"
#include "pack.h"
#include "pool.h"
#include "vmath.h"

enum {
	// Rows of A, and depth, that are taken at a time; MC·KC floats stay in
	// the second-level cache while panels of B stream past.
	MC = MRMAX * (VL == 16 ? 12 : 24),
	KC_MAX = 384,
	// Columns of an unpacked B that are packed at a time.
	NC = 512,
	// With so many columns at least, A is packed where that makes its tiles faster: always where six rows make one,
	// else where rows are a multiple of PAGE_FLOATS apart and so fall into the same few sets of the caches.
	PACK_COLUMNS = 256,
	PAGE_FLOATS = 1024,
	// At most so many tiles fetch the next panel between them: by fewer the lines that are under way fill the core's buffers.
	FETCH_TILES = 8,
	// With no more rows than this, A is read in place, by tiles that don't fetch ahead; on AVX2 against as many weights
	// as stay near: those that come from further away come up to twice as fast through tiles that do.
	DIRECT_ROWS = 12,
	NEAR_ROWS = VL == 16 ? DIRECT_ROWS : 2,
	NEAR_WEIGHTS = 32 << 10,
	// With no more rows, or columns, than this, sums run along vectors of the depth.
	DOT_ROWS = 2,
};

struct ctx {
	const struct gemm_task *t;
	const float *a, *b, *bias, *res;
	float *c;
	long row_parts, col_parts;
};

struct block {
	const struct gemm_task *t;
	const float *a, *b, *bias, *res;
	float *c;
	long m0, m1, n0, n1;
};

// Rows of A in place. bs and bp are the steps of B from one k, and one panel,
// to the next; b is the panel that begins at column n0.
static void direct_rows(const struct block *k, const float *b, long bs, long bp, long n0, long n1) {
	const struct gemm_task *t = k->t;
	long rows = k->m1 - k->m0, tiles = tiles_of(rows);
	struct edge edge;
	for (long j = n0; j < n1;) {
		long left = (n1 - j) / NR;
		long h = (rows + tiles - 1) / tiles;
		long p = h == 1 && left >= 4 ? 4 : h <= DIRECT2_MAX && left >= 2 ? 2 : 1;
		long cols = n1 - j < p * NR ? n1 - j : p * NR;
		for (long i = 0; i < tiles; i++) {
			long r0 = k->m0 + tile_start(rows, tiles, i), mr = k->m0 + tile_start(rows, tiles, i + 1) - r0;
			float *c = k->c + r0 * t->ldc + j;
			const float *a = k->a + r0 * t->lda;
			if (cols < p * NR) {
				direct_tile[mr](t->k, a, t->lda, b, bs, bp, edge.tile, NR, 0);
				finish(&t->ep, k->bias, k->res, edge.tile, NR, r0, j, mr, cols);
				edge_store(&edge, c, t->ldc, mr, cols);
				continue;
			}
			if (p == 4)
				direct_1_4(t->k, a, t->lda, b, bs, bp, c, t->ldc, 0);
			else
				(p == 2 ? direct_tile2 : direct_tile)[mr](t->k, a, t->lda, b, bs, bp, c, t->ldc, 0);
			finish(&t->ep, k->bias, k->res, c, t->ldc, r0, j, mr, cols);
		}
		b += p * bp;
		j += p * NR;
	}
}

// Whether few rows of A are read in place against packed weights.
INLINE int near_rows(const struct gemm_task *t, long rows) { return rows <= (t->k * t->n <= NEAR_WEIGHTS ? DIRECT_ROWS : NEAR_ROWS); }

static void direct_block(const struct block *k) {
	const struct gemm_task *t = k->t;
	if (t->packed) {
		direct_rows(k, k->b + k->n0 * t->k, NR, t->k * NR, k->n0, k->n1);
		return;
	}
	// An unpacked B is read in place but for its last, narrow panel, where a
	// full vector would reach past the row.
	long whole = k->n0 + (k->n1 - k->n0) / NR * NR;
	if (whole > k->n0)
		direct_rows(k, k->b + k->n0, t->ldb, NR, k->n0, whole);
	if (whole < k->n1) {
		int slot;
		size_t bytes = t->k * NR * sizeof(float);
		float *panel = aimass_scratch_get(bytes, &slot);
		pack_b_panel(panel, k->b + whole, t->ldb, k->n1 - whole, t->k);
		direct_rows(k, panel, NR, t->k * NR, whole, k->n1);
		aimass_scratch_put(panel, bytes, slot);
	}
}

// The rows m0..m1 of A, depth k0..k0+kc, as tiles one behind the other.
static void pack_a(const struct block *k, float *dst, long m0, long rows, long k0, long kc) {
	const struct gemm_task *t = k->t;
	long tiles = tiles_of(rows);
	for (long i = 0; i < tiles; i++) {
		long r0 = tile_start(rows, tiles, i), mr = tile_start(rows, tiles, i + 1) - r0;
		if (t->trans_a)
			pack_a_tile_trans(dst + r0 * kc, k->a + k0 * t->lda + m0 + r0, t->lda, mr, kc);
		else
			pack_a_tile(dst + r0 * kc, k->a + (m0 + r0) * t->lda + k0, t->lda, mr, kc);
	}
}

// What is added to the rows of C that a tile will be stored to comes into the cache while it is computed:
// it lies too far apart for the hardware to foresee.
static void fetch_rows(const float *res, long ldr, long rows) {
	for (long r = 0; r < rows; r++)
		for (long j = 0; j < NR; j += 16)
			__builtin_prefetch(res + r * ldr + j);
}

// A block of rows of A, lda apart, or packed as tiles if that is 0, against panels of B at b (panel step bp).
// The first two tiles of a panel fetch the next panel, and those of the last one what is at next: weights that
// come from memory take longer than a tile's own prefetch, a few rows ahead, foresees.
static void block_rows(const struct block *k, const float *a, long lda, long m0, long rows, const float *b, long bp,
                       const float *next, long n0, long n1, long kc, int first, int last) {
	const struct gemm_task *t = k->t;
	long tiles = tiles_of(rows), cover = 2; // tiles that fetch the next panel
	while (lda && 2 * cover <= tiles && cover < FETCH_TILES)
		cover *= 2;
	long pace = 32 / cover;
	struct edge edge;
	for (long j = n0; j < n1; j += NR, b += bp) {
		long cols = n1 - j < NR ? n1 - j : NR;
		const float *far = j + NR < n1 ? b + bp : next;
		for (long i = 0; i < tiles; i++, far = i < cover ? far + kc * NR / cover : b) {
			long r0 = tile_start(rows, tiles, i), mr = tile_start(rows, tiles, i + 1) - r0, ldt = t->ldc;
			float *c = k->c + (m0 + r0) * t->ldc + j, *tile = c;
			if (cols < NR) {
				tile = edge.tile;
				ldt = NR;
				if (!first)
					edge_load(&edge, c, t->ldc, mr, cols);
			} else if (k->res && last) {
				fetch_rows(k->res + (m0 + r0) * t->ep.ldr + j, t->ep.ldr, mr);
			}
			if (lda)
				rows_tile[cols > VL][mr](kc, a + r0 * lda, lda, b, far, pace, tile, ldt, !first);
			else
				(cols > VL ? packed_tile : half_tile)[mr](kc, a + r0 * kc, b, far, tile, ldt, !first);
			if (cols < NR)
				edge_store(&edge, c, t->ldc, mr, cols);
			if (last)
				finish(&t->ep, k->bias, k->res, c, t->ldc, m0 + r0, j, mr, cols);
		}
	}
}

// Products of the same rows of A with packed weights. Rows run in blocks that stay in the second-level
// cache for all panels, and so does their C from one part of the depth to the next: the weights are read again
// for each block, as they are fetched ahead.
static void packed_block(const struct block *k, int products) {
	const struct gemm_task *t = k->t;
	long kblocks = (t->k + KC_MAX - 1) / KC_MAX;
	long rows = k->m1 - k->m0, mblocks = (rows + MC - 1) / MC;
	int slot = 0, pack = (VL == 8 || t->lda % PAGE_FLOATS == 0) && k->n1 - k->n0 >= PACK_COLUMNS;
	size_t bytes = (((rows + mblocks - 1) / mblocks) * ((t->k + kblocks - 1) / kblocks) + 16) * sizeof(float);
	float *pa = pack ? aimass_scratch_get(bytes, &slot) : 0;
	for (long i = 0; i < mblocks; i++) {
		long m0 = k->m0 + rows * i / mblocks, m1 = k->m0 + rows * (i + 1) / mblocks;
		for (long q = 0; q < kblocks; q++) {
			long k0 = t->k * q / kblocks, k1 = t->k * (q + 1) / kblocks;
			if (pack)
				pack_a(k, pa, m0, m1 - m0, k0, k1 - k0);
			for (int p = 0; p < products; p++) {
				const struct block *x = &k[p], *y = &k[(p + 1) % products];
				long then = p + 1 < products ? k0 : q + 1 < kblocks ? k1 : 0;
				block_rows(x, pack ? pa : k->a + m0 * t->lda + k0, pack ? 0 : t->lda, m0, m1 - m0, x->b + x->n0 * t->k + k0 * NR, t->k * NR,
				           y->b + y->n0 * t->k + then * NR, x->n0, x->n1, k1 - k0, q == 0, q == kblocks - 1);
			}
		}
	}
	if (pack)
		aimass_scratch_put(pa, bytes, slot);
}

// One product whose A and B are packed as they are needed.
static void packing_block(const struct block *k) {
	const struct gemm_task *t = k->t;
	long kblocks = (t->k + KC_MAX - 1) / KC_MAX;
	long rows = k->m1 - k->m0, mblocks = (rows + MC - 1) / MC;
	long kc_top = (t->k + kblocks - 1) / kblocks, mc_top = rows < MC ? rows : MC;
	size_t fa = (mc_top * kc_top + 31) / 16 * 16;
	size_t bytes = (fa + NC * kc_top) * sizeof(float);
	int slot;
	float *pa = aimass_scratch_get(bytes, &slot), *pb = pa + fa;
	for (long q = 0; q < kblocks; q++) {
		long k0 = t->k * q / kblocks, kc = t->k * (q + 1) / kblocks - k0;
		for (long j0 = k->n0; j0 < k->n1; j0 += NC) {
			long j1 = j0 + NC < k->n1 ? j0 + NC : k->n1;
			for (long j = j0; j < j1; j += NR) {
				long cols = j1 - j < NR ? j1 - j : NR;
				if (t->trans_b)
					pack_b_panel_trans(pb + (j - j0) * kc, k->b + j * t->ldb + k0, t->ldb, cols, kc);
				else
					pack_b_panel(pb + (j - j0) * kc, k->b + k0 * t->ldb + j, t->ldb, cols, kc);
			}
			for (long i = 0; i < mblocks; i++) {
				long m0 = rows * i / mblocks, m1 = rows * (i + 1) / mblocks;
				pack_a(k, pa, k->m0 + m0, m1 - m0, k0, kc);
				block_rows(k, pa, 0, k->m0 + m0, m1 - m0, pb, kc * NR, pb, j0, j1, kc, q == 0, q == kblocks - 1);
			}
		}
	}
	aimass_scratch_put(pa, bytes, slot);
}

// Sets out[0], out[step], … of n ≤ 4 rows, ld apart, to their products with y: with two accumulators of a vector each, which
// hides their latency and keeps long sums of terms that cancel nearer to the truth than one would.
static void dots(const float *rows, long ld, long n, const float *y, long k, float *out, long step) {
	const float *x[4];
	vf s[4][2];
	UNROLL(4) for (int q = 0; q < 4; q++) {
		x[q] = rows + (q < n ? q : 0) * ld;
		s[q][0] = s[q][1] = v_zero();
	}
	for (; k >= 2 * VL; k -= 2 * VL, y += 2 * VL) {
		UNROLL(2) for (int h = 0; h < 2; h++) {
			vf v = v_load(y + h * VL);
			UNROLL(4) for (int q = 0; q < 4; q++)
				s[q][h] = v_fma(v_load(x[q] + h * VL), v, s[q][h]);
		}
		UNROLL(4) for (int q = 0; q < 4; q++)
			x[q] += 2 * VL;
	}
	for (; k > 0; k -= VL, y += VL) {
		vm m = v_first(k < VL ? k : VL);
		vf v = v_loadm(m, y);
		UNROLL(4) for (int q = 0; q < 4; q++) {
			s[q][0] = v_fma(v_loadm(m, x[q]), v, s[q][0]);
			x[q] += VL;
		}
	}
	UNROLL(4) for (int q = 0; q < 4; q++)
		if (q < n)
			out[q * step] = v_hsum(v_add(s[q][0], s[q][1]));
}

// Few rows, or few columns, against a transposed B: the operand of many rows goes four rows at a time.
static void dots_block(const struct block *k, long ldb) {
	const struct gemm_task *t = k->t;
	long rows = k->m1 - k->m0, cols = k->n1 - k->n0;
	const float *a = k->a + k->m0 * t->lda, *b = k->b + k->n0 * ldb;
	float *c = k->c + k->m0 * t->ldc + k->n0;
	if (rows > DOT_ROWS) {
		for (long i = 0; i < rows; i += 4)
			for (long j = 0; j < cols; j++)
				dots(a + i * t->lda, t->lda, rows - i < 4 ? rows - i : 4, b + j * ldb, t->k, c + i * t->ldc + j, t->ldc);
	} else {
		for (long j = 0; j < cols; j += 4)
			for (long i = 0; i < rows; i++)
				dots(b + j * ldb, ldb, cols - j < 4 ? cols - j : 4, a + i * t->lda, t->k, c + i * t->ldc + j, 1);
	}
	finish(&t->ep, k->bias, k->res, c, t->ldc, k->m0, k->n0, rows, cols);
}

static void run_block(const struct block *k) {
	const struct gemm_task *t = k->t;
	long rows = k->m1 - k->m0, panels = (k->n1 - k->n0 + NR - 1) / NR;
	if (rows <= 0 || panels <= 0)
		return;
	int column = t->n == 1 && t->ldb == 1; // lies as its transposed does
	if (!t->packed && !t->trans_a && (t->trans_b || column) && (rows <= DOT_ROWS || t->n <= DOT_ROWS))
		dots_block(k, t->trans_b ? t->ldb : 0);
	else if (!t->trans_a && !(t->trans_b && !t->packed) && (panels <= 2 || (t->packed ? near_rows(t, rows) : rows <= DIRECT_ROWS)))
		direct_block(k);
	else if (t->packed)
		packed_block(k, 1);
	else
		packing_block(k);
}

static long part(long length, long unit, long i, long n) {
	long units = (length + unit - 1) / unit, at = units * i / n * unit;
	return at < length ? at : length;
}

static void run_task(void *arg, int task) {
	const struct ctx *x = arg;
	const struct gemm_task *t = x->t;
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

void ISA(aimass_gemm)(const struct gemm_task *t, const float *a, const float *b, float *c,
                      const float *bias, const float *res) {
	struct ctx x = {t, a, b, bias, res, c, 1, 1};
	long batches = 1;
	for (int d = 0; d < 4; d++)
		batches *= t->batch[d] > 1 ? t->batch[d] : 1;
	int threads = t->threads;
	// Less arithmetic and less reading of weights than this is not worth
	// waking another thread.
	double work = (double)t->m * t->n * t->k * batches, reads = (double)t->k * t->n * batches;
	if (work < 4e5 && reads < 8e4)
		threads = 1;
	if (threads > 1 && batches < 2 * threads) {
		long panels = (t->n + NR - 1) / NR;
		if (t->m >= 4 * MRMAX * threads) {
			x.row_parts = threads * (t->m >= 16 * MRMAX * threads ? 2 : 1);
		} else {
			x.col_parts = panels < threads ? panels : threads;
		}
	}
	aimass_pool_run(run_task, &x, (int)(batches * x.row_parts * x.col_parts), threads);
}

// The products of a group and how they are shared out.
struct group {
	const struct gemm_task *t;
	int products;
	long row_parts, col_parts;
	struct block whole[GEMM_GROUP];
};

// Part p of every product rather than a share of all their columns: heads of attention that one
// thread has computed the queries of, it has computed the keys and values of.
static void group_task(void *arg, int task) {
	const struct group *g = arg;
	const struct gemm_task *t = g->t;
	long rp = task / g->col_parts, cp = task % g->col_parts;
	struct block k[GEMM_GROUP];
	int n = 0;
	for (int i = 0; i < g->products; i++) {
		struct block *x = &k[n];
		*x = g->whole[i];
		x->m0 = part(t->m, 1, rp, g->row_parts);
		x->m1 = part(t->m, 1, rp + 1, g->row_parts);
		x->n0 = part(x->t->n, NR, cp, g->col_parts);
		x->n1 = part(x->t->n, NR, cp + 1, g->col_parts);
		n += x->n0 < x->n1;
	}
	if (n == 0 || k[0].m0 == k[0].m1)
		return;
	if (!near_rows(t, k[0].m1 - k[0].m0)) {
		packed_block(k, n);
		return;
	}
	for (int i = 0; i < n; i++)
		direct_block(&k[i]);
}

void ISA(aimass_gemm_group)(const struct gemm_task *t, int products, const float *a, const float *b0, const float *b1, const float *b2,
                            float *c0, float *c1, float *c2, const float *bias0, const float *bias1, const float *bias2) {
	struct group g = {t, products, 1, 1, {{t, a, b0, bias0, 0, c0, 0, 0, 0, 0}, {t + 1, a, b1, bias1, 0, c1, 0, 0, 0, 0}, {t + 2, a, b2, bias2, 0, c2, 0, 0, 0, 0}}};
	double columns = 0;
	for (int i = 0; i < products; i++)
		columns += t[i].n;
	int threads = t->threads;
	if (columns * t->m * t->k < 4e5 && columns * t->k < 8e4)
		threads = 1;
	if (t->m >= 4 * MRMAX * threads)
		g.row_parts = threads * (t->m >= 16 * MRMAX * threads ? 2 : 1);
	else
		g.col_parts = threads;
	aimass_pool_run(group_task, &g, (int)(g.row_parts * g.col_parts), threads);
}
