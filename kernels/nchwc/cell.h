// The register cells of a blocked convolution, for one instruction set at a
// time: P neighbouring places of F blocks of output channels. Weights are the
// vectors, input values are broadcast from memory, so nothing is packed.
//
// Two families:
//   cell_P_F    the input is blocked: places are VL floats apart, and each tap
//               of each block has VL channels
//   narrow_P_F  the input is planes of single floats: places are 1 apart, and
//               a tap is a place of the window of one channel
#ifndef AIMASS_CELL_H
#define AIMASS_CELL_H

#include "act.h"
#include "nchwc.h"
#include "pool.h"
#include "simd.h"

// The most blocks of a cell; the most places for each number of blocks.
#if VL == 16
#define FMAX 4
#define PMAX {0, 14, 14, 9, 7}
#define PTOP 14
#else
#define FMAX 2
#define PMAX {0, 10, 6}
#define PTOP 10
#endif

static const long pmax[FMAX + 1] = PMAX;

struct cell {
	long blocks, taps;
	const long *tap;   // offset of each tap
	long plane;        // from block to block of the input
	long out;          // from block to block of the output
	const float *bias; // of the first block; NULL: go on with the sums in y
	const float *res;  // what is added at the end, like y; NULL: nothing
	int relu;
};

typedef void cell_fn(const struct cell *c, const float *x, const float *w, float *y);

#define CELL_BEGIN(P, F) \
	vf acc[P][F]; \
	UNROLL(4) for (int f = 0; f < F; f++) { \
		vf b = c->bias ? v_load(c->bias + f * VL) : v_zero(); \
		UNROLL(14) for (int p = 0; p < P; p++) \
			acc[p][f] = c->bias ? b : v_load(y + f * c->out + p * VL); \
	}

// acc += k·*x. A cell that fills the registers has none left for a broadcast
// value: then the product reads it from memory itself.
#if VL == 16
#define CELL_FMA(acc, k, x) __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(k), "m"(x))
#define CELL_FULL(P, F) ((P) * (F) + (F) > 31)
#else
#define CELL_FMA(acc, k, x) acc = v_fma(v_set(x), k, acc)
#define CELL_FULL(P, F) 0
#endif

#define CELL_STEP(P, F, STEP, i) \
	do { \
		vf k[F]; \
		UNROLL(4) for (int f = 0; f < F; f++) \
			k[f] = v_load(w + ((i)*F + f) * VL); \
		UNROLL(14) for (int p = 0; p < P; p++) { \
			if (CELL_FULL(P, F)) { \
				UNROLL(4) for (int f = 0; f < F; f++) \
					CELL_FMA(acc[p][f], k[f], in[p * STEP + (i)]); \
				continue; \
			} \
			vf v = v_set(in[p * STEP + (i)]); \
			UNROLL(4) for (int f = 0; f < F; f++) \
				acc[p][f] = v_fma(v, k[f], acc[p][f]); \
		} \
	} while (0)

#define CELL_END(P, F) \
	if (c->res) { \
		const float *r = c->res; \
		UNROLL(4) for (int f = 0; f < F; f++, r += c->out) \
			UNROLL(14) for (int p = 0; p < P; p++) \
				acc[p][f] = v_add(acc[p][f], v_load(r + p * VL)); \
	} \
	if (c->relu) { \
		UNROLL(4) for (int f = 0; f < F; f++) \
			UNROLL(14) for (int p = 0; p < P; p++) \
				acc[p][f] = v_max(v_zero(), acc[p][f]); \
	} \
	UNROLL(4) for (int f = 0; f < F; f++, y += c->out) \
		UNROLL(14) for (int p = 0; p < P; p++) \
			v_store(y + p * VL, acc[p][f]);

// The places of the next block are a plane away, where no hardware prefetcher
// goes.
#define CELL(P, F) \
	static void cell_##P##_##F(const struct cell *c, const float *x, const float *w, float *y) { \
		CELL_BEGIN(P, F) \
		for (long b = 0; b < c->blocks; b++, x += c->plane) { \
			for (long t = 0; t < c->taps; t++) { \
				const float *in = x + c->tap[t]; \
				UNROLL(14) for (int p = 0; p < P; p += 64 / (4 * VL)) \
					_mm_prefetch((const char *)(in + c->plane + p * VL), _MM_HINT_T0); \
				for (int i = 0; i < VL; i += 4, in += 4, w += 4 * F * VL) { \
					CELL_STEP(P, F, VL, 0); \
					CELL_STEP(P, F, VL, 1); \
					CELL_STEP(P, F, VL, 2); \
					CELL_STEP(P, F, VL, 3); \
				} \
			} \
		} \
		CELL_END(P, F) \
	}

#define NARROW(P, F) \
	static void narrow_##P##_##F(const struct cell *c, const float *x, const float *w, float *y) { \
		CELL_BEGIN(P, F) \
		for (long t = 0; t < c->taps; t++, w += F * VL) { \
			const float *in = x + c->tap[t]; \
			CELL_STEP(P, F, 1, 0); \
		} \
		CELL_END(P, F) \
	}

#if VL == 16
#define EACH_CELL(M) \
	M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1) M(7, 1) M(8, 1) M(9, 1) M(10, 1) M(11, 1) M(12, 1) M(13, 1) M(14, 1) \
	M(1, 2) M(2, 2) M(3, 2) M(4, 2) M(5, 2) M(6, 2) M(7, 2) M(8, 2) M(9, 2) M(10, 2) M(11, 2) M(12, 2) M(13, 2) M(14, 2) \
	M(1, 3) M(2, 3) M(3, 3) M(4, 3) M(5, 3) M(6, 3) M(7, 3) M(8, 3) M(9, 3) \
	M(1, 4) M(2, 4) M(3, 4) M(4, 4) M(5, 4) M(6, 4) M(7, 4)
#else
#define EACH_CELL(M) \
	M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1) M(7, 1) M(8, 1) M(9, 1) M(10, 1) \
	M(1, 2) M(2, 2) M(3, 2) M(4, 2) M(5, 2) M(6, 2)
#endif

EACH_CELL(CELL)
EACH_CELL(NARROW)

#define CELL_AT(P, F) [F][P] = cell_##P##_##F,
#define NARROW_AT(P, F) [F][P] = narrow_##P##_##F,
static cell_fn *const cells[FMAX + 1][PTOP + 1] = {EACH_CELL(CELL_AT)};
static cell_fn *const narrows[FMAX + 1][PTOP + 1] = {EACH_CELL(NARROW_AT)};

// A length is cut into parts of at most top that differ by at most one.
INLINE long parts_of(long n, long top) { return (n + top - 1) / top; }
INLINE long part_start(long n, long parts, long i) { return n * i / parts; }

// What the cell has not done: a function other than ReLU, and a residual that
// comes behind the function.
static void finish_cell(const struct nchwc_task *t, long out, long places, long f, const float *res, float *y) {
	for (; f > 0; f--, y += out) {
		if (t->act != 0 && t->act != 1)
			ISA(aimass_act)(t->act, t->act_a, t->act_b, y, y, places * VL);
		if (res && t->after) {
			for (long p = 0; p < places; p++)
				v_store(y + p * VL, v_add(v_load(y + p * VL), v_load(res + p * VL)));
			res += out;
		}
	}
}

#endif
