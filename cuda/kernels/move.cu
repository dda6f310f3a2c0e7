// What only moves data: strided copies (slice, concat, expand, general transposes),
// the 2-D transpose, padding, gather and scatter of rows. Elements are 1, 2, 4, 8 or 16 bytes.
#include "device.cuh"

// move_N copies a box of up to six dimensions, n elements in all, from strides s to
// strides t (elements; 0 repeats, negative runs backwards). Dimension 0 is outermost; the
// host merges what it can and pads with 1 in front.
#define MOVE_PARAMS(T)                                                                                      \
  const T *__restrict__ x, T *__restrict__ y, uint32_t n, Div d1, Div d2, Div d3, Div d4, Div d5, i64 s0,   \
      i64 s1, i64 s2, i64 s3, i64 s4, i64 s5, i64 t0, i64 t1, i64 t2, i64 t3, i64 t4, i64 t5

#define MOVE(N, T)                                                                  \
  ENTRY __launch_bounds__(256) move_##N(MOVE_PARAMS(T)) {                           \
    uint32_t at = blockIdx.x * 256 + threadIdx.x, q;                                \
    if (at >= n) return;                                                            \
    uint32_t i5 = split(at, d5, q), i4 = split(q, d4, q);                           \
    uint32_t i3 = split(q, d3, q), i2 = split(q, d2, q), i1 = split(q, d1, q);      \
    y[q * t0 + i1 * t1 + i2 * t2 + i3 * t3 + i4 * t4 + i5 * t5] =                   \
        x[q * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4 + i5 * s5];                \
  }
MOVE(1, uint8_t)
MOVE(2, uint16_t)
MOVE(4, uint32_t)
MOVE(8, u64)
MOVE(16, uint4)

// transpose_N swaps the two inner dimensions of [batch, rows, cols] through a 32×32 tile,
// 8 rows of threads.
template <class T>
DEVICE void transpose(const T* __restrict__ x, T* __restrict__ y, int rows, int cols, i64 ldx, i64 ldy, i64 x_batch, i64 y_batch) {
  __shared__ T tile[32][33];
  int tx = threadIdx.x & 31, ty = threadIdx.x >> 5;
  int across = (cols + 31) / 32;
  int r0 = blockIdx.x / across * 32, c0 = blockIdx.x % across * 32;
  x += blockIdx.y * x_batch;
  y += blockIdx.y * y_batch;
#pragma unroll
  for (int i = 0; i < 32; i += 8)
    if (r0 + ty + i < rows && c0 + tx < cols) tile[ty + i][tx] = x[(r0 + ty + i) * ldx + c0 + tx];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 32; i += 8)
    if (c0 + ty + i < cols && r0 + tx < rows) y[(c0 + ty + i) * ldy + r0 + tx] = tile[tx][ty + i];
}
#define TRANSPOSE(N, T)                                                                                          \
  ENTRY __launch_bounds__(256) transpose_##N(const T* __restrict__ x, T* __restrict__ y, int rows, int cols, i64 ldx, \
                                             i64 ldy, i64 x_batch, i64 y_batch) {                               \
    transpose<T>(x, y, rows, cols, ldx, ldy, x_batch, y_batch);                                                 \
  }
TRANSPOSE(1, uint8_t)
TRANSPOSE(2, uint16_t)
TRANSPOSE(4, uint32_t)
TRANSPOSE(8, u64)

enum { kConstant, kEdge, kReflect, kWrap };

DEVICE int padded(int i, int n, int mode) {
  if (i >= 0 && i < n) return i;
  if (mode == kEdge) return i < 0 ? 0 : n - 1;
  if (mode == kWrap) return ((i % n) + n) % n;
  if (n == 1) return 0;
  int period = 2 * (n - 1);
  i = ((i % period) + period) % period;
  return i < n ? i : period - i;
}

