// The fp32 product of tiles: C = act(alpha·A·B + bias + residual), A row-major. One block computes
// BM×BN of C from slices of BK, double buffered: while a slice is multiplied from shared
// memory the next one is on its way from global memory in registers.
#pragma once
#include "act_gen.cuh"
#include "device.cuh"

// Flags of the epilogue and of how operands may be read; cuda/kernel sets them.
enum : uint32_t {
  kBiasRow = 1,        // bias[m] instead of bias[n]
  kResidualFirst = 2,  // the residual is added before the activation
  kVecA = 4,           // A may be read 16 bytes at a time
  kVecB = 8,           // B likewise
  kPartial = 16,       // a part of a split product: C is workspace, no epilogue
  kHalf = 32,          // C and residual are fp16
};

// Epilogue is what happens to an element when it is stored.
struct Epilogue {
  void* c;
  i64 ldc;
  const float* bias;
  const void* residual;
  i64 ldr;
  float alpha;
  int func;
  float a, b;
  uint32_t flags;

  DEVICE float kept(i64 at) const {
    return flags & kHalf ? __half2float(((const __half*)residual)[at]) : ((const float*)residual)[at];
  }
  DEVICE void store(int m, int n, float v) const {
    v *= alpha;
    if (bias) v += bias[flags & kBiasRow ? m : n];
    float r = residual ? kept(m * ldr + n) : 0.f;
    if (flags & kResidualFirst) v += r;
    v = act_apply(v, func, a, b);
    if (!(flags & kResidualFirst)) v += r;
    if (flags & kHalf) ((__half*)c)[m * ldc + n] = __float2half_rn(v);
    else ((float*)c)[m * ldc + n] = v;
  }
};

// A slice of rows×BK of a matrix whose rows run along k ([rows, K]), kept transposed in
// shared memory as [BK][rows + 4]. A row beyond the matrix has its end at 0.
template <int ROWS, int BK, int THREADS>
struct RowSlice {
  static constexpr int kQuads = ROWS * BK / 4 / THREADS;
  static constexpr int kPitch = ROWS + 4;
  const float* p[kQuads];
  int end[kQuads];
  bool vec;
  float r[kQuads][4];

  DEVICE RowSlice(const float* base, i64 ld, int rows, int row0, int kend, bool vec) : vec(vec) {
#pragma unroll
    for (int q = 0; q < kQuads; q++) {
      int at = threadIdx.x + q * THREADS, row = row0 + at / (BK / 4);
      end[q] = row < rows ? kend - at % (BK / 4) * 4 : 0;
      p[q] = base + (row < rows ? row : 0) * ld + at % (BK / 4) * 4;
    }
  }
  DEVICE void load(int k) {
#pragma unroll
    for (int q = 0; q < kQuads; q++) {
      if (vec && k + 3 < end[q]) {
        float4 v = *reinterpret_cast<const float4*>(p[q] + k);
        r[q][0] = v.x, r[q][1] = v.y, r[q][2] = v.z, r[q][3] = v.w;
      } else {
#pragma unroll
        for (int i = 0; i < 4; i++) r[q][i] = k + i < end[q] ? p[q][k + i] : 0.f;
      }
    }
  }
  DEVICE void store(float* s) const {
#pragma unroll
    for (int q = 0; q < kQuads; q++) {
      int at = threadIdx.x + q * THREADS;
      int row = at / (BK / 4), k = at % (BK / 4) * 4;
#pragma unroll
      for (int i = 0; i < 4; i++) s[(k + i) * kPitch + row] = r[q][i];
    }
  }
};

// A slice of BK×COLS of a matrix whose rows run along n ([K, cols]), as [BK][COLS + 4].
template <int COLS, int BK, int THREADS>
struct ColSlice {
  static constexpr int kQuads = COLS * BK / 4 / THREADS;
  static constexpr int kPitch = COLS + 4;
  const float* p;
  i64 ld;
  int kend, left;  // columns from this thread's first one to the end
  bool vec;
  float r[kQuads][4];

  DEVICE ColSlice(const float* base, i64 ld, int cols, int col0, int kend, bool vec) : ld(ld), vec(vec) {
    int col = col0 + threadIdx.x % (COLS / 4) * 4, k = threadIdx.x / (COLS / 4);
    p = base + k * ld + col;
    left = cols - col;
    this->kend = kend - k;
  }
  DEVICE void load(int k) {
#pragma unroll
    for (int q = 0; q < kQuads; q++) {
      int kk = k + q * (THREADS / (COLS / 4));
      const float* s = p + kk * ld;
      if (vec && kk < kend && left > 3) {
        float4 v = *reinterpret_cast<const float4*>(s);
        r[q][0] = v.x, r[q][1] = v.y, r[q][2] = v.z, r[q][3] = v.w;
      } else {
#pragma unroll
        for (int i = 0; i < 4; i++) r[q][i] = kk < kend && i < left ? s[i] : 0.f;
      }
    }
  }
  DEVICE void store(float* s) const {
#pragma unroll
    for (int q = 0; q < kQuads; q++) {
      int at = threadIdx.x + q * THREADS;
      int k = at / (COLS / 4), col = at % (COLS / 4) * 4;
      *reinterpret_cast<float4*>(s + k * kPitch + col) = make_float4(r[q][0], r[q][1], r[q][2], r[q][3]);
    }
  }
};

