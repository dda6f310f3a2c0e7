// What all kernels share: index arithmetic without division, reductions within a warp
// and a block, and 16-byte access. Everything is inlined: the modules hold entries alone.
#pragma once
#include <stdint.h>

typedef long long i64;
typedef unsigned long long u64;

#define ENTRY extern "C" __global__ void
#define DEVICE __device__ __forceinline__

// Div is a divisor d in 1..2^31-1 as the host packs it: d in the low half, in the high
// half floor(2^32·(2^s − d)/d) + 1 with s = ceil(log2 d) (Granlund and Montgomery 1994,
// figure 4.1). It holds for every dividend below 2^31.
typedef u64 Div;

DEVICE uint32_t divisor(Div d) { return (uint32_t)d; }

// split sets q to n / d and gives n mod d.
DEVICE uint32_t split(uint32_t n, Div d, uint32_t& q) {
  uint32_t m = (uint32_t)(d >> 32);
  uint32_t s = 32 - __clz(divisor(d) - 1);
  q = (uint32_t)(((u64)__umulhi(n, m) + n) >> s);
  return n - q * divisor(d);
}

DEVICE float warp_sum(float v) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  return v;
}

DEVICE float warp_max(float v) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
  return v;
}

DEVICE double warp_sum(double v) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  return v;
}

// block_sum gives every thread of a block of at most 1024 the sum; scratch holds a
// float a warp and may be used again after the call.
DEVICE float block_sum(float v, float* scratch) {
  int warps = blockDim.x >> 5;
  v = warp_sum(v);
  if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = v;
  __syncthreads();
  float all = 0;
  for (int i = 0; i < warps; i++) all += scratch[i];
  __syncthreads();
  return all;
}

// nan_max is fmaxf that keeps a NaN, as ONNX has it.
DEVICE float nan_max(float a, float b) { return a != a ? a : (b != b ? b : fmaxf(a, b)); }
DEVICE float nan_min(float a, float b) { return a != a ? a : (b != b ? b : fminf(a, b)); }
