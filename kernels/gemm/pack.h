// Packing of operands into the layouts that tile.h reads.
#ifndef AIMASS_PACK_H
#define AIMASS_PACK_H

#include "tile.h"

// Eight vectors of eight floats, transposed in place.
INLINE void transpose8(__m256 v[8]) {
	__m256 t[8], u[8];
	for (int i = 0; i < 8; i += 2) {
		t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
	}
	for (int i = 0; i < 8; i += 4) {
		u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
		u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
		u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
		u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
	}
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
		v[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
	}
}

// Up to eight rows of kc values at src (row stride ld) become columns: row r's
// value k goes to dst[k*width + r]. It stores eight wide, so with rows < 8 up
// to eight floats behind each place are overwritten with zeros: callers write
// right-hand groups first, and leave eight floats of room at the end.
INLINE void pack_rows8(float *dst, long width, const float *src, long ld, long rows, long kc) {
	long k = 0;
	for (; k + 8 <= kc; k += 8) {
		__m256 v[8];
		UNROLL(8) for (int r = 0; r < 8; r++)
			v[r] = r < rows ? _mm256_loadu_ps(src + r * ld + k) : _mm256_setzero_ps();
		transpose8(v);
		UNROLL(8) for (int i = 0; i < 8; i++)
			_mm256_storeu_ps(dst + (k + i) * width, v[i]);
	}
	for (; k < kc; k++)
		for (long r = 0; r < rows; r++)
			dst[k * width + r] = src[r * ld + k];
}

// mr rows of A as [k][mr]. k runs in blocks so that the overwritten part of a
// right-hand group lies in what the left-hand group of the same block, or the
// next block, still has to write.
static void pack_a_tile(float *dst, const float *a, long lda, long mr, long kc) {
	for (long k = 0; k < kc; k += 8) {
		long n = kc - k < 8 ? kc - k : 8;
		if (mr > 8)
			pack_rows8(dst + k * mr + 8, mr, a + 8 * lda + k, lda, mr - 8, n);
		pack_rows8(dst + k * mr, mr, a + k, lda, mr < 8 ? mr : 8, n);
	}
}

// mr rows of a transposed A: value (r, k) at a[k*lda + r].
static void pack_a_tile_trans(float *dst, const float *a, long lda, long mr, long kc) {
	for (long k = 0; k < kc; k++)
		for (long r = 0; r < mr; r++)
			dst[k * mr + r] = a[k * lda + r];
}

// kc rows of n ≤ NR columns of B as one zero-padded panel.
static void pack_b_panel(float *dst, const float *b, long ldb, long n, long kc) {
	if (n == NR) {
		for (long k = 0; k < kc; k++, dst += NR, b += ldb) {
			v_store(dst, v_load(b));
			v_store(dst + VL, v_load(b + VL));
		}
		return;
	}
	vm m0 = v_first(n < VL ? n : VL), m1 = v_first(n < VL ? 0 : n - VL);
	for (long k = 0; k < kc; k++, dst += NR, b += ldb) {
		v_store(dst, v_loadm(m0, b));
		v_store(dst + VL, n > VL ? v_loadm(m1, b + VL) : v_zero());
	}
}

// The same from a transposed B: value (k, j) at b[j*ldb + k].
static void pack_b_panel_trans(float *dst, const float *b, long ldb, long n, long kc) {
	for (long j = 0; j < NR; j += 8) {
		long rows = n - j < 0 ? 0 : n - j < 8 ? n - j : 8;
		long k = 0;
		for (; k + 8 <= kc; k += 8) {
			__m256 v[8];
			UNROLL(8) for (int r = 0; r < 8; r++)
				v[r] = r < rows ? _mm256_loadu_ps(b + (j + r) * ldb + k) : _mm256_setzero_ps();
			transpose8(v);
			UNROLL(8) for (int i = 0; i < 8; i++)
				_mm256_storeu_ps(dst + (k + i) * NR + j, v[i]);
		}
		for (; k < kc; k++)
			for (long r = 0; r < 8; r++)
				dst[k * NR + j + r] = r < rows ? b[(j + r) * ldb + k] : 0;
	}
}

#endif
