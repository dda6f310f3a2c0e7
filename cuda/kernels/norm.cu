// LayerNorm, RMSNorm and their forms with a skip connection: y = (s − mean)/√(var + eps)·gamma + beta
// with s = x + skip + bias. The variance is taken around the mean in a second pass.
#include "device.cuh"

struct Row {
  const float *x, *skip, *bias;
  DEVICE float at(int i) const {
    float v = x[i];
    if (skip) v += skip[i];
    if (bias) v += bias[i];
    return v;
  }
};

// With channels > 0 gamma and beta hold a value a channel, and row r is of channel
// r mod channels (instance norm); else a value a column.
struct Scale {
  const float *gamma, *beta;
  DEVICE float apply(float v, int i) const {
    if (gamma) v *= gamma[i];
    return beta ? v + beta[i] : v;
  }
};

#define NORM_PARAMS                                                                                      \
  const float *__restrict__ x, const float *__restrict__ skip, const float *__restrict__ bias,           \
      const float *__restrict__ gamma, const float *__restrict__ beta, float *__restrict__ y, float *__restrict__ sum, \
      i64 rows, int n, float eps, int rms, int channels

ENTRY __launch_bounds__(256) norm_warp(NORM_PARAMS) {
  i64 row = blockIdx.x * 8ll + (threadIdx.x >> 5);
  if (row >= rows) return;
  int lane = threadIdx.x & 31;
  Row r{x + row * n, skip ? skip + row * n : nullptr, bias};
  y += row * n;
  float mean = 0;
  if (!rms) {
#pragma unroll 2
    for (int i = lane; i < n; i += 32) mean += r.at(i);
    mean = warp_sum(mean) / n;
  }
  float var = 0;
#pragma unroll 2
  for (int i = lane; i < n; i += 32) {
    float d = r.at(i) - mean;
    var = fmaf(d, d, var);
  }
  float inv = 1.f / sqrtf(warp_sum(var) / n + eps);
  Scale s{gamma, beta};
  int channel = channels ? (int)(row % channels) : 0;
#pragma unroll 2
  for (int i = lane; i < n; i += 32) {
    float v = r.at(i);
    if (sum) sum[row * n + i] = v;
    y[i] = s.apply((v - mean) * inv, channels ? channel : i);
  }
}

ENTRY __launch_bounds__(256) norm_block(NORM_PARAMS) {
  __shared__ float scratch[8];
  i64 row = blockIdx.x;
  Row r{x + row * n, skip ? skip + row * n : nullptr, bias};
  y += row * n;
  float mean = 0;
  if (!rms) {
#pragma unroll 2
    for (int i = threadIdx.x; i < n; i += 256) mean += r.at(i);
    mean = block_sum(mean, scratch) / n;
  }
  float var = 0;
#pragma unroll 2
  for (int i = threadIdx.x; i < n; i += 256) {
    float d = r.at(i) - mean;
    var = fmaf(d, d, var);
  }
  float inv = 1.f / sqrtf(block_sum(var, scratch) / n + eps);
  Scale s{gamma, beta};
  int channel = channels ? (int)(row % channels) : 0;
#pragma unroll 2
  for (int i = threadIdx.x; i < n; i += 256) {
    float v = r.at(i);
    if (sum) sum[row * n + i] = v;
    y[i] = s.apply((v - mean) * inv, channels ? channel : i);
  }
}
