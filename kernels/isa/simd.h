// Vectors of float for the two instruction sets, behind one set of names.
//
// A C file defines SIMD_AVX2 or SIMD_AVX512 before it includes this header.
// From here to the end of that file every function is compiled for that
// instruction set by a target pragma, which is the target attribute on each of
// them. All functions are static, so no code compiled for one instruction set
// can be linked into another's callers.
//
// VL floats make a vf; ISA(name) appends the instruction set to a name.
#ifndef AIMASS_SIMD_H
#define AIMASS_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <math.h>

#if defined(SIMD_AVX512)
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#define ISA(name) name##_avx512
#define VL 16
#elif defined(SIMD_AVX2)
#pragma GCC target("avx2,fma,f16c")
#define ISA(name) name##_avx2
#define VL 8
#else
#error "define SIMD_AVX2 or SIMD_AVX512"
#endif

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL(n) UNROLL_(GCC unroll n)
#define UNROLL_(x) _Pragma(#x)

#if defined(SIMD_AVX512)

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
// v_max and v_min give b if either is NaN.
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf v_and(vf a, vf b) { return _mm512_and_ps(a, b); }
INLINE vf v_or(vf a, vf b) { return _mm512_or_ps(a, b); }
INLINE vf v_xor(vf a, vf b) { return _mm512_xor_ps(a, b); }
INLINE vf v_round(vf a) { return _mm512_roundscale_ps(a, 8 | _MM_FROUND_TO_NEAREST_INT); }
INLINE vf v_floor(vf a) { return _mm512_roundscale_ps(a, 8 | _MM_FROUND_TO_NEG_INF); }
INLINE vf v_ceil(vf a) { return _mm512_roundscale_ps(a, 8 | _MM_FROUND_TO_POS_INF); }
INLINE vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vm v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE vm v_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
// v_sel gives a where m, else b.
INLINE vf v_sel(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE vi v_int(vf a) { return _mm512_cvtps_epi32(a); }
INLINE vf v_float(vi a) { return _mm512_cvtepi32_ps(a); }
INLINE vi v_bits(vf a) { return _mm512_castps_si512(a); }
INLINE vf v_frombits(vi a) { return _mm512_castsi512_ps(a); }
INLINE vi i_set(int x) { return _mm512_set1_epi32(x); }
INLINE vi i_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
INLINE vi i_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
INLINE vi i_and(vi a, vi b) { return _mm512_and_si512(a, b); }
INLINE vi i_or(vi a, vi b) { return _mm512_or_si512(a, b); }
#define i_shl(a, n) _mm512_slli_epi32(a, n)
#define i_sar(a, n) _mm512_srai_epi32(a, n)
INLINE float v_hsum(vf a) { return _mm512_reduce_add_ps(a); }
INLINE float v_hmax(vf a) { return _mm512_reduce_max_ps(a); }
// The first n lanes, 0..VL; the others load as 0 and are not stored.
INLINE vm v_first(long n) { return (vm)((1u << n) - 1); }
INLINE vf v_loadm(vm m, const float *p) { return _mm512_maskz_loadu_ps(m, p); }
INLINE void v_storem(vm m, float *p, vf x) { _mm512_mask_storeu_ps(p, m, x); }
// Even and odd floats of a, b; and the reverse.
INLINE void v_unzip(vf a, vf b, vf *even, vf *odd) {
	const __m512i e = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	*even = _mm512_permutex2var_ps(a, e, b);
	*odd = _mm512_permutex2var_ps(a, _mm512_or_si512(e, _mm512_set1_epi32(1)), b);
}
INLINE void v_zip(vf even, vf odd, vf *a, vf *b) {
	const __m512i lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
	*a = _mm512_permutex2var_ps(even, lo, odd);
	*b = _mm512_permutex2var_ps(even, _mm512_add_epi32(lo, _mm512_set1_epi32(8)), odd);
}
// x·2^n for whole n, with overflow and underflow as in arithmetic.
INLINE vf v_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }

