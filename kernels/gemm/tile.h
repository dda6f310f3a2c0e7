// The register tiles of a float GEMM, for one instruction set at a time.
//
// A tile is MR rows by panels of NR = 2·VL columns. The families:
//   packed_MR    A packed as [k][MR], B as [k][NR]; the large-M kernel. kc·VL
//                floats at far, half a panel, come into the second-level cache
//                meanwhile
//   half_MR      the same for the left half of a panel
//   rows_MR_P    the same with A in place with a row stride, P vectors of a panel. What is fetched from far goes on by
//                pace floats at a time, 16 being a line: with 8 it takes twice as long. The rows of C come into the
//                cache meanwhile, which lie too far apart for the hardware to foresee
//   direct_MR_P  A in place with a row stride, P panels of B side by side
// All leave C = A·B (add 0) or C += A·B (add 1) over full panels.
#ifndef AIMASS_TILE_H
#define AIMASS_TILE_H

#include "simd.h"

#define NR (2 * VL)
#if VL == 16
#define MRMAX 12
#define PREFETCH_ROWS 12
#else
#define MRMAX 6
#define PREFETCH_ROWS 24
#endif

// FORGET makes the compiler derive addresses again: those of C for the stores, a dozen of which would
// spill if kept across the loop, and that of the next line to fetch.
#define FORGET(p) __asm__("" : "+r"(p))

typedef void packed_fn(long kc, const float *a, const float *b, const float *far, float *c, long ldc, int add);
typedef void rows_fn(long kc, const float *a, long lda, const float *b, const float *far, long pace, float *c, long ldc, int add);
typedef void direct_fn(long kc, const float *a, long lda, const float *b, long bs, long bp, float *c, long ldc, int add);

#define PACKED_STEP(MR, i) \
	do { \
		vf b0 = v_load(b + (i)*NR), b1 = v_load(b + (i)*NR + VL); \
		_mm_prefetch((const char *)(b + ((i) + PREFETCH_ROWS) * NR), _MM_HINT_T0); \
		if (VL == 16) \
			_mm_prefetch((const char *)(b + ((i) + PREFETCH_ROWS) * NR + VL), _MM_HINT_T0); \
		if (VL == 16 || (i) % 2 == 0) \
			_mm_prefetch((const char *)(far + (i)*VL), _MM_HINT_T1); \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			vf x = v_set(a[(i)*MR + r]); \
			acc[r][0] = v_fma(x, b0, acc[r][0]); \
			acc[r][1] = v_fma(x, b1, acc[r][1]); \
		} \
	} while (0)

#define PACKED(MR) \
	static void packed_##MR(long kc, const float *a, const float *b, const float *far, float *c, long ldc, int add) { \
		vf acc[MR][2]; \
		float *cr = c; \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			acc[r][0] = add ? v_load(cr) : v_zero(); \
			acc[r][1] = add ? v_load(cr + VL) : v_zero(); \
			cr += ldc; \
		} \
		FORGET(c); \
		for (; kc >= 4; kc -= 4, a += 4 * MR, b += 4 * NR, far += 4 * VL) { \
			PACKED_STEP(MR, 0); \
			PACKED_STEP(MR, 1); \
			PACKED_STEP(MR, 2); \
			PACKED_STEP(MR, 3); \
		} \
		for (; kc > 0; kc--, a += MR, b += NR, far += VL) \
			PACKED_STEP(MR, 0); \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			v_store(c, acc[r][0]); \
			v_store(c + VL, acc[r][1]); \
			c += ldc; \
		} \
	}

// The left VL columns alone of a packed panel, for the last pixels or columns.
#define HALF_STEP(MR, i) \
	do { \
		vf b0 = v_load(b + (i)*NR); \
		UNROLL(12) for (int r = 0; r < MR; r++) \
			acc[r] = v_fma(v_set(a[(i)*MR + r]), b0, acc[r]); \
	} while (0)

