// Parameters of every product of matrices: z of the grid is batch·splits + split; the
// batch is outer·inner + inner's index, and each operand has a stride for both.
#pragma once
#include "gemm_tile.cuh"

#define GEMM_PARAMS_OF(T)                                                                                     \
  const T *__restrict__ a, const T *__restrict__ b, void *__restrict__ c, const float *__restrict__ bias,     \
      const void *residual, int m, int n, int k, i64 lda, i64 ldb, i64 ldc, i64 ldr, uint32_t inner,          \
      i64 a_outer, i64 a_inner, i64 b_outer, i64 b_inner, i64 c_outer, i64 c_inner, i64 r_outer, i64 r_inner, \
      int splits, int chunk, float alpha, int func, float pa, float pb, uint32_t flags
#define GEMM_PARAMS GEMM_PARAMS_OF(float)

#define GEMM_ARGS                                                                                            \
  a, b, c, bias, residual, m, n, k, lda, ldb, ldc, ldr, inner, a_outer, a_inner, b_outer, b_inner, c_outer, \
      c_inner, r_outer, r_inner, splits, chunk, alpha, func, pa, pb, flags

// Place is what a block works on: operands moved to its batch, and its part of K.
template <class T>
struct Place {
  const T *a, *b;
  int k0, kend;

  DEVICE Place(GEMM_PARAMS_OF(T)) {
    uint32_t part = blockIdx.z % splits, batch = blockIdx.z / splits;
    i64 o = batch / inner, i = batch % inner;
    this->a = a + o * a_outer + i * a_inner;
    this->b = b + o * b_outer + i * b_inner;
    k0 = part * chunk;
    kend = min(k, k0 + chunk);
  }
};

// results moves C and the residual to a batch.
DEVICE Epilogue results(uint32_t batch, void* c, const float* bias, const void* residual, i64 ldc, i64 ldr, uint32_t inner,
                        i64 c_outer, i64 c_inner, i64 r_outer, i64 r_inner, float alpha, int func, float pa, float pb,
                        uint32_t flags) {
  i64 o = batch / inner, i = batch % inner, size = flags & kHalf ? 2 : 4;
  c = (char*)c + (o * c_outer + i * c_inner) * size;
  if (residual) residual = (const char*)residual + (o * r_outer + i * r_inner) * size;
  return Epilogue{c, ldc, bias, residual, ldr, alpha, func, pa, pb, flags};
}

// epilogue gives where a block's results go: for a part of a split product workspace
// [z][m][n], without a function. It is made after the main loop, whose registers are few.
template <class T>
DEVICE Epilogue epilogue(GEMM_PARAMS_OF(T)) {
  if (flags & kPartial) return Epilogue{(float*)c + (i64)blockIdx.z * m * n, n, nullptr, nullptr, 0, 1.f, 0, 0.f, 0.f, 0};
  return results(blockIdx.z / splits, c, bias, residual, ldc, ldr, inner, c_outer, c_inner, r_outer, r_inner, alpha, func,
                 pa, pb, flags);
}
