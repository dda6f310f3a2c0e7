// What the Go side of elementwise64 calls; see elementwise64.go.
#ifndef AIMASS_ELEMENTWISE64_H
#define AIMASS_ELEMENTWISE64_H

#include <stdint.h>

struct ew64_program {
	int64_t rows, cols;
	int32_t steps, inputs, threads;
	int32_t layout[6];
};

// A step is four bytes: operator, destination, and what it reads.
void aimass_ew64_program_avx2(const struct ew64_program *p, const uint8_t *steps, double *dst, const double *i0,
                              const double *i1, const double *i2, const double *i3, const double *i4, const double *i5);
void aimass_ew64_program_avx512(const struct ew64_program *p, const uint8_t *steps, double *dst, const double *i0,
                                const double *i1, const double *i2, const double *i3, const double *i4, const double *i5);
void aimass_ew64_fold_avx2(int op, double *dst, const double *x, int64_t outer, int64_t n, int64_t inner);
void aimass_ew64_fold_avx512(int op, double *dst, const double *x, int64_t outer, int64_t n, int64_t inner);

#endif
