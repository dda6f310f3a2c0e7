// fp32 products, batched in two levels, split along K where tiles are few.
#include "gemm_args.cuh"

template <class T, int BM, int BN, int BK, class B>
DEVICE void gemm(GEMM_PARAMS) {
  __shared__ __align__(16) float shared[T::kShared];
  int tm, tn;
  place(blockIdx.x, (m + BM - 1) / BM, (n + BN - 1) / BN, tm, tn);
  Place<float> at(GEMM_ARGS);
  RowSlice<BM, BK, T::kThreads> sa(at.a, lda, m, tm * BM, at.kend, (flags & kVecA) != 0);
  B sb(at.b, ldb, n, tn * BN, at.kend, (flags & kVecB) != 0);
  typename T::Sums acc = {};
  T::multiply(sa, sb, at.k0, at.kend, shared, acc);
  Epilogue out = epilogue(GEMM_ARGS);
  T::leave(acc, shared, [&](int r, int s, float v) {
    int row = tm * BM + r, col = tn * BN + s;
    if (row < m && col < n) out.store(row, col, v);
  });
}

typedef Tile<128, 128, 8, 8, 8> Big;
typedef Tile<64, 64, 16, 8, 4> Small;

ENTRY __launch_bounds__(256, 2) gemm_nn_128(GEMM_PARAMS) { gemm<Big, 128, 128, 8, ColSlice<128, 8, 256>>(GEMM_ARGS); }
ENTRY __launch_bounds__(256, 2) gemm_nt_128(GEMM_PARAMS) { gemm<Big, 128, 128, 8, RowSlice<128, 8, 256>>(GEMM_ARGS); }
ENTRY __launch_bounds__(128, 4) gemm_nn_64(GEMM_PARAMS) { gemm<Small, 64, 64, 16, ColSlice<64, 16, 128>>(GEMM_ARGS); }
ENTRY __launch_bounds__(128, 4) gemm_nt_64(GEMM_PARAMS) { gemm<Small, 64, 64, 16, RowSlice<64, 16, 128>>(GEMM_ARGS); }

// gemm_sum adds the parts [batch][split][m][n] of a split product in order and applies
// the epilogue.
ENTRY __launch_bounds__(256)
gemm_sum(const float* __restrict__ part, void* __restrict__ c, const float* __restrict__ bias, const void* residual, int m,
         int n, i64 ldc, i64 ldr, uint32_t inner, i64 c_outer, i64 c_inner, i64 r_outer, i64 r_inner, int splits,
         float alpha, int func, float pa, float pb, uint32_t flags) {
  i64 size = (i64)m * n;
  part += blockIdx.z * splits * size;
  Epilogue e = results(blockIdx.z, c, bias, residual, ldc, ldr, inner, c_outer, c_inner, r_outer, r_inner, alpha, func, pa,
                       pb, flags);
  for (i64 at = blockIdx.x * 256ll + threadIdx.x; at < size; at += gridDim.x * 256ll) {
    float v = 0;
    for (int s = 0; s < splits; s++) v += part[s * size + at];
    int row = (int)(at / n);
    e.store(row, (int)(at - (i64)row * n), v);
  }
}
