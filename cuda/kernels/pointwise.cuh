// What the generated pointwise kernels are made of.
#pragma once
#include <cuda_fp16.h>
#include <math.h>
#include "device.cuh"

DEVICE float clip(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}
DEVICE float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }
DEVICE float softplus(float x) { return (x > 0.f ? x : 0.f) + (x != x ? x : log1pf(expf(-fabsf(x)))); }

DEVICE float quotient(float x, float y) { return x / y; }
DEVICE float least(float x, float y) { return nan_min(x, y); }
DEVICE float largest(float x, float y) { return nan_max(x, y); }
DEVICE float remainder_of(float x, float y) { return fmodf(x, y); }
template <class T>
DEVICE T quotient(T x, T y) {
  if (y == 0) return 0;
  return y == -1 ? -x : x / y;
}
template <class T>
DEVICE T least(T x, T y) { return x < y ? x : y; }
template <class T>
DEVICE T largest(T x, T y) { return x > y ? x : y; }
template <class T>
DEVICE T remainder_of(T x, T y) { return y == 0 || y == -1 ? 0 : x % y; }
template <class T>
DEVICE T floor_mod(T x, T y) {
  T r = remainder_of(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

// CUDA's own sinf keeps a table in local memory for large arguments. Here the words of
// 2/π are picked by comparisons (the reduction is Payne and Hanek's, 1983).
DEVICE uint32_t two_over_pi(uint32_t i) {
  return i == 0 ? 0x28be60dbu : i == 1 ? 0x9391054au : i == 2 ? 0x7f09d5f4u : i == 3 ? 0x7d4d3770u : i == 4 ? 0x36d8a566u : 0x4f10e410u;
}

// reduce gives x − q·π/2, at most π/4, and q.
DEVICE float reduce(float x, int& q) {
  float j = rintf(x * 0.636619747f);
  q = (int)j;
  float r = fmaf(j, -1.57079601e+00f, x);
  r = fmaf(j, -3.13916473e-07f, r);
  r = fmaf(j, -5.39030253e-15f, r);
  if (fabsf(x) < 48039.f) return r;
  if (x - x != 0.f) return x - x;
  uint32_t bits = __float_as_uint(x), m = (bits << 8) | 0x80000000u;
  uint32_t e = ((bits >> 23) & 255) - 126, i = e >> 5;
  e &= 31;
  uint32_t hi = i ? two_over_pi(i - 1) : 0, mid = two_over_pi(i), lo = two_over_pi(i + 1);
  hi = __funnelshift_l(mid, hi, e);
  mid = __funnelshift_l(lo, mid, e);
  lo = __funnelshift_l(two_over_pi(i + 2), lo, e);
  u64 p = (u64)m * lo;
  p = (u64)m * mid + (p >> 32);
  p = ((u64)(m * hi) << 32) + p;
  q = (int)(p >> 62);
  p &= 0x3fffffffffffffffull;
  if (p & 0x2000000000000000ull) {
    p -= 0x4000000000000000ull;
    q++;
  }
  r = (float)((double)(i64)p * (1.5707963267948966 / 4611686018427387904.0));
  if (x < 0.f) {
    r = -r;
    q = -q;
  }
  return r;
}

// The minimax polynomials on ±π/4.
DEVICE float sine_poly(float r) {
  float s = r * r;
  float p = fmaf(2.86567956e-6f, s, -1.98559923e-4f);
  p = fmaf(p, s, 8.33338592e-3f);
  p = fmaf(p, s, -1.66666672e-1f);
  return fmaf(p, r * s, r);
}
DEVICE float cosine_poly(float r) {
  float s = r * r;
  float p = fmaf(2.44677067e-5f, s, -1.38877297e-3f);
  p = fmaf(p, s, 4.16666567e-2f);
  p = fmaf(p, s, -0.5f);
  return fmaf(p, s, 1.f);
}
// sine is sin(x + shift·π/2).
DEVICE float sine(float x, int shift) {
  int q;
  float r = reduce(x, q);
  q += shift;
  float v = q & 1 ? cosine_poly(r) : sine_poly(r);
  return q & 2 ? -v : v;
}
DEVICE float tangent(float x) {
  int q;
  float r = reduce(x, q);
  float s = sine_poly(r), c = cosine_poly(r);
  return q & 1 ? -c / s : s / c;
}

// Four elements a thread where both pointers allow 16-byte access, else four single ones.
template <class F>
DEVICE void unary_four(const float* __restrict__ x, float* __restrict__ y, i64 n, float a, float b) {
  i64 at = (blockIdx.x * 256ll + threadIdx.x) * 4;
  if ((((u64)x | (u64)y) & 15) == 0 && at + 3 < n) {
    float4 v = *reinterpret_cast<const float4*>(x + at);
    v.x = F::apply(v.x, a, b), v.y = F::apply(v.y, a, b), v.z = F::apply(v.z, a, b), v.w = F::apply(v.w, a, b);
    *reinterpret_cast<float4*>(y + at) = v;
    return;
  }
#pragma unroll 1
  for (int i = 0; i < 4; i++)
    if (at + i < n) y[at + i] = F::apply(x[at + i], a, b);
}
template <class F, class R>
DEVICE void unary_one(const float* __restrict__ x, R* __restrict__ y, i64 n, float a, float b) {
  i64 at = blockIdx.x * 256ll + threadIdx.x;
  if (at < n) y[at] = F::apply(x[at], a, b);
}

// xs and ys are 1, or 0 for an operand of one element.
template <class F>
DEVICE void linear_four(const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ z, i64 n, int xs, int ys) {
  i64 at = (blockIdx.x * 256ll + threadIdx.x) * 4;
  u64 bits = (u64)z | (xs ? (u64)x : 0) | (ys ? (u64)y : 0);
  if ((bits & 15) == 0 && at + 3 < n) {
    float4 u, v;
    if (xs) u = *reinterpret_cast<const float4*>(x + at);
    else u.x = u.y = u.z = u.w = *x;
    if (ys) v = *reinterpret_cast<const float4*>(y + at);
    else v.x = v.y = v.z = v.w = *y;
    u.x = F::apply(u.x, v.x), u.y = F::apply(u.y, v.y), u.z = F::apply(u.z, v.z), u.w = F::apply(u.w, v.w);
    *reinterpret_cast<float4*>(z + at) = u;
    return;
  }
#pragma unroll 1
  for (int i = 0; i < 4; i++)
    if (at + i < n) z[at + i] = F::apply(x[(at + i) * xs], y[(at + i) * ys]);
}
template <class F, class R>
DEVICE void linear_one(const float* __restrict__ x, const float* __restrict__ y, R* __restrict__ z, i64 n, int xs, int ys) {
  i64 at = blockIdx.x * 256ll + threadIdx.x;
  if (at < n) z[at] = F::apply(x[at * xs], y[at * ys]);
}

// z is contiguous, of n elements in four dimensions; x and y have strides.
#define BINARY_PARAMS(T, R)                                                                                        \
  const T *__restrict__ x, const T *__restrict__ y, R *__restrict__ z, uint32_t n, Div d1, Div d2, Div d3, i64 x0, \
      i64 x1, i64 x2, i64 x3, i64 y0, i64 y1, i64 y2, i64 y3
#define BINARY_ARGS x, y, z, n, d1, d2, d3, x0, x1, x2, x3, y0, y1, y2, y3
template <class F, class T, class R>
DEVICE void binary(BINARY_PARAMS(T, R)) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, q;
  if (at >= n) return;
  uint32_t i3 = split(at, d3, q), i2 = split(q, d2, q), i1 = split(q, d1, q);
  z[at] = F::apply(x[q * x0 + i1 * x1 + i2 * x2 + i3 * x3], y[q * y0 + i1 * y1 + i2 * y2 + i3 * y3]);
}

template <class T, class R>
struct Convert {
  DEVICE static R of(T x) { return (R)x; }
};
template <class T>
struct Convert<T, bool> {
  DEVICE static bool of(T x) { return x != (T)0; }
};
template <>
struct Convert<__half, bool> {
  DEVICE static bool of(__half x) { return __half2float(x) != 0.f; }
};
template <class R>
struct Convert<__half, R> {
  DEVICE static R of(__half x) { return Convert<float, R>::of(__half2float(x)); }
};
template <class T>
struct Convert<T, __half> {
  DEVICE static __half of(T x) { return __float2half_rn((float)x); }
};
// A float becomes a small integer through int64, whose low bits are kept.
template <>
struct Convert<float, uint8_t> {
  DEVICE static uint8_t of(float x) { return (uint8_t)(i64)x; }
};
template <>
struct Convert<float, int8_t> {
  DEVICE static int8_t of(float x) { return (int8_t)(i64)x; }
};

template <class T, class R>
DEVICE void cast(const T* __restrict__ x, R* __restrict__ y, i64 n) {
  i64 at = blockIdx.x * 256ll + threadIdx.x;
  if (at < n) y[at] = Convert<T, R>::of(x[at]);
}
