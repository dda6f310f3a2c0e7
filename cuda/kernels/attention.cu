// softmax(scale·Q·Kᵀ + mask)·V in one pass over the keys with a running maximum (Rabe and
// Staats 2021; Dao et al. 2022), fp32. A block owns BQ queries of one head and walks the keys
// by 32; K and V pass through the same shared buffer in columns of 64.
#include "device.cuh"

#define ATTENTION_PARAMS                                                                                      \
  const float *__restrict__ q, const float *__restrict__ k, const float *__restrict__ v, float *__restrict__ out, \
      const float *__restrict__ mask, const int *__restrict__ lengths, int queries, int keys, int dk, int dv,  \
      uint32_t heads, uint32_t group, i64 q_batch, i64 q_head, i64 q_row, i64 k_batch, i64 k_head, i64 k_row,  \
      i64 v_batch, i64 v_head, i64 v_row, i64 o_batch, i64 o_head, i64 o_row, i64 m_batch, i64 m_head,         \
      i64 m_row, i64 m_key, float scale, int causal, int past, uint32_t vec
#define ATTENTION_ARGS                                                                                         \
  q, k, v, out, mask, lengths, queries, keys, dk, dv, heads, group, q_batch, q_head, q_row, k_batch, k_head,   \
      k_row, v_batch, v_head, v_row, o_batch, o_head, o_row, m_batch, m_head, m_row, m_key, scale, causal, past, vec

// panel fills rows×C of shared memory (pitch P) from rows r0 … of a matrix of rows×cols, times
// scale, zero outside. vec: rows are 16-byte aligned and cols is a multiple of 4.
template <int ROWS, int C, int P>
DEVICE void panel(float* s, const float* p, i64 ld, int r0, int rows, int c0, int cols, float scale, bool vec) {
  static_assert(ROWS * C % 512 == 0, "each thread fills as many");
  if (vec) {
#pragma unroll 2
    for (int i = 0; i < ROWS * C / 512; i++) {
      int at = threadIdx.x + i * 128, r = at / (C / 4), c = at % (C / 4) * 4;
      float4 v = make_float4(0, 0, 0, 0);
      if (r0 + r < rows && c0 + c < cols) v = *reinterpret_cast<const float4*>(p + (r0 + r) * ld + c0 + c);
      v.x *= scale, v.y *= scale, v.z *= scale, v.w *= scale;
      *reinterpret_cast<float4*>(s + r * P + c) = v;
    }
    return;
  }
#pragma unroll 1
  for (int i = 0; i < ROWS * C / 128; i++) {
    int at = threadIdx.x + i * 128, r = at / C, c = at % C;
    s[r * P + c] = r0 + r < rows && c0 + c < cols ? p[(r0 + r) * ld + c0 + c] * scale : 0.f;
  }
}

