// Floats to bytes and back.
#include "device.cuh"

DEVICE int byte_of(const uint8_t* p, i64 i, int is_unsigned) { return is_unsigned ? (int)p[i] : (int)(int8_t)p[i]; }

// quantize: y = saturate(round(x / scale) + zero) of [outer, channels, inner]; scale and
// zero hold a value a channel (channels 1: one for all).
ENTRY __launch_bounds__(256)
quantize(const float* __restrict__ x, const float* __restrict__ scale, const uint8_t* __restrict__ zero, uint8_t* __restrict__ y,
         uint32_t n, Div channels, Div inner, int is_unsigned) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, q, o;
  if (at >= n) return;
  split(at, inner, q);
  uint32_t c = split(q, channels, o);
  float z = zero ? (float)byte_of(zero, c, is_unsigned) : 0.f, lo = is_unsigned ? 0.f : -128.f;
  y[at] = (uint8_t)(int)fminf(fmaxf(rintf(x[at] / scale[c]) + z, lo), lo + 255.f);
}

// dequantize: y = (x − zero)·scale; kind 0: int8, 1: uint8, 2: int32 (zero is int32 too).
ENTRY __launch_bounds__(256)
dequantize(const void* __restrict__ x, const float* __restrict__ scale, const void* __restrict__ zero, float* __restrict__ y,
           uint32_t n, Div channels, Div inner, int kind) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, q, o;
  if (at >= n) return;
  split(at, inner, q);
  uint32_t c = split(q, channels, o);
  int v, z = 0;
  if (kind == 2) {
    v = ((const int*)x)[at];
    if (zero) z = ((const int*)zero)[c];
  } else {
    v = byte_of((const uint8_t*)x, at, kind);
    if (zero) z = byte_of((const uint8_t*)zero, c, kind);
  }
  y[at] = (float)(v - z) * scale[c];
}

// Dynamic quantisation: extremes leaves the least and the largest of each block's part as pairs; one
// block then makes the scale and the zero point of them.
ENTRY __launch_bounds__(256) extremes(const float* __restrict__ x, float2* __restrict__ parts, i64 n) {
  __shared__ float2 scratch[8];
  float lo = 0, hi = 0;  // the range must hold 0
  for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) {
    lo = fminf(lo, x[i]);
    hi = fmaxf(hi, x[i]);
  }
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) {
    lo = fminf(lo, __shfl_xor_sync(0xffffffffu, lo, o));
    hi = fmaxf(hi, __shfl_xor_sync(0xffffffffu, hi, o));
  }
  if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = make_float2(lo, hi);
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < 8; i++) lo = fminf(lo, scratch[i].x), hi = fmaxf(hi, scratch[i].y);
  parts[blockIdx.x] = make_float2(lo, hi);
}

ENTRY __launch_bounds__(32) quantize_range(const float2* __restrict__ parts, int count, float* __restrict__ scale, uint8_t* __restrict__ zero) {
  float lo = 0, hi = 0;
  for (int i = threadIdx.x; i < count; i += 32) lo = fminf(lo, parts[i].x), hi = fmaxf(hi, parts[i].y);
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) {
    lo = fminf(lo, __shfl_xor_sync(0xffffffffu, lo, o));
    hi = fmaxf(hi, __shfl_xor_sync(0xffffffffu, hi, o));
  }
  if (threadIdx.x != 0) return;
  float s = (lo == hi ? 1.f : hi - lo) / 255.f;
  *scale = s;
  *zero = (uint8_t)(int)rintf(fminf(fmaxf(-lo / s, 0.f), 255.f));
}
