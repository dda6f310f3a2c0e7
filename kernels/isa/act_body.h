#include "act.h"
#include "vmath.h"

INLINE void act_loop(int op, vf a, vf b, float *dst, const float *src, long n) {
	long i = 0;
	for (; i + VL <= n; i += VL)
		v_store(dst + i, v_act(op, v_load(src + i), a, b));
	if (i < n)
		v_storen(dst + i, v_act(op, v_loadn(src + i, n - i), a, b), n - i);
}

#define ACT_CASE(op) \
	case op: \
		act_loop(op, va, vb, dst, src, n); \
		break;

void ISA(aimass_act)(int op, float a, float b, float *dst, const float *src, long n) {
	vf va = v_set(a), vb = v_set(b);
	switch (op) {
		ACT_CASE(ACT_NONE)
		ACT_CASE(ACT_RELU)
		ACT_CASE(ACT_LEAKY)
		ACT_CASE(ACT_CLIP)
		ACT_CASE(ACT_HARDSIGMOID)
		ACT_CASE(ACT_HARDSWISH)
		ACT_CASE(ACT_SIGMOID)
		ACT_CASE(ACT_TANH)
		ACT_CASE(ACT_SILU)
		ACT_CASE(ACT_GELU)
		ACT_CASE(ACT_GELUTANH)
		ACT_CASE(ACT_ELU)
		ACT_CASE(ACT_SELU)
		ACT_CASE(ACT_CELU)
		ACT_CASE(ACT_SOFTPLUS)
		ACT_CASE(ACT_MISH)
		ACT_CASE(ACT_SOFTSIGN)
		ACT_CASE(ACT_THRESHOLDED)
		ACT_CASE(ACT_NEG)
		ACT_CASE(ACT_ABS)
		ACT_CASE(ACT_SQRT)
		ACT_CASE(ACT_RSQRT)
		ACT_CASE(ACT_RECIPROCAL)
		ACT_CASE(ACT_SQUARE)
		ACT_CASE(ACT_EXP)
		ACT_CASE(ACT_LOG)
		ACT_CASE(ACT_ERF)
		ACT_CASE(ACT_FLOOR)
		ACT_CASE(ACT_CEIL)
		ACT_CASE(ACT_ROUND)
		ACT_CASE(ACT_SIGN)
		ACT_CASE(ACT_AFFINE)
	}
}
