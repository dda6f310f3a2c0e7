// Products of one to sixteen rows: every weight is read once, and their bandwidth decides.
#include "gemm_args.cuh"

// A is [rows, K], B is [K, N]. A block takes 128 columns, four a lane; its eight warps
// share the k of a step among them and add up at the end.
template <int ROWS>
DEVICE void rows_nn(GEMM_PARAMS) {
  constexpr int kStep = 64;
  __shared__ __align__(16) float x[kStep * ROWS];  // [k][row]
  __shared__ __align__(16) float sums[4][ROWS][128];
  Place<float> at(GEMM_ARGS);
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int col0 = blockIdx.x * 128, col = col0 + lane * 4;
  bool vec = (flags & kVecB) && col + 3 < n;
  float acc[ROWS][4] = {};
  for (int base = at.k0; base < at.kend; base += kStep) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < (kStep * ROWS + 255) / 256; i++) {
      int s = threadIdx.x + i * 256, row = s / kStep, kk = base + s % kStep;
      if (s < kStep * ROWS) x[s % kStep * ROWS + row] = row < m && kk < at.kend ? at.a[row * lda + kk] : 0.f;
    }
    __syncthreads();
#pragma unroll 4
    for (int i = 0; i < kStep / 8; i++) {
      int kk = warp + 8 * i;
      float w[4] = {};
      if (base + kk < at.kend) {
        const float* s = at.b + (base + kk) * ldb + col;
        if (vec) {
          float4 v = __ldg(reinterpret_cast<const float4*>(s));
          w[0] = v.x, w[1] = v.y, w[2] = v.z, w[3] = v.w;
        } else {
#pragma unroll
          for (int j = 0; j < 4; j++) w[j] = col + j < n ? s[j] : 0.f;
        }
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int j = 0; j < 4; j++) acc[r][j] = fmaf(x[kk * ROWS + r], w[j], acc[r][j]);
    }
  }
#pragma unroll 1
  for (int half = 4; half > 0; half >>= 1) {
    if (warp >= half && warp < 2 * half) {
#pragma unroll
      for (int r = 0; r < ROWS; r++)
        *reinterpret_cast<float4*>(&sums[warp - half][r][lane * 4]) = make_float4(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
    }
    __syncthreads();
    if (warp < half) {
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        float4 v = *reinterpret_cast<const float4*>(&sums[warp][r][lane * 4]);
        acc[r][0] += v.x, acc[r][1] += v.y, acc[r][2] += v.z, acc[r][3] += v.w;
      }
    }
    __syncthreads();
  }
  if (warp == 0) {
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      *reinterpret_cast<float4*>(&sums[0][r][lane * 4]) = make_float4(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
  }
  __syncthreads();
  Epilogue out = epilogue(GEMM_ARGS);
#pragma unroll 1
  for (int s = threadIdx.x; s < ROWS * 128; s += 256) {
    int row = s / 128, c = s % 128;
    if (row < m && col0 + c < n) out.store(row, col0 + c, sums[0][row][c]);
  }
}

// A is [rows, K], B is [N, K]: a warp takes a column and runs along K.
template <int ROWS>
DEVICE void rows_nt(GEMM_PARAMS) {
  Place<float> at(GEMM_ARGS);
  int lane = threadIdx.x & 31, col = blockIdx.x * 8 + (threadIdx.x >> 5);
  if (col >= n) return;
  const float* w = at.b + col * ldb;
  float acc[ROWS] = {};
  int k0 = at.k0;
  if ((flags & kVecA) && (flags & kVecB)) {
    int whole = at.k0 + (at.kend - at.k0) / 4 * 4;
#pragma unroll 2
    for (int kk = at.k0 + lane * 4; kk < whole; kk += 128) {
      float4 v = __ldg(reinterpret_cast<const float4*>(w + kk));
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        if (r < m) {
          float4 u = *reinterpret_cast<const float4*>(at.a + r * lda + kk);
          acc[r] = fmaf(u.x, v.x, fmaf(u.y, v.y, fmaf(u.z, v.z, fmaf(u.w, v.w, acc[r]))));
        }
      }
    }
    k0 = whole;
  }
  for (int kk = k0 + lane; kk < at.kend; kk += 32) {
    float v = w[kk];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      if (r < m) acc[r] = fmaf(at.a[r * lda + kk], v, acc[r]);
  }
  float mine = 0;
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    float v = warp_sum(acc[r]);
    if (lane == r) mine = v;
  }
  Epilogue out = epilogue(GEMM_ARGS);
  if (lane < m) out.store(lane, col, mine);
}

ENTRY __launch_bounds__(256) gemm_rows1_nn(GEMM_PARAMS) { rows_nn<1>(GEMM_ARGS); }
ENTRY __launch_bounds__(256) gemm_rows4_nn(GEMM_PARAMS) { rows_nn<4>(GEMM_ARGS); }
ENTRY __launch_bounds__(256) gemm_rows16_nn(GEMM_PARAMS) { rows_nn<16>(GEMM_ARGS); }
ENTRY __launch_bounds__(256) gemm_rows1_nt(GEMM_PARAMS) { rows_nt<1>(GEMM_ARGS); }
ENTRY __launch_bounds__(256) gemm_rows4_nt(GEMM_PARAMS) { rows_nt<4>(GEMM_ARGS); }
ENTRY __launch_bounds__(256) gemm_rows16_nt(GEMM_PARAMS) { rows_nt<16>(GEMM_ARGS); }
