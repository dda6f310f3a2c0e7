// What the Go side of elementwise calls; see elementwise.go and program.go.
#ifndef AIMASS_ELEMENTWISE_H
#define AIMASS_ELEMENTWISE_H

#include <stdint.h>

struct ew_form {
	int64_t rows, cols, yr, ys;
	int32_t op, swap, threads, pad;
};

struct ew_program {
	int64_t rows, cols;
	int32_t steps, inputs, threads, out;
	int32_t layout[6];
};

void aimass_ew_unary_avx2(int op, float a, float b, float *dst, const float *x, int64_t n, int threads);
void aimass_ew_unary_avx512(int op, float a, float b, float *dst, const float *x, int64_t n, int threads);
void aimass_ew_binary_avx2(const struct ew_form *f, float *dst, const float *x, const float *y);
void aimass_ew_binary_avx512(const struct ew_form *f, float *dst, const float *x, const float *y);
void aimass_ew_program_avx2(const struct ew_program *p, const int32_t *code, const float *consts, float *dst,
                            const float *i0, const float *i1, const float *i2, const float *i3,
                            const float *i4, const float *i5);
void aimass_ew_program_avx512(const struct ew_program *p, const int32_t *code, const float *consts, float *dst,
                              const float *i0, const float *i1, const float *i2, const float *i3,
                              const float *i4, const float *i5);

#endif
