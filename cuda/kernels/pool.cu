// Max and average pooling of NCHW images; an output pixel a thread. y of the grid is the plane.
#include "device.cuh"

#define POOL_PARAMS                                                                                              \
  const float *__restrict__ x, float *__restrict__ y, int pixels, Div ow, int height, int width, int kh, int kw, \
      int stride_y, int stride_x, int pad_y, int pad_x, int dilate_y, int dilate_x

ENTRY __launch_bounds__(128) pool_max(POOL_PARAMS) {
  uint32_t at = blockIdx.x * 128 + threadIdx.x, row;
  if (at >= (uint32_t)pixels) return;
  int px = (int)split(at, ow, row) * stride_x - pad_x, py = (int)row * stride_y - pad_y;
  i64 plane = blockIdx.y;
  x += plane * height * width;
  float v = -INFINITY;
  for (int i = 0; i < kh; i++) {
    int iy = py + i * dilate_y;
    if ((unsigned)iy >= (unsigned)height) continue;
    for (int j = 0; j < kw; j++) {
      int ix = px + j * dilate_x;
      if ((unsigned)ix < (unsigned)width) v = nan_max(v, x[(i64)iy * width + ix]);
    }
  }
  y[plane * pixels + at] = v;
}

// The divisor is the number of window elements inside the image, or, with bottom and right
// given, inside the padded image (bottom = height + padding).
ENTRY __launch_bounds__(128) pool_average(POOL_PARAMS, int count_pad, int bottom, int right) {
  uint32_t at = blockIdx.x * 128 + threadIdx.x, row;
  if (at >= (uint32_t)pixels) return;
  int px = (int)split(at, ow, row) * stride_x - pad_x, py = (int)row * stride_y - pad_y;
  i64 plane = blockIdx.y;
  x += plane * height * width;
  float v = 0;
  int inside = 0, counted = 0;
  for (int i = 0; i < kh; i++) {
    int iy = py + i * dilate_y;
    if (iy >= bottom) continue;
    bool in = (unsigned)iy < (unsigned)height;
    for (int j = 0; j < kw; j++) {
      int ix = px + j * dilate_x;
      if (ix >= right) continue;
      counted++;
      if (in && (unsigned)ix < (unsigned)width) {
        v += x[(i64)iy * width + ix];
        inside++;
      }
    }
  }
  y[plane * pixels + at] = v / (float)(count_pad ? counted : inside);
}
