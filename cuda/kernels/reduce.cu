// Reductions of [outer, n, inner] along n, and the sum of the parts that several devices hold.
#include "device.cuh"

enum { kSum, kMean, kMax, kMin, kProd, kSumAbs, kSumSquare, kL2, kLogSum };

DEVICE float start(int op) { return op == kMax ? -INFINITY : op == kMin ? INFINITY : op == kProd ? 1.f : 0.f; }

// fold takes x as the input has it, join what folds have made.
DEVICE float join(int op, float a, float b) {
  switch (op) {
    case kMax: return nan_max(a, b);
    case kMin: return nan_min(a, b);
    case kProd: return a * b;
  }
  return a + b;
}
DEVICE float fold(int op, float a, float x) {
  if (op == kSumAbs) x = fabsf(x);
  if (op == kSumSquare || op == kL2) return fmaf(x, x, a);
  return join(op, a, x);
}
DEVICE float finish(int op, float v, float n) {
  switch (op) {
    case kMean: return v / n;
    case kL2: return sqrtf(v);
    case kLogSum: return logf(v);
  }
  return v;
}

// Both forms split n into parts of chunk when rows are few: stage 1 leaves
// [outer, parts, inner] without finishing, stage 2 joins those. stage 0 does all at once.
enum { kWhole, kParts, kJoin };

// reduce_row: inner is 1; a block a row and part.
ENTRY __launch_bounds__(256)
reduce_row(const float* __restrict__ x, float* __restrict__ y, i64 n, i64 chunk, float divisor, int op, int stage) {
  __shared__ float scratch[8];
  i64 from = blockIdx.y * chunk, to = min(n, from + chunk);
  x += blockIdx.x * n;
  float v = start(op);
  for (i64 i = from + threadIdx.x; i < to; i += 256) v = stage == kJoin ? join(op, v, x[i]) : fold(op, v, x[i]);
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v = join(op, v, __shfl_xor_sync(0xffffffffu, v, o));
  if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = v;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < 8; i++) v = join(op, v, scratch[i]);
  y[blockIdx.x * (i64)gridDim.y + blockIdx.y] = stage == kParts ? v : finish(op, v, divisor);
}

// reduce_column: a thread a column and part.
ENTRY __launch_bounds__(256)
reduce_column(const float* __restrict__ x, float* __restrict__ y, i64 outer, i64 n, i64 inner, i64 chunk, float divisor,
              int op, int stage) {
  i64 at = blockIdx.x * 256ll + threadIdx.x;
  if (at >= outer * inner) return;
  i64 o = at / inner, i = at - o * inner;
  i64 from = blockIdx.y * chunk, to = min(n, from + chunk);
  x += o * n * inner + i;
  float v = start(op);
  for (i64 j = from; j < to; j++) v = stage == kJoin ? join(op, v, x[j * inner]) : fold(op, v, x[j * inner]);
  y[(o * gridDim.y + blockIdx.y) * inner + i] = stage == kParts ? v : finish(op, v, divisor);
}

// arg_row and arg_column give the place of the largest (least) element; the first NaN wins, of equals the
// first, or the last on request.
DEVICE bool better(float v, i64 i, float best, i64 at, int least, int last) {
  if (at < 0) return true;
  if (i < 0) return false;
  bool nv = v != v, nb = best != best;
  if (nv || nb) return nv && (!nb || (last ? i > at : i < at));
  if (v == best) return last ? i > at : i < at;
  return least ? v < best : v > best;
}

// arg_row: a warp a row.
ENTRY __launch_bounds__(256)
arg_row(const float* __restrict__ x, i64* __restrict__ y, i64 rows, i64 n, int least, int last) {
  i64 row = blockIdx.x * 8ll + (threadIdx.x >> 5);
  if (row >= rows) return;
  int lane = threadIdx.x & 31;
  x += row * n;
  float best = 0;
  i64 at = -1;
  for (i64 i = lane; i < n; i += 32)
    if (better(x[i], i, best, at, least, last)) best = x[i], at = i;
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) {
    float v = __shfl_xor_sync(0xffffffffu, best, o);
    i64 i = __shfl_xor_sync(0xffffffffu, at, o);
    if (better(v, i, best, at, least, last)) best = v, at = i;
  }
  if (lane == 0) y[row] = at;
}

ENTRY __launch_bounds__(256)
arg_column(const float* __restrict__ x, i64* __restrict__ y, i64 outer, i64 n, i64 inner, int least, int last) {
  i64 c = blockIdx.x * 256ll + threadIdx.x;
  if (c >= outer * inner) return;
  i64 o = c / inner;
  x += o * n * inner + (c - o * inner);
  float best = 0;
  i64 at = -1;
  for (i64 i = 0; i < n; i++) {
    float v = x[i * inner];
    if (better(v, i, best, at, least, last)) best = v, at = i;
  }
  y[c] = at;
}

// sum_parts adds up to eight buffers in order: an all-reduce's last step. Parts may lie in the memory of
// peers. y may be one of the parts.
ENTRY __launch_bounds__(256)
sum_parts(float* y, const float* p0, const float* p1, const float* p2, const float* p3, const float* p4, const float* p5,
          const float* p6, const float* p7, int parts, i64 n) {
  i64 at = (blockIdx.x * 256ll + threadIdx.x) * 4;
  const float* p[8] = {p0, p1, p2, p3, p4, p5, p6, p7};
  u64 bits = (u64)y;
#pragma unroll
  for (int i = 0; i < 8; i++)
    if (i < parts) bits |= (u64)p[i];
  if ((bits & 15) == 0 && at + 3 < n) {
    float4 v = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      if (i < parts) {
        float4 w = *reinterpret_cast<const float4*>(p[i] + at);
        v.x += w.x, v.y += w.y, v.z += w.z, v.w += w.w;
      }
    }
    *reinterpret_cast<float4*>(y + at) = v;
    return;
  }
  for (i64 j = at; j < n && j < at + 4; j++) {
    float v = 0;
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (i < parts) v += p[i][j];
    y[j] = v;
  }
}