// 128 threads: ty = 0..15 owns BQ/16 queries, tx = 0..7 the keys tx + 8j of a step and the
// columns tx + 8j of the result. D is the largest head size, in steps of 64.
template <int BQ, int D>
DEVICE void attention(ATTENTION_PARAMS) {
  constexpr int BK = 32, R = BQ / 16, C = D < 64 ? D : 64, kPitch = C + 4, kPanels = D / C;
  __shared__ __align__(16) float sq[BQ][D + 4];
  __shared__ __align__(16) float skv[BK][kPitch];
  __shared__ float sp[BQ][BK + 1];
  int tx = threadIdx.x & 7, ty = threadIdx.x >> 3;
  int q0 = blockIdx.x * BQ;
  i64 b = blockIdx.y / heads, h = blockIdx.y % heads, hk = h / group;
  q += b * q_batch + h * q_head;
  k += b * k_batch + hk * k_head;
  v += b * v_batch + hk * v_head;
  out += b * o_batch + h * o_head;
  if (mask) mask += b * m_batch + h * m_head;
  if (lengths) keys = min(keys, lengths[b]);
  panel<BQ, D, D + 4>(&sq[0][0], q, q_row, q0, queries, 0, dk, scale, vec & 1);
  float top[R], sum[R], acc[R][D / 8] = {};
#pragma unroll
  for (int r = 0; r < R; r++) top[r] = -INFINITY, sum[r] = 0;
  int last = keys;  // no query of this block sees keys from here on
  if (causal) last = min(keys, past + q0 + BQ);
  for (int k0 = 0; k0 < last; k0 += BK) {
    float s[R][4] = {};
#pragma unroll 1
    for (int p = 0; p < dk; p += C) {
      __syncthreads();
      panel<BK, C, kPitch>(&skv[0][0], k, k_row, k0, keys, p, dk, 1.f, vec & 2);
      __syncthreads();
#pragma unroll 2
      for (int c = 0; c < C; c += 4) {
        float4 y[4];
#pragma unroll
        for (int j = 0; j < 4; j++) y[j] = *reinterpret_cast<const float4*>(&skv[tx + 8 * j][c]);
#pragma unroll
        for (int r = 0; r < R; r++) {
          float4 x = *reinterpret_cast<const float4*>(&sq[ty * R + r][p + c]);
#pragma unroll
          for (int j = 0; j < 4; j++)
            s[r][j] = fmaf(x.x, y[j].x, fmaf(x.y, y[j].y, fmaf(x.z, y[j].z, fmaf(x.w, y[j].w, s[r][j]))));
        }
      }
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
      int query = q0 + ty * R + r;
      float best = -INFINITY;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int key = k0 + tx + 8 * j;
        bool seen = key < keys && query < queries && (!causal || key <= past + query);
        if (seen && mask) s[r][j] += mask[query * m_row + key * m_key];
        if (!seen) s[r][j] = -INFINITY;
        best = fmaxf(best, s[r][j]);
      }
#pragma unroll
      for (int o = 4; o > 0; o >>= 1) best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, o));
      float next = fmaxf(top[r], best), base = next == -INFINITY ? 0.f : next;
      float shrink = expf(top[r] - base), part = 0;
      top[r] = next;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float e = expf(s[r][j] - base);
        sp[ty * R + r][tx + 8 * j] = e;
        part += e;
      }
#pragma unroll
      for (int o = 4; o > 0; o >>= 1) part += __shfl_xor_sync(0xffffffffu, part, o);
      sum[r] = sum[r] * shrink + part;
#pragma unroll
      for (int d = 0; d < D / 8; d++) acc[r][d] *= shrink;
    }
#pragma unroll
    for (int p = 0; p < kPanels; p++) {
      if (p * C < dv) {
        __syncthreads();
        panel<BK, C, kPitch>(&skv[0][0], v, v_row, k0, keys, p * C, dv, 1.f, vec & 4);
        __syncthreads();
#pragma unroll 4
        for (int kk = 0; kk < BK; kk++) {
          float w[R];
#pragma unroll
          for (int r = 0; r < R; r++) w[r] = sp[ty * R + r][kk];
#pragma unroll
          for (int d = 0; d < C / 8; d++) {
            float y = skv[kk][tx + 8 * d];
#pragma unroll
            for (int r = 0; r < R; r++) acc[r][p * (C / 8) + d] = fmaf(w[r], y, acc[r][p * (C / 8) + d]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < R; r++) {
    int query = q0 + ty * R + r;
    float inv = sum[r] > 0 ? 1.f / sum[r] : (sum[r] == 0 ? 0.f : sum[r]);
#pragma unroll
    for (int d = 0; d < D / 8; d++) {
      int c = tx + 8 * d;
      if (query < queries && c < dv) out[query * o_row + c] = acc[r][d] * inv;
    }
  }
}

ENTRY __launch_bounds__(128, 3) attention_32(ATTENTION_PARAMS) { attention<64, 32>(ATTENTION_ARGS); }
ENTRY __launch_bounds__(128, 3) attention_64(ATTENTION_PARAMS) { attention<64, 64>(ATTENTION_ARGS); }
ENTRY __launch_bounds__(128, 3) attention_128(ATTENTION_PARAMS) { attention<32, 128>(ATTENTION_ARGS); }
ENTRY __launch_bounds__(128, 3) attention_256(ATTENTION_PARAMS) { attention<32, 256>(ATTENTION_ARGS); }