#define HALF(MR) \
	static void half_##MR(long kc, const float *a, const float *b, const float *far, float *c, long ldc, int add) { \
		(void)far; \
		vf acc[MR]; \
		float *cr = c; \
		UNROLL(12) for (int r = 0; r < MR; r++, cr += ldc) \
			acc[r] = add ? v_load(cr) : v_zero(); \
		FORGET(c); \
		for (; kc >= 2; kc -= 2, a += 2 * MR, b += 2 * NR) { \
			HALF_STEP(MR, 0); \
			HALF_STEP(MR, 1); \
		} \
		if (kc > 0) \
			HALF_STEP(MR, 0); \
		UNROLL(12) for (int r = 0; r < MR; r++, c += ldc) \
			v_store(c, acc[r]); \
	}

#define ROWS_STEP(MR, P, i) \
	do { \
		vf x, bv[P]; \
		UNROLL(2) for (int j = 0; j < P; j++) { \
			bv[j] = v_load(b + (i)*NR + j * VL); \
			if (VL == 16 || j == 0) \
				_mm_prefetch((const char *)(b + ((i) + PREFETCH_ROWS) * NR + j * VL), _MM_HINT_T0); \
		} \
		if (P == 2 && (VL == 16 || (i) % 2 == 0)) { \
			_mm_prefetch((const char *)far, _MM_HINT_T1); \
			far += pace; \
			FORGET(far); \
		} \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			x = v_set(row[r / 3][(r % 3) * lda + (i)]); \
			UNROLL(2) for (int j = 0; j < P; j++) \
				acc[r][j] = v_fma(x, bv[j], acc[r][j]); \
		} \
	} while (0)

#define ROWS_NEXT(MR, n) \
	UNROLL(4) for (int r = 0; r < MR; r += 3) \
		row[r / 3] += n; \
	b += (n) * NR

#define ROWS(MR, P) \
	static void rows_##MR##_##P(long kc, const float *a, long lda, const float *b, const float *far, long pace, float *c, long ldc, int add) { \
		vf acc[MR][P]; \
		const float *row[4] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda}; \
		float *cr = c; \
		UNROLL(12) for (int r = 0; r < MR; r++, cr += ldc) \
			UNROLL(2) for (int j = 0; j < P; j++) \
				acc[r][j] = add ? v_load(cr + j * VL) : v_zero(); \
		FORGET(c); \
		cr = c; \
		for (long left = MR; kc >= 4; kc -= 4) { \
			__builtin_prefetch(cr, 1); \
			if (P * VL > 16) \
				__builtin_prefetch(cr + VL, 1); \
			cr += --left > 0 ? ldc : 0; \
			ROWS_STEP(MR, P, 0); \
			ROWS_STEP(MR, P, 1); \
			ROWS_STEP(MR, P, 2); \
			ROWS_STEP(MR, P, 3); \
			ROWS_NEXT(MR, 4); \
		} \
		for (; kc > 0; kc--) { \
			ROWS_STEP(MR, P, 0); \
			ROWS_NEXT(MR, 1); \
		} \
		UNROLL(12) for (int r = 0; r < MR; r++, c += ldc) \
			UNROLL(2) for (int j = 0; j < P; j++) \
				v_store(c + j * VL, acc[r][j]); \
	}

// Rows 3g, 3g+1 and 3g+2 are addressed as base g plus 0, 1 or 2 strides, which
// keeps twelve rows within the sixteen general registers.
#define DIRECT(MR, P) \
	__attribute__((unused)) static void direct_##MR##_##P(long kc, const float *a, long lda, const float *b, long bs, long bp, \
	                              float *c, long ldc, int add) { \
		vf acc[MR][2 * P]; \
		const float *row[4] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda}; \
		float *cr = c; \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			UNROLL(8) for (int j = 0; j < 2 * P; j++) \
				acc[r][j] = add ? v_load(cr + j * VL) : v_zero(); \
			cr += ldc; \
		} \
		FORGET(c); \
		UNROLL(4) for (long k = 0; k < kc; k++) { \
			UNROLL(4) for (int p = 0; p < P; p++) { \
				vf b0 = v_load(b + p * bp), b1 = v_load(b + p * bp + VL); \
				UNROLL(12) for (int r = 0; r < MR; r++) { \
					vf x = v_set(row[r / 3][(r % 3) * lda + k]); \
					acc[r][2 * p] = v_fma(x, b0, acc[r][2 * p]); \
					acc[r][2 * p + 1] = v_fma(x, b1, acc[r][2 * p + 1]); \
				} \
			} \
			b += bs; \
		} \
		UNROLL(12) for (int r = 0; r < MR; r++) { \
			UNROLL(8) for (int j = 0; j < 2 * P; j++) \
				v_store(c + j * VL, acc[r][j]); \
			c += ldc; \
		} \
	}

