// What the Go side of gemm64 calls; see gemm64.go for the contract.
#ifndef AIMASS_GEMM64_H
#define AIMASS_GEMM64_H

#include <stdint.h>

// How B lies.
enum { B_PLAIN, B_TRANS, B_PANELS };

// What is summed over the depth: products, squares of differences, or differences without their sign.
enum { SUM_PRODUCTS, SUM_SQUARES, SUM_DIFFERENCES };

struct gemm64_task {
	int64_t m, n, k, lda, ldb, ldc, ldr;
	int32_t threads, trans_a, form, sum;
	int32_t root; // the square root of each sum of squares
	int64_t batch[4], stride_a[4], stride_b[4], stride_c[4];
	double alpha, beta;
};

// bias and residual may be NULL.
void aimass_gemm64_avx2(const struct gemm64_task *t, const double *a, const double *b, double *c, const double *bias, const double *residual);
void aimass_gemm64_avx512(const struct gemm64_task *t, const double *a, const double *b, double *c, const double *bias, const double *residual);

#endif
