// What the Go side of gemm calls; see gemm.go for the contract.
#ifndef AIMASS_GEMM_H
#define AIMASS_GEMM_H

#include <stdint.h>

struct gemm_epilogue {
	float alpha, beta, act_a, act_b;
	int32_t act, bias_rows;
	int64_t ldr;
};

struct gemm_task {
	int64_t m, n, k, lda, ldb, ldc;
	int32_t threads, packed, trans_a, trans_b;
	int64_t batch[4], stride_a[4], stride_b[4], stride_c[4];
	struct gemm_epilogue ep;
};

// bias and residual may be NULL. With packed set, b is a PackedB's data.
void aimass_gemm_avx2(const struct gemm_task *t, const float *a, const float *b, float *c,
                      const float *bias, const float *residual);
void aimass_gemm_avx512(const struct gemm_task *t, const float *a, const float *b, float *c,
                        const float *bias, const float *residual);

// Up to GEMM_GROUP products of one A, each with its own packed B, C and bias; what t[0] says of A,
// of its rows and of threads holds for all. Those behind the last are NULL.
enum { GEMM_GROUP = 3 };
void aimass_gemm_group_avx2(const struct gemm_task *t, int products, const float *a, const float *b0, const float *b1, const float *b2,
                            float *c0, float *c1, float *c2, const float *bias0, const float *bias1, const float *bias2);
void aimass_gemm_group_avx512(const struct gemm_task *t, int products, const float *a, const float *b0, const float *b1, const float *b2,
                              float *c0, float *c1, float *c2, const float *bias0, const float *bias1, const float *bias2);

// desc: layers, then for each k, n, offset of weights, offset of bias, act,
// and the bits of its a and b.
void aimass_gemm_chain_avx2(const int32_t *desc, const float *blob, int64_t m,
                            const float *x, int64_t ldx, float *y, int64_t ldy);
void aimass_gemm_chain_avx512(const int32_t *desc, const float *blob, int64_t m,
                              const float *x, int64_t ldx, float *y, int64_t ldy);

#endif
