// What the Go side of quant calls; see quant.go and convert.go.
#ifndef AIMASS_QUANT_H
#define AIMASS_QUANT_H

#include <stdint.h>

enum { QUANT_INT32, QUANT_FLOAT, QUANT_BYTES };

struct quant_task {
	int64_t m, n, k, lda, ldc, ldr;
	int32_t kind, threads, a_signed, zero_a, zero_b, shift_b;
	int32_t span; // values of A above 0..span are taken apart; 255: none are
	int32_t quads; // weights bear sums of four products in 16 bits
	// QUANT_FLOAT
	float scale, act_a, act_b;
	int32_t act;
	// QUANT_BYTES
	int32_t zero_c, c_signed, one_scale, floor_c;
	// gathered rows of A: taps runs of tap bytes each; taps 0: rows lda apart
	int32_t taps, tap;
	// a sum behind QUANT_BYTES
	int64_t lds;
	float sum_scale_c, sum_scale_a, sum_scale;
	int32_t sum_zero_a, sum_zero, sum_floor;
};

void aimass_quant_avx2(const struct quant_task *t, const uint8_t *a, const int32_t *zeros_a, const int8_t *b,
                       const int32_t *sums_b, const int32_t *zeros_b, const float *scale_a, const float *scale_b,
                       const float *bias, const int32_t *bias_i, const float *res, void *c, const int32_t *places, const uint8_t *pad, const uint8_t *sum, float *range,
                       const int32_t *rests, const int8_t *rest, const uint8_t *table);
void aimass_quant_avx512(const struct quant_task *t, const uint8_t *a, const int32_t *zeros_a, const int8_t *b,
                         const int32_t *sums_b, const int32_t *zeros_b, const float *scale_a, const float *scale_b,
                         const float *bias, const int32_t *bias_i, const float *res, void *c, const int32_t *places, const uint8_t *pad, const uint8_t *sum, float *range,
                       const int32_t *rests, const int8_t *rest, const uint8_t *table);

// range: the least and the greatest of x and 0, without NaN.
void aimass_quant_minmax_avx2(const float *x, int64_t n, int threads, float *range);
void aimass_quant_minmax_avx512(const float *x, int64_t n, int threads, float *range);
void aimass_quant_quantize_avx2(uint8_t *dst, const float *x, int64_t n, float scale, int zero, int is_signed, int threads);
void aimass_quant_quantize_avx512(uint8_t *dst, const float *x, int64_t n, float scale, int zero, int is_signed, int threads);
// A matrix to unsigned bytes, shared out to threads as the product that made it.
void aimass_quant_quantize_rows_avx2(uint8_t *dst, const float *x, int64_t rows, int64_t cols, float scale, int zero, int threads);
void aimass_quant_quantize_rows_avx512(uint8_t *dst, const float *x, int64_t rows, int64_t cols, float scale, int zero, int threads);
void aimass_quant_dequantize_avx2(float *dst, const uint8_t *x, int64_t n, float scale, int zero, int is_signed, int threads);
void aimass_quant_dequantize_avx512(float *dst, const uint8_t *x, int64_t n, float scale, int zero, int is_signed, int threads);

#endif
