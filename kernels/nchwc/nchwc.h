// What the Go side of nchwc calls; see nchwc.go.
#ifndef AIMASS_NCHWC_H
#define AIMASS_NCHWC_H

#include <stdint.h>

struct nchwc_task {
	int64_t n, h, w, oh, ow;
	int64_t d, od, kd, sd, dd, pf; // the axis of planes of volumes, which only winograd takes
	int64_t c, oc; // blocks; c of a dense image counts channels
	int64_t kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
	int32_t act, after, threads, dense;
	float act_a, act_b;
};

// data is what the packing of the same method in pack.go made, bias has a value
// for each channel of each block, res is NULL or like y.
#define NCHWC_CONV(name) \
	void name(const struct nchwc_task *t, const float *data, const float *bias, const float *x, const float *res, float *y)
NCHWC_CONV(aimass_nchwc_direct_avx2);
NCHWC_CONV(aimass_nchwc_direct_avx512);
NCHWC_CONV(aimass_nchwc_winograd_avx2);
NCHWC_CONV(aimass_nchwc_winograd_avx512);
NCHWC_CONV(aimass_nchwc_depthwise_avx2);
NCHWC_CONV(aimass_nchwc_depthwise_avx512);

// op as in conv's pooling; t->n counts images times blocks.
void aimass_nchwc_pool_avx2(const struct nchwc_task *t, int op, const float *x, float *y);
void aimass_nchwc_pool_avx512(const struct nchwc_task *t, int op, const float *x, float *y);

// n images of c channels and hw places, from dense to blocked or back.
#define NCHWC_MOVE(name) void name(float *dst, const float *src, int64_t n, int64_t c, int64_t hw, int threads)
NCHWC_MOVE(aimass_nchwc_block_avx2);
NCHWC_MOVE(aimass_nchwc_block_avx512);
NCHWC_MOVE(aimass_nchwc_unblock_avx2);
NCHWC_MOVE(aimass_nchwc_unblock_avx512);

#endif