#else

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf v_and(vf a, vf b) { return _mm256_and_ps(a, b); }
INLINE vf v_or(vf a, vf b) { return _mm256_or_ps(a, b); }
INLINE vf v_xor(vf a, vf b) { return _mm256_xor_ps(a, b); }
INLINE vf v_round(vf a) { return _mm256_round_ps(a, 8 | _MM_FROUND_TO_NEAREST_INT); }
INLINE vf v_floor(vf a) { return _mm256_round_ps(a, 8 | _MM_FROUND_TO_NEG_INF); }
INLINE vf v_ceil(vf a) { return _mm256_round_ps(a, 8 | _MM_FROUND_TO_POS_INF); }
INLINE vm v_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE vm v_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE vm v_nan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
INLINE vf v_sel(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
INLINE vi v_int(vf a) { return _mm256_cvtps_epi32(a); }
INLINE vf v_float(vi a) { return _mm256_cvtepi32_ps(a); }
INLINE vi v_bits(vf a) { return _mm256_castps_si256(a); }
INLINE vf v_frombits(vi a) { return _mm256_castsi256_ps(a); }
INLINE vi i_set(int x) { return _mm256_set1_epi32(x); }
INLINE vi i_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
INLINE vi i_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
INLINE vi i_and(vi a, vi b) { return _mm256_and_si256(a, b); }
INLINE vi i_or(vi a, vi b) { return _mm256_or_si256(a, b); }
#define i_shl(a, n) _mm256_slli_epi32(a, n)
#define i_sar(a, n) _mm256_srai_epi32(a, n)
INLINE float v_hsum(vf a) {
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
INLINE float v_hmax(vf a) {
	__m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	s = _mm_max_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
INLINE vm v_first(long n) {
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane));
}
INLINE vf v_loadm(vm m, const float *p) { return _mm256_maskload_ps(p, _mm256_castps_si256(m)); }
INLINE void v_storem(vm m, float *p, vf x) { _mm256_maskstore_ps(p, _mm256_castps_si256(m), x); }
INLINE void v_unzip(vf a, vf b, vf *even, vf *odd) {
	__m256 e = _mm256_shuffle_ps(a, b, 0x88), o = _mm256_shuffle_ps(a, b, 0xdd);
	*even = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(e), 0xd8));
	*odd = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(o), 0xd8));
}
INLINE void v_zip(vf even, vf odd, vf *a, vf *b) {
	__m256 lo = _mm256_unpacklo_ps(even, odd), hi = _mm256_unpackhi_ps(even, odd);
	*a = _mm256_permute2f128_ps(lo, hi, 0x20);
	*b = _mm256_permute2f128_ps(lo, hi, 0x31);
}
// Two factors, since 2^n alone overflows where x·2^n need not.
INLINE vf v_scale2(vf x, vf n) {
	n = v_max(v_set(-250.0f), v_min(v_set(250.0f), n));
	vi k = v_int(n), h = i_sar(k, 1);
	vf a = v_frombits(i_shl(i_add(h, i_set(127)), 23));
	vf b = v_frombits(i_shl(i_add(i_sub(k, h), i_set(127)), 23));
	return v_mul(v_mul(x, a), b);
}

#endif

INLINE vf v_loadn(const float *p, long n) { return v_loadm(v_first(n), p); }
INLINE void v_storen(float *p, vf x, long n) { v_storem(v_first(n), p, x); }
INLINE vf v_abs(vf a) { return v_and(a, v_frombits(i_set(0x7fffffff))); }
INLINE vf v_neg(vf a) { return v_xor(a, v_frombits(i_set((int)0x80000000))); }
INLINE vf v_sign(vf a) { return v_and(a, v_frombits(i_set((int)0x80000000))); }
// v_maxn and v_minn give NaN if either is NaN.
INLINE vf v_maxn(vf a, vf b) { return v_sel(v_nan(a), a, v_max(a, b)); }
INLINE vf v_minn(vf a, vf b) { return v_sel(v_nan(a), a, v_min(a, b)); }

INLINE float v_hmin(vf a) { return -v_hmax(v_neg(a)); }

#endif
