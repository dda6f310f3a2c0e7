// Vector forms of the functions in kernels/act, by the same numbers.
//
// Polynomials are minimax fits of the forms named beside them, found with a
// Lawson iteration in 40-digit arithmetic. Errors are relative unless said.
#ifndef AIMASS_VMATH_H
#define AIMASS_VMATH_H

#include "simd.h"

enum {
	ACT_NONE, ACT_RELU, ACT_LEAKY, ACT_CLIP, ACT_HARDSIGMOID, ACT_HARDSWISH, ACT_SIGMOID, ACT_TANH,
	ACT_SILU, ACT_GELU, ACT_GELUTANH, ACT_ELU, ACT_SELU, ACT_CELU, ACT_SOFTPLUS, ACT_MISH,
	ACT_SOFTSIGN, ACT_THRESHOLDED, ACT_NEG, ACT_ABS, ACT_SQRT, ACT_RSQRT, ACT_RECIPROCAL, ACT_SQUARE,
	ACT_EXP, ACT_LOG, ACT_ERF, ACT_FLOOR, ACT_CEIL, ACT_ROUND, ACT_SIGN, ACT_AFFINE,
};

// The reduced argument of e^x: n = round(x / ln 2), r = x − n·ln 2, with ln 2
// in two parts so that r is exact to the last bit for |x| ≤ 128.
INLINE vf v_reduce(vf x, vf *n) {
	*n = v_round(v_mul(x, v_set(1.44269504f)));
	vf r = v_fnma(*n, v_set(0.693359375f), x);
	return v_fnma(*n, v_set(-2.12194440e-4f), r);
}

// (e^r − 1 − r) / r² on |r| ≤ ln 2 / 2; error of e^r 3e-9.
INLINE vf v_expq(vf r) {
	vf q = v_set(1.39506299e-3f);
	q = v_fma(q, r, v_set(8.36897002e-3f));
	q = v_fma(q, r, v_set(4.16662037e-2f));
	q = v_fma(q, r, v_set(0.166665182f));
	return v_fma(q, r, v_set(0.50000001f));
}

INLINE vf v_exp(vf x) {
	vf n, c = v_min(v_set(200.0f), v_max(v_set(-200.0f), x));
	vf r = v_reduce(c, &n);
	vf p = v_fma(v_mul(r, r), v_expq(r), r);
	return v_scale2(v_add(p, v_set(1.0f)), n);
}

// 2^x for x ≤ 0 or slightly above, −Inf included: no guard against overflow. Below 2^−126 it may be 0. Error 2e-9 beside
// rounding.
INLINE vf v_exp2neg(vf x) {
#if VL == 16
	vf f = _mm512_reduce_ps(x, 8 | _MM_FROUND_TO_NEG_INF); // 0 of −Inf
#else
	vf c = v_max(v_set(-126.0f), x), n = v_floor(c), f = v_sub(c, n);
#endif
	vf p = v_set(2.17022549e-4f);
	p = v_fma(p, f, v_set(1.24396873e-3f));
	p = v_fma(p, f, v_set(9.67884064e-3f));
	p = v_fma(p, f, v_set(5.54833412e-2f));
	p = v_fma(p, f, v_set(0.24022983f));
	p = v_fma(p, f, v_set(0.693147004f));
	p = v_fma(p, f, v_set(1.0f));
#if VL == 16
	return _mm512_scalef_ps(p, x); // by 2 to the floor of x
#else
	p = v_mul(p, v_frombits(i_shl(i_add(v_int(n), i_set(127)), 23)));
	return v_sel(v_lt(x, v_set(-126.0f)), v_zero(), p);
#endif
}

// e^x for x ≤ 0 or slightly above, −Inf included: no guard against overflow.
INLINE vf v_expneg(vf x) {
	vf n, c = v_max(v_set(VL == 16 ? -200.0f : -87.3f), x);
	vf r = v_reduce(c, &n);
	vf p = v_add(v_fma(v_mul(r, r), v_expq(r), r), v_set(1.0f));
#if VL == 16
	return v_scale2(p, n);
#else
	p = v_mul(p, v_frombits(i_shl(i_add(v_int(n), i_set(127)), 23)));
	return v_sel(v_lt(x, v_set(-87.3f)), v_zero(), p);
#endif
}

// e^x − 1 without cancellation near 0, for x ≤ 80.
INLINE vf v_expm1(vf x) {
	vf n, c = v_min(v_set(80.0f), v_max(v_set(-80.0f), x));
	vf r = v_reduce(c, &n);
	vf p = v_fma(v_mul(r, r), v_expq(r), r);
	vf s = v_frombits(i_shl(i_add(v_int(n), i_set(127)), 23));
	return v_fma(p, s, v_sub(s, v_set(1.0f)));
}

