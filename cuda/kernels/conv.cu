// Convolution of NCHW images (a signal is an image of height 1) as a product: the weights
// [M = channels out, K = channels in·kh·kw] times columns [K, N = images·pixels out] that exist only as
// they are loaded. Groups are products of their own.
#include "gemm_tile.cuh"

#define CONV_PARAMS                                                                                             \
  const float *__restrict__ x, const float *__restrict__ w, float *__restrict__ y, const float *__restrict__ bias, \
      const float *__restrict__ residual, int m, int n, int k, Div pixels, Div ow, Div window, Div kw, int height, \
      int width, int stride_y, int stride_x, int pad_y, int pad_x, int dilate_y, int dilate_x, i64 x_image,      \
      i64 x_group, i64 y_image, int splits, int chunk, int func, float pa, float pb, uint32_t flags
#define CONV_ARGS                                                                                               \
  x, w, y, bias, residual, m, n, k, pixels, ow, window, kw, height, width, stride_y, stride_x, pad_y, pad_x,     \
      dilate_y, dilate_x, x_image, x_group, y_image, splits, chunk, func, pa, pb, flags

// Geometry finds elements of the columns: a column is an output pixel, k an input
// channel and a place in the window.
struct Geometry {
  const float* x;
  Div window, kw;
  int height, width, dilate_y, dilate_x;
  int y0, x0;  // of the pixel's window; y0 of a column beyond the last lies outside every image

  DEVICE float at(int k) const {
    uint32_t channel, row;
    uint32_t in = split(k, window, channel), col = split(in, kw, row);
    int iy = y0 + (int)row * dilate_y, ix = x0 + (int)col * dilate_x;
    if ((unsigned)iy >= (unsigned)height || (unsigned)ix >= (unsigned)width) return 0.f;
    return x[((i64)channel * height + iy) * width + ix];
  }
};

DEVICE Geometry geometry(int col, int group, CONV_PARAMS) {
  uint32_t image, row;
  uint32_t pixel = split(min(col, n - 1), pixels, image), px = split(pixel, ow, row);
  int y0 = col < n ? (int)row * stride_y - pad_y : INT32_MIN / 2;
  return Geometry{x + image * x_image + group * x_group, window, kw, height, width, dilate_y, dilate_x, y0,
                  (int)px * stride_x - pad_x};
}

// The slice of BK×COLS of the columns; a thread keeps to one column.
template <int COLS, int BK, int THREADS>
struct ColumnSlice {
  static constexpr int kStep = THREADS / COLS, kEach = BK / kStep;
  Geometry g;
  int kend;
  float r[kEach];

  DEVICE ColumnSlice(const Geometry& g, int kend) : g(g), kend(kend) {}
  DEVICE void load(int k) {
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      int kk = k + threadIdx.x / COLS + i * kStep;
      r[i] = kk < kend ? g.at(kk) : 0.f;
    }
  }
  DEVICE void store(float* s) const {
#pragma unroll
    for (int i = 0; i < kEach; i++) s[(threadIdx.x / COLS + i * kStep) * (COLS + 4) + threadIdx.x % COLS] = r[i];
  }
};

DEVICE void conv_store(int group, int row, int col, float v, CONV_PARAMS) {
  uint32_t image;
  uint32_t pixel = split(col, pixels, image);
  int channel = group * m + row;
  i64 at = image * y_image + (i64)channel * divisor(pixels) + pixel;
  if (bias) v += bias[channel];
  if (residual && (flags & kResidualFirst)) v += residual[at];
  v = act_apply(v, func, pa, pb);
  if (residual && !(flags & kResidualFirst)) v += residual[at];
  y[at] = v;
}

// Tiles of 128 are taken where there are many, and K is never split then.
template <class T, int BM, int BN, int BK, bool SPLIT>
DEVICE void conv(CONV_PARAMS) {
  __shared__ __align__(16) float shared[T::kShared];
  int tm, tn;
  place(blockIdx.x, (m + BM - 1) / BM, (n + BN - 1) / BN, tm, tn);
  int group = blockIdx.z / splits, part = blockIdx.z % splits;
  int k0 = part * chunk, kend = min(k, k0 + chunk);
  RowSlice<BM, BK, T::kThreads> sa(w + (i64)group * m * k, k, m, tm * BM, kend, (flags & kVecA) != 0);
  ColumnSlice<BN, BK, T::kThreads> sb(geometry(tn * BN + threadIdx.x % BN, group, CONV_ARGS), kend);
  typename T::Sums acc = {};
  T::multiply(sa, sb, k0, kend, shared, acc);
  if (SPLIT && (flags & kPartial)) {
    float* to = y + (i64)blockIdx.z * m * n;
    T::leave(acc, shared, [&](int r, int s, float v) {
      int row = tm * BM + r, col = tn * BN + s;
      if (row < m && col < n) to[(i64)row * n + col] = v;
    });
    return;
  }
  T::leave(acc, shared, [&](int r, int s, float v) {
    int row = tm * BM + r, col = tn * BN + s;
    if (row < m && col < n) conv_store(group, row, col, v, CONV_ARGS);
  });
}

ENTRY __launch_bounds__(256, 2) conv_128(CONV_PARAMS) { conv<Tile<128, 128, 8, 8, 8>, 128, 128, 8, false>(CONV_ARGS); }
ENTRY __launch_bounds__(128, 4) conv_64(CONV_PARAMS) { conv<Tile<64, 64, 16, 8, 4>, 64, 64, 16, true>(CONV_ARGS); }

// conv_sum adds the parts [group][split][m][n] in order; z of the grid is the group.
ENTRY __launch_bounds__(256) conv_sum(const float* __restrict__ parts, CONV_PARAMS) {
  uint32_t at = blockIdx.x * 256 + threadIdx.x, size = (uint32_t)m * n;
  if (at >= size) return;
  parts += (i64)blockIdx.z * splits * size;
  float v = 0;
  for (int s = 0; s < splits; s++) v += parts[(i64)s * size + at];
  conv_store(blockIdx.z, at / n, at % n, v, CONV_ARGS);
}

// conv_direct: an output pixel a thread, for groups of few channels (depthwise above all). y of
// the grid is the channel.
ENTRY __launch_bounds__(128) conv_direct(CONV_PARAMS) {
  int col = blockIdx.x * 128 + threadIdx.x, group = blockIdx.y / m, row = blockIdx.y % m;
  if (col >= n) return;
  Geometry g = geometry(col, group, CONV_ARGS);
  w += (i64)blockIdx.y * k;
  float v = 0;
#pragma unroll 4
  for (int i = 0; i < k; i++) v = fmaf(w[i], g.at(i), v);
  conv_store(group, row, col, v, CONV_ARGS);
}
