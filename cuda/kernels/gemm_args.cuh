// Parameters of every product of matrices: z of the grid is batch·splits + split; the
// batch is outer·inner + inner's index, and each operand has a stride for both.
#pragma once
#include "gemm_tile.cuh"

#define GEMM_PARAMS                                                                                       \
  const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ c,                        \
      const float *__restrict__ bias, const float *__restrict__ residual, int m, int n, int k, i64 lda,   \
      i64 ldb, i64 ldc, i64 ldr, uint32_t inner, i64 a_outer, i64 a_inner, i64 b_outer, i64 b_inner,      \
      i64 c_outer, i64 c_inner, i64 r_outer, i64 r_inner, int splits, int chunk, float alpha, int func,   \
      float pa, float pb, uint32_t flags

#define GEMM_ARGS                                                                                            \
  a, b, c, bias, residual, m, n, k, lda, ldb, ldc, ldr, inner, a_outer, a_inner, b_outer, b_inner, c_outer, \
      c_inner, r_outer, r_inner, splits, chunk, alpha, func, pa, pb, flags

// Place is what a block works on: operands moved to its batch, and its part of K.
struct Place {
  const float *a, *b;
  int k0, kend;

  DEVICE Place(GEMM_PARAMS) {
    uint32_t part = blockIdx.z % splits, batch = blockIdx.z / splits;
    i64 o = batch / inner, i = batch % inner;
    this->a = a + o * a_outer + i * a_inner;
    this->b = b + o * b_outer + i * b_inner;
    k0 = part * chunk;
    kend = min(k, k0 + chunk);
  }
};

// epilogue gives where a block's results go: for a part of a split product workspace
// [z][m][n], without a function. It is made after the main loop, whose registers are few.
DEVICE Epilogue epilogue(GEMM_PARAMS) {
  if (flags & kPartial) return Epilogue{c + (i64)blockIdx.z * m * n, n, nullptr, nullptr, 0, 1.f, 0, 0.f, 0.f, flags};
  i64 o = blockIdx.z / inner, i = blockIdx.z % inner;
  if (residual) residual += o * r_outer + i * r_inner;
  return Epilogue{c + o * c_outer + i * c_inner, ldc, bias, residual, ldr, alpha, func, pa, pb, flags};
}
