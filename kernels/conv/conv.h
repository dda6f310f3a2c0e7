// What the Go side of conv calls; see conv.go and pooling.go.
#ifndef AIMASS_CONV_H
#define AIMASS_CONV_H

#include <stdint.h>

struct conv_task {
	int64_t n, h, w, oh, ow;
	// The axis of planes, which only rows takes: 1, 1, 1, 1, 1, 0 for images.
	int64_t d, od, kd, sd, dd, pf;
	int64_t c, oc, group, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
	int32_t act, threads;
	float act_a, act_b;
};

// data is what the packing of the same method in pack_amd64.go made; bias has
// oc values, res is NULL or like y.
void aimass_conv_rows_avx2(const struct conv_task *t, const float *data, const float *bias,
                           const float *x, const float *res, float *y);
void aimass_conv_rows_avx512(const struct conv_task *t, const float *data, const float *bias,
                              const float *x, const float *res, float *y);
void aimass_conv_depthwise_avx2(const struct conv_task *t, const float *data, const float *bias,
                                const float *x, const float *res, float *y);
void aimass_conv_depthwise_avx512(const struct conv_task *t, const float *data, const float *bias,
                                  const float *x, const float *res, float *y);

// op as in pooling.go; t->n counts planes, and c, oc, group and act are unused.
void aimass_conv_pool_avx2(const struct conv_task *t, int op, const float *x, float *y);
void aimass_conv_pool_avx512(const struct conv_task *t, int op, const float *x, float *y);

#endif
