// A chain of small dense layers for one instruction set, row by row: a layer's
// weights are panels of VL columns, its bias starts the sums.
#include "act.h"
#include "gemm.h"
#include "vmath.h"

enum { CHAIN_WIDTH = 1024, CHAIN_DESC = 7 };

// P panels of one layer for one row, two sums a panel: the odd and the even k.
#define CHAIN_PANELS(P) \
	static void panels_##P(const float *x, const float *w, const float *bias, float *y, long kc) { \
		vf s[P], t[P]; \
		UNROLL(8) for (int p = 0; p < P; p++) { \
			s[p] = v_load(bias + p * VL); \
			t[p] = v_zero(); \
		} \
		long k = 0, step = kc * VL; \
		for (; k + 2 <= kc; k += 2, w += 2 * VL) { \
			vf a = v_set(x[k]), b = v_set(x[k + 1]); \
			UNROLL(8) for (int p = 0; p < P; p++) { \
				s[p] = v_fma(a, v_load(w + p * step), s[p]); \
				t[p] = v_fma(b, v_load(w + p * step + VL), t[p]); \
			} \
		} \
		if (k < kc) { \
			vf a = v_set(x[k]); \
			UNROLL(8) for (int p = 0; p < P; p++) \
				s[p] = v_fma(a, v_load(w + p * step), s[p]); \
		} \
		UNROLL(8) for (int p = 0; p < P; p++) \
			v_store(y + p * VL, v_add(s[p], t[p])); \
	}

CHAIN_PANELS(1)
CHAIN_PANELS(2)
CHAIN_PANELS(4)

static void chain_layer(const int32_t *d, const float *blob, const float *x, float *y) {
	long kc = d[0], n = d[1], panels = (n + VL - 1) / VL, p = 0;
	const float *w = blob + d[2], *bias = blob + d[3];
	for (; p + 4 <= panels; p += 4)
		panels_4(x, w + p * kc * VL, bias + p * VL, y + p * VL, kc);
	if (p + 2 <= panels) {
		panels_2(x, w + p * kc * VL, bias + p * VL, y + p * VL, kc);
		p += 2;
	}
	if (p < panels)
		panels_1(x, w + p * kc * VL, bias + p * VL, y + p * VL, kc);
	float a, b;
	memcpy(&a, d + 5, 4);
	memcpy(&b, d + 6, 4);
	if (d[4] == ACT_RELU) {
		for (long j = 0; j < panels * VL; j += VL)
			v_store(y + j, v_max(v_zero(), v_load(y + j)));
	} else if (d[4] != ACT_NONE) {
		ISA(aimass_act)(d[4], a, b, y, y, n);
	}
}

void ISA(aimass_gemm_chain)(const int32_t *desc, const float *blob, int64_t m,
                            const float *x, int64_t ldx, float *y, int64_t ldy) {
	float buf[2][CHAIN_WIDTH] __attribute__((aligned(64)));
	int layers = desc[0];
	for (int64_t i = 0; i < m; i++) {
		const float *in = x + i * ldx;
		for (int l = 0; l < layers; l++) {
			chain_layer(desc + 1 + CHAIN_DESC * l, blob, in, buf[l % 2]);
			in = buf[l % 2];
		}
		memcpy(y + i * ldy, in, desc[1 + CHAIN_DESC * (layers - 1) + 1] * sizeof(float));
	}
}