PACKED(1) PACKED(2) PACKED(3) PACKED(4) PACKED(5) PACKED(6)
HALF(1) HALF(2) HALF(3) HALF(4) HALF(5) HALF(6)
DIRECT(1, 1) DIRECT(2, 1) DIRECT(3, 1) DIRECT(4, 1) DIRECT(5, 1) DIRECT(6, 1)
DIRECT(1, 4) DIRECT(1, 2) DIRECT(2, 2)
#if VL == 16
PACKED(7) PACKED(8) PACKED(9) PACKED(10) PACKED(11) PACKED(12)
HALF(7) HALF(8) HALF(9) HALF(10) HALF(11) HALF(12)
DIRECT(7, 1) DIRECT(8, 1) DIRECT(9, 1) DIRECT(10, 1) DIRECT(11, 1) DIRECT(12, 1)
DIRECT(3, 2) DIRECT(4, 2) DIRECT(5, 2) DIRECT(6, 2)
#define DIRECT2_MAX 6
#else
#define DIRECT2_MAX 2
#endif

static packed_fn *const packed_tile[MRMAX + 1] __attribute__((unused)) = {
	0, packed_1, packed_2, packed_3, packed_4, packed_5, packed_6,
#if VL == 16
	packed_7, packed_8, packed_9, packed_10, packed_11, packed_12,
#endif
};

static packed_fn *const half_tile[MRMAX + 1] __attribute__((unused)) = {
	0, half_1, half_2, half_3, half_4, half_5, half_6,
#if VL == 16
	half_7, half_8, half_9, half_10, half_11, half_12,
#endif
};

#ifdef TILE_ROWS
ROWS(1, 1) ROWS(2, 1) ROWS(3, 1) ROWS(4, 1) ROWS(5, 1) ROWS(6, 1)
ROWS(1, 2) ROWS(2, 2) ROWS(3, 2) ROWS(4, 2) ROWS(5, 2) ROWS(6, 2)
#if VL == 16
ROWS(7, 1) ROWS(8, 1) ROWS(9, 1) ROWS(10, 1) ROWS(11, 1) ROWS(12, 1)
ROWS(7, 2) ROWS(8, 2) ROWS(9, 2) ROWS(10, 2) ROWS(11, 2) ROWS(12, 2)
#endif

// By vectors of the panel less one, and rows.
static rows_fn *const rows_tile[2][MRMAX + 1] = {
	{0, rows_1_1, rows_2_1, rows_3_1, rows_4_1, rows_5_1, rows_6_1,
#if VL == 16
	 rows_7_1, rows_8_1, rows_9_1, rows_10_1, rows_11_1, rows_12_1,
#endif
	},
	{0, rows_1_2, rows_2_2, rows_3_2, rows_4_2, rows_5_2, rows_6_2,
#if VL == 16
	 rows_7_2, rows_8_2, rows_9_2, rows_10_2, rows_11_2, rows_12_2,
#endif
	},
};
#endif

static direct_fn *const direct_tile[MRMAX + 1] __attribute__((unused)) = {
	0, direct_1_1, direct_2_1, direct_3_1, direct_4_1, direct_5_1, direct_6_1,
#if VL == 16
	direct_7_1, direct_8_1, direct_9_1, direct_10_1, direct_11_1, direct_12_1,
#endif
};

static direct_fn *const direct_tile2[DIRECT2_MAX + 1] __attribute__((unused)) = {
	0, direct_1_2, direct_2_2,
#if VL == 16
	direct_3_2, direct_4_2, direct_5_2, direct_6_2,
#endif
};

// Rows m are cut into tiles whose heights differ by at most one.
INLINE long tiles_of(long m) { return (m + MRMAX - 1) / MRMAX; }
INLINE long tile_start(long m, long tiles, long t) { return m * t / tiles; }

#endif
