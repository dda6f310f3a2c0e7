// Products on the tensor cores with fp32 sums: fp16 operands, and fp32 operands rounded to tf32.
// A block of 256 threads computes 128×64 of C.
#include "gemm_args.cuh"
#include "tensor.cuh"

DEVICE void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEVICE void mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEVICE uint32_t tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}

// B is [K, N], or [N, K] with NT.
template <bool NT>
DEVICE void gemm_f16(GEMM_PARAMS_OF(__half)) {
  constexpr int BK = 32, kPitchA = BK + 8, kPitchB = NT ? BK + 8 : 64 + 8;
  constexpr int kA = 128 * kPitchA, kB = NT ? 64 * kPitchB : BK * kPitchB;
  __shared__ __align__(16) __half shared[3 * (kA + kB)];
  int tm, tn;
  place(blockIdx.x, (m + 127) / 128, (n + 63) / 64, tm, tn);
  Place<__half> at(GEMM_ARGS);
  Warp w;
  float acc[2][4][4] = {};
  pipeline<BK>(
      at.k0, at.kend,
      [&](int stage, int k) {
        __half* s = shared + stage * (kA + kB);
        stage_tile<__half, 128, BK, kPitchA, 256>(s, at.a, lda, tm * 128, m, k, at.kend, flags & kVecA);
        if (NT) stage_tile<__half, 64, BK, kPitchB, 256>(s + kA, at.b, ldb, tn * 64, n, k, at.kend, flags & kVecB);
        else stage_tile<__half, BK, 64, kPitchB, 256>(s + kA, at.b, ldb, k, at.kend, tn * 64, n, flags & kVecB);
      },
      [&](int stage) {
        const __half *sa = shared + stage * (kA + kB), *sb = sa + kA;
#pragma unroll
        for (int kk = 0; kk < BK; kk += 16) {
          uint32_t x[2][4], y[2][4];
#pragma unroll
          for (int i = 0; i < 2; i++)
            load_matrices(x[i], sa + (w.row + i * 16 + w.lane % 16) * kPitchA + kk + w.lane / 16 * 8);
#pragma unroll
          for (int j = 0; j < 2; j++) {
            int col = w.col + j * 16 + w.lane / 16 * 8;
            if (NT) load_matrices(y[j], sb + (col + w.lane % 8) * kPitchB + kk + w.lane / 8 % 2 * 8);
            else load_transposed(y[j], sb + (kk + w.lane % 16) * kPitchB + col);
          }
#pragma unroll
          for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) mma_f16(acc[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
        }
      });
  Epilogue out = epilogue<__half>(GEMM_ARGS);
  leave(w, acc, reinterpret_cast<float*>(shared), [&](int r, int s, float v) {
    if (tm * 128 + r < m && tn * 64 + s < n) out.store(tm * 128 + r, tn * 64 + s, v);
  });
}

template <bool NT>
DEVICE void gemm_tf32(GEMM_PARAMS) {
  constexpr int BK = 16, kPitchA = BK + 4, kPitchB = NT ? BK + 4 : 64 + 8;
  constexpr int kA = 128 * kPitchA, kB = NT ? 64 * kPitchB : BK * kPitchB;
  __shared__ __align__(16) float shared[3 * (kA + kB)];
  int tm, tn;
  place(blockIdx.x, (m + 127) / 128, (n + 63) / 64, tm, tn);
  Place<float> at(GEMM_ARGS);
  Warp w;
  float acc[2][4][4] = {};
  pipeline<BK>(
      at.k0, at.kend,
      [&](int stage, int k) {
        float* s = shared + stage * (kA + kB);
        stage_tile<float, 128, BK, kPitchA, 256>(s, at.a, lda, tm * 128, m, k, at.kend, flags & kVecA);
        if (NT) stage_tile<float, 64, BK, kPitchB, 256>(s + kA, at.b, ldb, tn * 64, n, k, at.kend, flags & kVecB);
        else stage_tile<float, BK, 64, kPitchB, 256>(s + kA, at.b, ldb, k, at.kend, tn * 64, n, flags & kVecB);
      },
      [&](int stage) {
        const float *sa = shared + stage * (kA + kB), *sb = sa + kA;
#pragma unroll
        for (int kk = 0; kk < BK; kk += 8) {
          uint32_t x[2][4], y[4][2];
#pragma unroll
          for (int i = 0; i < 2; i++)
#pragma unroll
            for (int e = 0; e < 4; e++)
              x[i][e] = tf32(sa[(w.row + i * 16 + w.g + e % 2 * 8) * kPitchA + kk + w.t + e / 2 * 4]);
#pragma unroll
          for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
              int k = kk + w.t + e * 4, col = w.col + j * 8 + w.g;
              y[j][e] = tf32(NT ? sb[col * kPitchB + k] : sb[k * kPitchB + col]);
            }
#pragma unroll
          for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) mma_tf32(acc[i][j], x[i], y[j][0], y[j][1]);
        }
      });
  Epilogue out = epilogue<float>(GEMM_ARGS);
  leave(w, acc, shared, [&](int r, int s, float v) {
    if (tm * 128 + r < m && tn * 64 + s < n) out.store(tm * 128 + r, tn * 64 + s, v);
  });
}

ENTRY __launch_bounds__(256, 2) gemm_f16_nn(GEMM_PARAMS_OF(__half)) { gemm_f16<false>(GEMM_ARGS); }
ENTRY __launch_bounds__(256, 2) gemm_f16_nt(GEMM_PARAMS_OF(__half)) { gemm_f16<true>(GEMM_ARGS); }
ENTRY __launch_bounds__(256, 2) gemm_tf32_nn(GEMM_PARAMS) { gemm_tf32<false>(GEMM_ARGS); }
ENTRY __launch_bounds__(256, 2) gemm_tf32_nt(GEMM_PARAMS) { gemm_tf32<true>(GEMM_ARGS); }