template <int BM, int BN, int BK, int TM, int TN>
struct Tile {
  typedef float Sums[TM][TN];
  static constexpr int kThreads = (BM / TM) * (BN / TN);
  static constexpr int kA = BK * (BM + 4), kB = BK * (BN + 4);
  static constexpr int kHalf = BM / 2 * (BN + 4);  // half of C's tile on its way out
  static constexpr int kShared = 2 * (kA + kB) > kHalf ? 2 * (kA + kB) : kHalf;

  // A thread owns rows ty·4 + i and BM/2 + ty·4 + i − 4 (TM 8), or ty·4 + i (TM 4), and
  // columns in the same way: its shared loads are 16 bytes and free of bank conflicts.
  static DEVICE int row(int ty, int i) { return TM == 8 ? (i / 4) * (BM / 2) + ty * 4 + i % 4 : ty * 4 + i; }
  static DEVICE int col(int tx, int j) { return TN == 8 ? (j / 4) * (BN / 2) + tx * 4 + j % 4 : tx * 4 + j; }

  static DEVICE void slice(const float* a, const float* b, int tx, int ty, Sums& acc) {
#pragma unroll
    for (int k = 0; k < BK; k++) {
      float x[TM], y[TN];
#pragma unroll
      for (int i = 0; i < TM; i += 4) {
        float4 v = *reinterpret_cast<const float4*>(a + k * (BM + 4) + row(ty, i));
        x[i] = v.x, x[i + 1] = v.y, x[i + 2] = v.z, x[i + 3] = v.w;
      }
#pragma unroll
      for (int j = 0; j < TN; j += 4) {
        float4 v = *reinterpret_cast<const float4*>(b + k * (BN + 4) + col(tx, j));
        y[j] = v.x, y[j + 1] = v.y, y[j + 2] = v.z, y[j + 3] = v.w;
      }
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) acc[i][j] = fmaf(x[i], y[j], acc[i][j]);
    }
  }

  // multiply adds the slices k0 … kend to acc.
  template <class A, class B>
  static DEVICE void multiply(A& a, B& b, int k0, int kend, float* shared, Sums& acc) {
    int tx = threadIdx.x % (BN / TN), ty = threadIdx.x / (BN / TN);
    a.load(k0);
    b.load(k0);
    int buffer = 0;
    for (int k = k0; k < kend; k += BK) {
      float* sa = shared + buffer * (kA + kB);
      a.store(sa);
      b.store(sa + kA);
      __syncthreads();
      if (k + BK < kend) {
        a.load(k + BK);
        b.load(k + BK);
      }
      slice(sa, sa + kA, tx, ty, acc);
      buffer ^= 1;
    }
  }

  // leave hands each sum to out(m, n, v), m and n counted within the tile. The tile goes
  // through shared memory in two halves: stores are whole lines then, and the epilogue's code
  // exists once and not for each accumulator.
  template <class Out>
  static DEVICE void leave(const Sums& acc, float* shared, Out out) {
    int tx = threadIdx.x % (BN / TN), ty = threadIdx.x / (BN / TN);
#pragma unroll 1
    for (int half = 0; half < 2; half++) {
      __syncthreads();
#pragma unroll
      for (int i = 0; i < TM; i++) {
        int r = row(ty, i) - half * (BM / 2);
        if (TM == 8 ? i / 4 == half : r >= 0 && r < BM / 2) {
#pragma unroll
          for (int j = 0; j < TN; j += 4)
            *reinterpret_cast<float4*>(shared + r * (BN + 4) + col(tx, j)) =
                make_float4(acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
        }
      }
      __syncthreads();
#pragma unroll 1
      for (int at = threadIdx.x; at < BM / 2 * BN; at += kThreads)
        out(half * (BM / 2) + at / BN, at % BN, shared[at / BN * (BN + 4) + at % BN]);
    }
  }
};

// place finds the tile of a block. Blocks of neighbouring numbers share a band of
// kBand tile rows, so that their operands meet in the L2 cache.
DEVICE void place(uint32_t block, uint32_t rows, uint32_t cols, int& tm, int& tn) {
  const uint32_t kBand = 8;
  uint32_t band = block / (kBand * cols), first = band * kBand;
  uint32_t height = min(rows - first, kBand), in = block - first * cols;
  tm = first + in % height;
  tn = in / height;
}
