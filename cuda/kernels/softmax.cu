// Softmax and log-softmax of [outer, n, inner] along n. With inner 1 a row belongs to a
// warp or to a block; else a thread walks its column and neighbours walk theirs beside it.
#include "device.cuh"

// Running maximum and the sum of exp(x − maximum) (Milakov and Gimelshein 2018).
struct Online {
  float max, sum;
  DEVICE void add(float x) {
    if (x > max) {
      sum = sum * expf(max - x) + 1.f;
      max = x;
    } else if (x > -INFINITY || x != x) {
      sum += expf(x - max);
    }
  }
  DEVICE void merge(float m, float s) {
    float top = fmaxf(max, m);
    if (top == -INFINITY) {
      sum += s;
      return;
    }
    sum = sum * expf(max - top) + s * expf(m - top);
    max = top;
  }
  DEVICE void warp() {
#pragma unroll 1
    for (int o = 16; o > 0; o >>= 1) {
      float m = __shfl_xor_sync(0xffffffffu, max, o), s = __shfl_xor_sync(0xffffffffu, sum, o);
      merge(m, s);
    }
  }
  DEVICE float value(float x, int log, float scale) const { return log ? (x - max) - scale : expf(x - max) * scale; }
  DEVICE float scale(int log) const { return log ? logf(sum) : 1.f / sum; }
};

// A warp a row; a block holds eight.
ENTRY __launch_bounds__(256) softmax_warp(const float* __restrict__ x, float* __restrict__ y, i64 rows, int n, int log) {
  i64 row = blockIdx.x * 8ll + (threadIdx.x >> 5);
  if (row >= rows) return;
  int lane = threadIdx.x & 31;
  x += row * n;
  y += row * n;
  Online o{-INFINITY, 0.f};
#pragma unroll 2
  for (int i = lane; i < n; i += 32) o.add(x[i]);
  o.warp();
  float s = o.scale(log);
#pragma unroll 2
  for (int i = lane; i < n; i += 32) y[i] = o.value(x[i], log, s);
}

ENTRY __launch_bounds__(256) softmax_block(const float* __restrict__ x, float* __restrict__ y, i64 n, int log) {
  __shared__ float maxima[8], sums[8];
  x += blockIdx.x * n;
  y += blockIdx.x * n;
  Online o{-INFINITY, 0.f};
#pragma unroll 2
  for (i64 i = threadIdx.x; i < n; i += 256) o.add(x[i]);
  o.warp();
  if ((threadIdx.x & 31) == 0) maxima[threadIdx.x >> 5] = o.max, sums[threadIdx.x >> 5] = o.sum;
  __syncthreads();
  o = Online{maxima[0], sums[0]};
#pragma unroll 1
  for (int i = 1; i < 8; i++) o.merge(maxima[i], sums[i]);
  float s = o.scale(log);
#pragma unroll 2
  for (i64 i = threadIdx.x; i < n; i += 256) y[i] = o.value(x[i], log, s);
}

ENTRY __launch_bounds__(256)
softmax_column(const float* __restrict__ x, float* __restrict__ y, i64 outer, i64 n, i64 inner, int log) {
  i64 at = blockIdx.x * 256ll + threadIdx.x;
  if (at >= outer * inner) return;
  i64 o = at / inner, base = o * n * inner + (at - o * inner);
  Online c{-INFINITY, 0.f};
#pragma unroll 2
  for (i64 i = 0; i < n; i++) c.add(x[base + i * inner]);
  float s = c.scale(log);
#pragma unroll 2
  for (i64 i = 0; i < n; i++) y[base + i * inner] = c.value(x[base + i * inner], log, s);
}