// pad_N: y of e0 × … × e3 from x of n0 × … × n3 (contiguous both), of which element 0 lies at
// b0 … b3 of y. Negative b cuts.
template <class T>
DEVICE void pad(const T* __restrict__ x, T* __restrict__ y, uint32_t n, Div e1, Div e2, Div e3, int n0, int n1, int n2, int n3,
                int b0, int b1, int b2, int b3, int mode, T value) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, q;
  if (at >= n) return;
  int i3 = (int)split(at, e3, q) - b3, i2 = (int)split(q, e2, q) - b2, i1 = (int)split(q, e1, q) - b1, i0 = (int)q - b0;
  if (mode == kConstant) {
    bool in = i0 >= 0 && i0 < n0 && i1 >= 0 && i1 < n1 && i2 >= 0 && i2 < n2 && i3 >= 0 && i3 < n3;
    y[at] = in ? x[(((i64)i0 * n1 + i1) * n2 + i2) * n3 + i3] : value;
    return;
  }
  i0 = padded(i0, n0, mode), i1 = padded(i1, n1, mode), i2 = padded(i2, n2, mode), i3 = padded(i3, n3, mode);
  y[at] = x[(((i64)i0 * n1 + i1) * n2 + i2) * n3 + i3];
}
#define PAD(N, T)                                                                                                 \
  ENTRY __launch_bounds__(256) pad_##N(const T* __restrict__ x, T* __restrict__ y, uint32_t n, Div e1, Div e2, Div e3, \
                                       int n0, int n1, int n2, int n3, int b0, int b1, int b2, int b3, int mode, T value) { \
    pad<T>(x, y, n, e1, e2, e3, n0, n1, n2, n3, b0, b1, b2, b3, mode, value);                                     \
  }
PAD(1, uint8_t)
PAD(4, uint32_t)
PAD(8, u64)

// gather_N: y[o, i, :] = x[o, index[i], :], n units of N bytes in all, width a row. A
// negative index counts from the end; one out of range gives zeros and raises fault.
template <class T>
DEVICE void gather(const T* __restrict__ x, const void* __restrict__ index, T* __restrict__ y, uint32_t* fault, uint32_t n,
                   Div count, Div width, i64 rows, int wide, T zero) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, pair, o;
  if (at >= n) return;
  uint32_t w = split(at, width, pair), i = split(pair, count, o);
  i64 r = wide ? ((const i64*)index)[i] : ((const int*)index)[i];
  if (r < 0) r += rows;
  bool in = r >= 0 && r < rows;
  if (!in && fault) *fault = 1;
  y[at] = in ? x[(o * rows + r) * divisor(width) + w] : zero;
}
#define GATHER(N, T, ZERO)                                                                                            \
  ENTRY __launch_bounds__(256) gather_##N(const T* __restrict__ x, const void* __restrict__ index, T* __restrict__ y, \
                                          uint32_t* fault, uint32_t n, Div count, Div width, i64 rows, int wide) {    \
    gather<T>(x, index, y, fault, n, count, width, rows, wide, ZERO);                                                 \
  }
GATHER(1, uint8_t, 0)
GATHER(4, uint32_t, 0)
GATHER(16, uint4, make_uint4(0, 0, 0, 0))

// gather_elements_N: y[o, j, i] = x[o, index[o, j, i], i]; slab is count·inner.
template <class T>
DEVICE void gather_elements(const T* __restrict__ x, const void* __restrict__ index, T* __restrict__ y, uint32_t* fault,
                            uint32_t n, Div slab, Div inner, i64 rows, int wide) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, o, j;
  if (at >= n) return;
  uint32_t i = split(split(at, slab, o), inner, j);
  i64 r = wide ? ((const i64*)index)[at] : ((const int*)index)[at];
  if (r < 0) r += rows;
  bool in = r >= 0 && r < rows;
  if (!in && fault) *fault = 1;
  y[at] = in ? x[(o * rows + r) * divisor(inner) + i] : (T)0;
}
#define GATHER_ELEMENTS(N, T)                                                                                           \
  ENTRY __launch_bounds__(256) gather_elements_##N(const T* __restrict__ x, const void* __restrict__ index,             \
                                                   T* __restrict__ y, uint32_t* fault, uint32_t n, Div slab, Div inner, \
                                                   i64 rows, int wide) {                                                \
    gather_elements<T>(x, index, y, fault, n, slab, inner, rows, wide);                                                 \
  }
GATHER_ELEMENTS(4, uint32_t)
GATHER_ELEMENTS(8, u64)

// fill_4 writes one word n times.
ENTRY __launch_bounds__(256) fill_4(uint32_t* __restrict__ y, i64 n, uint32_t value) {
  i64 at = blockIdx.x * 256ll + threadIdx.x;
  if (at < n) y[at] = value;
}