INLINE vf v_tanh(vf x) {
	vf c = v_min(v_set(10.0f), v_max(v_set(-10.0f), x));
	vf e = v_expm1(v_add(c, c));
	return v_div(e, v_add(e, v_set(2.0f)));
}

INLINE vf v_sigmoid(vf x) {
	return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_neg(x))));
}

// 1/d for d in [1, 1000], to the last bit or the one before.
INLINE vf v_inverse(vf d) {
#if VL == 16
	vf r = _mm512_rcp14_ps(d);
	return v_fma(r, v_fnma(d, r, v_set(1.0f)), r);
#else
	return v_div(v_set(1.0f), d);
#endif
}

// erfc(z) for z ≥ 0 as t·P(t)·e^(−z²) with t = 1/(1 + 0.4 z), z ≤ 9.4: error
// 6e-8 beside that of e^(−z²).
INLINE vf v_erfc(vf z) {
	vf t = v_inverse(v_fma(z, v_set(0.4f), v_set(1.0f)));
	vf p = v_set(0.0400541974f);
	p = v_fma(p, t, v_set(-0.134417898f));
	p = v_fma(p, t, v_set(0.0716288092f));
	p = v_fma(p, t, v_set(0.102309055f));
	p = v_fma(p, t, v_set(0.0696895887f));
	p = v_fma(p, t, v_set(0.197755391f));
	p = v_fma(p, t, v_set(0.200750793f));
	p = v_fma(p, t, v_set(0.226605632f));
	p = v_fma(p, t, v_set(0.22562449f));
	return v_mul(v_mul(p, t), v_expneg(v_neg(v_mul(z, z))));
}

// x·P(x²) below 1, error 1e-9; 1 − erfc above.
INLINE vf v_erf(vf x) {
	vf z = v_min(v_set(9.0f), v_abs(x)), u = v_mul(z, z);
	vf p = v_set(7.85385433e-5f);
	p = v_fma(p, u, v_set(-8.0101915e-4f));
	p = v_fma(p, u, v_set(5.18832744e-3f));
	p = v_fma(p, u, v_set(-2.68538118e-2f));
	p = v_fma(p, u, v_set(0.112835851f));
	p = v_fma(p, u, v_set(-0.376126258f));
	p = v_fma(p, u, v_set(1.12837917f));
	vf far = v_or(v_sub(v_set(1.0f), v_erfc(z)), v_sign(x));
	return v_sel(v_lt(v_set(1.0f), z), far, v_mul(x, p));
}

// x·Φ(x) = max(x, 0) − |x|·Φ(−|x|), so that the tail keeps its digits. Φ(−a) is 2^(R(a) − a²/(2 ln 2)), where R is smooth: a
// polynomial up to 6.4, error 1.4e-8·(1 + (a/1.5)²), and constant beyond, where x·Φ(x) is below 5e-10.
INLINE vf v_gelu(vf x) {
	vf all = v_abs(x), a = v_min(v_set(12.9f), all), b = v_min(v_set(6.4f), a);
	vf p = v_set(2.11975015e-9f);
	p = v_fma(p, b, v_set(-8.24981967e-8f));
	p = v_fma(p, b, v_set(1.4168271e-6f));
	p = v_fma(p, b, v_set(-1.40131224e-5f));
	p = v_fma(p, b, v_set(8.55953913e-5f));
	p = v_fma(p, b, v_set(-2.93294754e-4f));
	p = v_fma(p, b, v_set(3.77973606e-6f));
	p = v_fma(p, b, v_set(6.96316315e-3f));
	p = v_fma(p, b, v_set(-5.24624474e-2f));
	p = v_fma(p, b, v_set(0.262136161f));
	p = v_fma(p, b, v_set(-1.15110552f));
	p = v_fma(p, b, v_set(-1.0f));
	vf h = v_exp2neg(v_fma(v_mul(a, v_set(-0.72134752f)), a, p));
	vf half = v_set(0.5f), above = v_fma(half, x, v_mul(half, all)); // NaN of −Inf, as the definition
	return v_fnma(a, h, above);
}

INLINE vf v_gelutanh(vf x) {
	vf u = v_mul(v_mul(x, v_set(1.59576912f)), v_fma(v_mul(x, x), v_set(0.044715f), v_set(1.0f)));
	return v_mul(x, v_sigmoid(u));
}

