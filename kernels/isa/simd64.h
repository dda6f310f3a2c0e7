// Vectors of double for the two instruction sets, beside those of float in simd.h: DL doubles make a vd.
#ifndef AIMASS_SIMD64_H
#define AIMASS_SIMD64_H

#include "simd.h"

#define DL (VL / 2)

#if defined(SIMD_AVX512)

typedef __m512d vd;
typedef __m512i vl;
typedef __mmask8 dm;

INLINE vd d_load(const double *p) { return _mm512_loadu_pd(p); }
INLINE void d_store(double *p, vd x) { _mm512_storeu_pd(p, x); }
INLINE vd d_set(double x) { return _mm512_set1_pd(x); }
INLINE vd d_zero(void) { return _mm512_setzero_pd(); }
INLINE vd d_add(vd a, vd b) { return _mm512_add_pd(a, b); }
INLINE vd d_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
INLINE vd d_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
INLINE vd d_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
INLINE vd d_sqrt(vd a) { return _mm512_sqrt_pd(a); }
INLINE vd d_div(vd a, vd b) { return _mm512_div_pd(a, b); }
INLINE vd d_and(vd a, vd b) { return _mm512_and_pd(a, b); }
INLINE vd d_or(vd a, vd b) { return _mm512_or_pd(a, b); }
INLINE vd d_xor(vd a, vd b) { return _mm512_xor_pd(a, b); }
// d_max and d_min give b if either is NaN.
INLINE vd d_max(vd a, vd b) { return _mm512_max_pd(a, b); }
INLINE vd d_min(vd a, vd b) { return _mm512_min_pd(a, b); }
INLINE vd d_round(vd a) { return _mm512_roundscale_pd(a, 8 | _MM_FROUND_TO_NEAREST_INT); }
typedef __mmask8 dc; // a condition, for d_sel
INLINE dc d_nan(vd a) { return _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q); }
INLINE dc d_lt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
INLINE dc d_eq(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
INLINE vd d_sel(dc c, vd yes, vd no) { return _mm512_mask_blend_pd(c, no, yes); }
INLINE vd d_selm(dm m, vd yes, vd no) { return d_sel(m, yes, no); }
// 2^n for whole n within ±1022.
INLINE vd d_exp2i(vd n) { return _mm512_scalef_pd(_mm512_set1_pd(1), n); }
// x = m·2^e with m within √½ and √2, for positive normal x.
INLINE vd d_frexp(vd x, vd *m) {
	vd e = _mm512_getexp_pd(x), f = _mm512_getmant_pd(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
	dc big = d_lt(_mm512_set1_pd(1.4142135623730951), f);
	*m = d_sel(big, _mm512_mul_pd(f, _mm512_set1_pd(0.5)), f);
	return d_sel(big, _mm512_add_pd(e, _mm512_set1_pd(1)), e);
}
INLINE vd d_frombits(vl a) { return _mm512_castsi512_pd(a); }
INLINE vl l_set(int64_t x) { return _mm512_set1_epi64(x); }
INLINE double d_hsum(vd a) { return _mm512_reduce_add_pd(a); }
// The first n lanes, 0..DL; the others load as 0 and are not stored.
INLINE dm d_first(long n) { return (dm)((1u << n) - 1); }
INLINE vd d_loadm(dm m, const double *p) { return _mm512_maskz_loadu_pd(m, p); }
INLINE void d_storem(dm m, double *p, vd x) { _mm512_mask_storeu_pd(p, m, x); }

#else

typedef __m256d vd;
typedef __m256i vl;
typedef __m256d dm;

INLINE vd d_load(const double *p) { return _mm256_loadu_pd(p); }
INLINE void d_store(double *p, vd x) { _mm256_storeu_pd(p, x); }
INLINE vd d_set(double x) { return _mm256_set1_pd(x); }
INLINE vd d_zero(void) { return _mm256_setzero_pd(); }
INLINE vd d_add(vd a, vd b) { return _mm256_add_pd(a, b); }
INLINE vd d_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
INLINE vd d_mul(vd a, vd b) { return _mm256_mul_pd(a, b); }
INLINE vd d_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
INLINE vd d_sqrt(vd a) { return _mm256_sqrt_pd(a); }
INLINE vd d_div(vd a, vd b) { return _mm256_div_pd(a, b); }
INLINE vd d_and(vd a, vd b) { return _mm256_and_pd(a, b); }
INLINE vd d_or(vd a, vd b) { return _mm256_or_pd(a, b); }
INLINE vd d_xor(vd a, vd b) { return _mm256_xor_pd(a, b); }
INLINE vd d_max(vd a, vd b) { return _mm256_max_pd(a, b); }
INLINE vd d_min(vd a, vd b) { return _mm256_min_pd(a, b); }
INLINE vd d_round(vd a) { return _mm256_round_pd(a, 8 | _MM_FROUND_TO_NEAREST_INT); }
typedef __m256d dc;
INLINE dc d_nan(vd a) { return _mm256_cmp_pd(a, a, _CMP_UNORD_Q); }
INLINE dc d_lt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
INLINE dc d_eq(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
INLINE vd d_sel(dc c, vd yes, vd no) { return _mm256_blendv_pd(no, yes, c); }
INLINE vd d_selm(dm m, vd yes, vd no) { return d_sel(m, yes, no); }
INLINE vd d_exp2i(vd n) {
	__m256i e = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n));
	return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi64(e, _mm256_set1_epi64x(1023)), 52));
}
INLINE vd d_frexp(vd x, vd *m) {
	// The exponent, put where 2^52 has its last bits.
	vd magic = _mm256_set1_pd(0x1p52), one = _mm256_set1_pd(1);
	vd e = _mm256_or_pd(_mm256_castsi256_pd(_mm256_srli_epi64(_mm256_castpd_si256(x), 52)), magic);
	e = _mm256_sub_pd(e, _mm256_set1_pd(0x1p52 + 1023));
	vd f = _mm256_or_pd(_mm256_and_pd(x, _mm256_castsi256_pd(_mm256_set1_epi64x(0xfffffffffffff))), one);
	dc big = d_lt(_mm256_set1_pd(1.4142135623730951), f);
	*m = d_sel(big, _mm256_mul_pd(f, _mm256_set1_pd(0.5)), f);
	return d_sel(big, _mm256_add_pd(e, one), e);
}
INLINE vd d_frombits(vl a) { return _mm256_castsi256_pd(a); }
INLINE vl l_set(int64_t x) { return _mm256_set1_epi64x(x); }
INLINE double d_hsum(vd a) {
	__m128d s = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
	return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}
INLINE dm d_first(long n) {
	const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
	return _mm256_castsi256_pd(_mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane));
}
INLINE vd d_loadm(dm m, const double *p) { return _mm256_maskload_pd(p, _mm256_castpd_si256(m)); }
INLINE void d_storem(dm m, double *p, vd x) { _mm256_maskstore_pd(p, _mm256_castpd_si256(m), x); }

#endif

INLINE vd d_abs(vd a) { return d_and(a, d_frombits(l_set(0x7fffffffffffffff))); }

#endif
