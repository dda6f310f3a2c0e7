// Resizing of images by tables that the host makes, an output pixel a thread: nearest by a row and a
// column each, or mixtures of rn rows and cn columns (linear: 2, cubic: 4, more where it shrinks).
// y of the grid is the plane.
#include "device.cuh"

ENTRY __launch_bounds__(256)
resize_nearest(const float* __restrict__ x, float* __restrict__ y, uint32_t pixels, Div ow, int height, int width,
               const int* __restrict__ rows, const int* __restrict__ cols) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, row;
  if (at >= pixels) return;
  uint32_t col = split(at, ow, row);
  i64 plane = blockIdx.y;
  y[plane * pixels + at] = x[(plane * height + rows[row]) * width + cols[col]];
}

ENTRY __launch_bounds__(256)
resize_mix(const float* __restrict__ x, float* __restrict__ y, uint32_t pixels, Div ow, int height, int width,
           const int* __restrict__ rows, const float* __restrict__ row_weights, int rn, const int* __restrict__ cols,
           const float* __restrict__ col_weights, int cn) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, row;
  if (at >= pixels) return;
  uint32_t col = split(at, ow, row);
  i64 plane = blockIdx.y;
  rows += (i64)row * rn, row_weights += (i64)row * rn;
  cols += (i64)col * cn, col_weights += (i64)col * cn;
  float sum = 0;
#pragma unroll 1
  for (int i = 0; i < rn; i++) {
    const float* line = x + (plane * height + rows[i]) * width;
    float part = 0;
#pragma unroll 1
    for (int j = 0; j < cn; j++) part = fmaf(col_weights[j], line[cols[j]], part);
    sum = fmaf(row_weights[i], part, sum);
  }
  y[plane * pixels + at] = sum;
}