// ln x by x = 2^e·(1+f), 1+f in [√½, √2): f − f²/2 + f³·P(f); error 6e-9
// beside rounding.
INLINE vf v_log(vf x) {
	vm tiny = v_lt(x, v_set(1.17549435e-38f));
	vf y = v_sel(tiny, v_mul(x, v_set(8388608.0f)), x);
	vi b = v_bits(y);
	vi e = i_sar(i_sub(b, i_set(0x3f3504f3)), 23);
	vf f = v_sub(v_frombits(i_sub(b, i_shl(e, 23))), v_set(1.0f));
	vf n = v_sub(v_float(e), v_sel(tiny, v_set(23.0f), v_zero()));
	vf p = v_set(-0.0763450794f);
	p = v_fma(p, f, v_set(0.127615944f));
	p = v_fma(p, f, v_set(-0.131601864f));
	p = v_fma(p, f, v_set(0.14201756f));
	p = v_fma(p, f, v_set(-0.166233568f));
	p = v_fma(p, f, v_set(0.200012269f));
	p = v_fma(p, f, v_set(-0.250008211f));
	p = v_fma(p, f, v_set(0.333333317f));
	vf ff = v_mul(f, f);
	vf r = v_fma(v_mul(ff, f), p, v_mul(n, v_set(-2.12194440e-4f)));
	r = v_add(v_fnma(v_set(0.5f), ff, r), f);
	r = v_fma(n, v_set(0.693359375f), r);
	vf inf = v_set(INFINITY);
	r = v_sel(v_eq(x, inf), inf, r);
	r = v_sel(v_eq(x, v_zero()), v_neg(inf), r);
	return v_sel(v_lt(x, v_zero()), v_set(NAN), v_sel(v_nan(x), x, r));
}

// ln(1 + t) for t in [0, 1]; the last term restores what 1 + t rounded away.
INLINE vf v_log1p(vf t) {
	vf u = v_add(v_set(1.0f), t);
	return v_add(v_log(u), v_div(v_sub(t, v_sub(u, v_set(1.0f))), u));
}

INLINE vf v_softplus(vf x) {
	vf l = v_log1p(v_exp(v_neg(v_abs(x))));
	return v_add(v_max(v_zero(), x), l);
}

INLINE vf v_mish(vf x) {
	vf e = v_exp(v_min(v_set(20.0f), x)), n = v_mul(e, v_add(e, v_set(2.0f)));
	vf y = v_mul(x, v_div(n, v_add(n, v_set(2.0f))));
	return v_sel(v_lt(v_set(20.0f), x), x, y);
}

INLINE vf v_elu(vf x, vf a) { return v_sel(v_lt(x, v_zero()), v_mul(a, v_expm1(x)), x); }

INLINE vf v_clamp01(vf x) { return v_min(v_set(1.0f), v_max(v_zero(), x)); }

// v_act is called with a constant op, which leaves one case.
INLINE vf v_act(int op, vf x, vf a, vf b) {
	switch (op) {
	case ACT_RELU: return v_max(v_zero(), x);
	case ACT_LEAKY: return v_sel(v_lt(x, v_zero()), v_mul(a, x), x);
	case ACT_CLIP: return v_min(b, v_max(a, x));
	case ACT_HARDSIGMOID: return v_clamp01(v_fma(a, x, b));
	case ACT_HARDSWISH: return v_mul(x, v_clamp01(v_fma(x, v_set(1.0f / 6), v_set(0.5f))));
	case ACT_SIGMOID: return v_sigmoid(x);
	case ACT_TANH: return v_tanh(x);
	case ACT_SILU: return v_mul(x, v_sigmoid(v_mul(a, x)));
	case ACT_GELU: return v_gelu(x);
	case ACT_GELUTANH: return v_gelutanh(x);
	case ACT_ELU: return v_elu(x, a);
	case ACT_SELU: return v_mul(b, v_elu(x, a));
	case ACT_CELU: return v_sel(v_lt(x, v_zero()), v_mul(a, v_expm1(v_div(x, a))), x);
	case ACT_SOFTPLUS: return v_softplus(x);
	case ACT_MISH: return v_mish(x);
	case ACT_SOFTSIGN: return v_div(x, v_add(v_set(1.0f), v_abs(x)));
	case ACT_THRESHOLDED: return v_sel(v_lt(a, x), x, v_zero());
	case ACT_NEG: return v_neg(x);
	case ACT_ABS: return v_abs(x);
	case ACT_SQRT: return v_sqrt(x);
	case ACT_RSQRT: return v_div(v_set(1.0f), v_sqrt(x));
	case ACT_RECIPROCAL: return v_div(v_set(1.0f), x);
	case ACT_SQUARE: return v_mul(x, x);
	case ACT_EXP: return v_exp(x);
	case ACT_LOG: return v_log(x);
	case ACT_ERF: return v_erf(x);
	case ACT_FLOOR: return v_floor(x);
	case ACT_CEIL: return v_ceil(x);
	case ACT_ROUND: return v_round(x);
	case ACT_SIGN: return v_sel(v_eq(x, v_zero()), x, v_sel(v_nan(x), x, v_or(v_sign(x), v_set(1.0f))));
	case ACT_AFFINE: return v_fma(a, x, b);
	default: return x;
	}
}

#endif
