// What the Go side of nhwc calls; see nhwc.go.
#ifndef AIMASS_NHWC_H
#define AIMASS_NHWC_H

#include <stdint.h>

struct nhwc_window {
	int32_t c, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left;
	int32_t is_signed, threads;
	int32_t zero, floor, out_signed;
};

struct nhwc_pair {
	float scale_a, scale_b, scale, fixed, factor, shift;
	int32_t zero_a, zero_b, zero, product, is_signed, relu, whole;
};

void aimass_nhwc_depthwise_avx2(const struct nhwc_window *w, uint8_t *dst, const uint8_t *src, const uint8_t *pad, const void *weights, const int32_t *bias, const float *scale, const uint8_t *table);
void aimass_nhwc_depthwise_avx512(const struct nhwc_window *w, uint8_t *dst, const uint8_t *src, const uint8_t *pad, const void *weights, const int32_t *bias, const float *scale, const uint8_t *table);
void aimass_nhwc_map_avx2(uint8_t *dst, int64_t ldd, const uint8_t *src, int64_t lds, int64_t rows, int64_t cols, const uint8_t *table, int threads);
void aimass_nhwc_map_avx512(uint8_t *dst, int64_t ldd, const uint8_t *src, int64_t lds, int64_t rows, int64_t cols, const uint8_t *table, int threads);
void aimass_nhwc_combine_avx2(uint8_t *dst, const uint8_t *a, const uint8_t *b, int64_t rows, int64_t cols, const struct nhwc_pair *p, int threads);
void aimass_nhwc_combine_avx512(uint8_t *dst, const uint8_t *a, const uint8_t *b, int64_t rows, int64_t cols, const struct nhwc_pair *p, int threads);

#endif
