// Products of bytes with exact int32 sums: A [M, K] and B [N, K], each signed or unsigned,
// minus zero points. Unsigned bytes are read as signed ones 128 lower, and so are their
// zero points, which changes no difference.
#include "act_gen.cuh"
#include "gemm_tile.cuh"
#include "tensor.cuh"

enum : uint32_t { kUnsignedA = 1, kUnsignedB = 2, kVec8 = 4, kZeroRow = 8, kZeroCol = 16, kScaleCol = 32, kUnsignedC = 64 };
enum { kInt32, kFloat, kByte };

// row_sums holds Σ over K of A's bytes (as signed), col_sums that of B; they are needed
// where the other operand has a zero point. What a sum becomes: itself; a float, times
// a_scale·b_scale, plus bias, through the activation; or a byte, that over c_scale plus c_zero.
#define INT8_PARAMS                                                                                             \
  const uint8_t *__restrict__ a, const uint8_t *__restrict__ b, void *__restrict__ c, int m, int n, int k, i64 lda, \
      i64 ldb, i64 ldc, const uint8_t *__restrict__ a_zero, const uint8_t *__restrict__ b_zero,                  \
      const int *__restrict__ row_sums, const int *__restrict__ col_sums, const float *__restrict__ a_scale,    \
      const float *__restrict__ b_scale, const float *__restrict__ c_scale, const uint8_t *__restrict__ c_zero, \
      const float *__restrict__ bias, int output, int func, float pa, float pb, uint32_t flags
#define INT8_ARGS                                                                                            \
  a, b, c, m, n, k, lda, ldb, ldc, a_zero, b_zero, row_sums, col_sums, a_scale, b_scale, c_scale, c_zero, bias, \
      output, func, pa, pb, flags

DEVICE int signed_byte(uint8_t v, bool is_unsigned) { return is_unsigned ? (int)v - 128 : (int)(int8_t)v; }

DEVICE void int8_store(int row, int col, int sum, INT8_PARAMS) {
  int za = a_zero ? signed_byte(a_zero[flags & kZeroRow ? row : 0], flags & kUnsignedA) : (flags & kUnsignedA ? -128 : 0);
  int zb = b_zero ? signed_byte(b_zero[flags & kZeroCol ? col : 0], flags & kUnsignedB) : (flags & kUnsignedB ? -128 : 0);
  if (za) sum -= za * col_sums[col];
  if (zb) sum -= zb * row_sums[row];
  sum += za * zb * k;
  i64 at = row * ldc + col;
  if (output == kInt32) {
    ((int*)c)[at] = sum;
    return;
  }
  float v = (float)sum * (a_scale ? *a_scale : 1.f) * (b_scale ? b_scale[flags & kScaleCol ? col : 0] : 1.f);
  if (bias) v += bias[col];
  v = act_apply(v, func, pa, pb);
  if (output == kFloat) {
    ((float*)c)[at] = v;
    return;
  }
  float lo = flags & kUnsignedC ? 0.f : -128.f;
  float zero = c_zero ? (flags & kUnsignedC ? (float)*c_zero : (float)(int8_t)*c_zero) : 0.f;
  v = fminf(fmaxf(rintf(v / *c_scale) + zero, lo), lo + 255.f);
  ((uint8_t*)c)[at] = (uint8_t)(int)v;
}

// On the tensor cores: mma of signed bytes, 128×64 of C a block, K in steps of 64. Bytes
// beyond K are zero in memory, so unsigned ones count as −128 there.
ENTRY __launch_bounds__(256, 2) gemm_int8(INT8_PARAMS) {
  constexpr int BK = 64, kPitch = BK + 16, kA = 128 * kPitch, kB = 64 * kPitch;
  __shared__ __align__(16) uint8_t shared[3 * (kA + kB)];
  int tm, tn;
  place(blockIdx.x, (m + 127) / 128, (n + 63) / 64, tm, tn);
  Warp w;
  uint32_t flip_a = flags & kUnsignedA ? 0x80808080u : 0, flip_b = flags & kUnsignedB ? 0x80808080u : 0;
  int acc[2][4][4] = {};
  pipeline<BK>(
      0, k,
      [&](int stage, int at) {
        uint8_t* s = shared + stage * (kA + kB);
        stage_tile<uint8_t, 128, BK, kPitch, 256>(s, a, lda, tm * 128, m, at, k, flags & kVec8);
        stage_tile<uint8_t, 64, BK, kPitch, 256>(s + kA, b, ldb, tn * 64, n, at, k, flags & kVec8);
      },
      [&](int stage) {
        const uint8_t *sa = shared + stage * (kA + kB), *sb = sa + kA;
#pragma unroll
        for (int kk = 0; kk < BK; kk += 32) {
          uint32_t x[2][4], y[2][4];
#pragma unroll
          for (int i = 0; i < 2; i++) {
            load_matrices(x[i], sa + (w.row + i * 16 + w.lane % 16) * kPitch + kk + w.lane / 16 * 16);
            load_matrices(y[i], sb + (w.col + i * 16 + w.lane / 16 * 8 + w.lane % 8) * kPitch + kk + w.lane / 8 % 2 * 16);
#pragma unroll
            for (int e = 0; e < 4; e++) x[i][e] ^= flip_a, y[i][e] ^= flip_b;
          }
#pragma unroll
          for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
              int(&d)[4] = acc[i][j];
              asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                  : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                  : "r"(x[i][0]), "r"(x[i][1]), "r"(x[i][2]), "r"(x[i][3]), "r"(y[j / 2][j % 2 * 2]), "r"(y[j / 2][j % 2 * 2 + 1]));
            }
        }
      });
  int beyond = flip_a && flip_b ? (-k & (BK - 1)) * 128 * 128 : 0;
  leave(w, acc, reinterpret_cast<int*>(shared), [&](int r, int s, int v) {
    if (tm * 128 + r < m && tn * 64 + s < n) int8_store(tm * 128 + r, tn * 64 + s, v - beyond, INT8_ARGS);
  });
}

DEVICE uint32_t load4(const uint8_t* p, int left, bool vec) {
  if (vec && left >= 4) return *reinterpret_cast<const uint32_t*>(p);
  uint32_t v = 0;
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < left) v |= (uint32_t)p[i] << (8 * i);
  return v;
}

// Few rows: a warp a column and four rows, four bytes a lane and step.
ENTRY __launch_bounds__(256) gemm_int8_rows(INT8_PARAMS) {
  int lane = threadIdx.x & 31, col = blockIdx.x * 8 + (threadIdx.x >> 5), row0 = blockIdx.y * 4;
  if (col >= n) return;
  uint32_t flip_a = flags & kUnsignedA ? 0x80808080u : 0, flip_b = flags & kUnsignedB ? 0x80808080u : 0;
  const uint8_t* w = b + col * ldb;
  int acc[4] = {};
  for (int at = lane * 4; at < k; at += 128) {
    uint32_t y = load4(w + at, k - at, flags & kVec8) ^ flip_b;
    uint32_t whole = k - at >= 4 ? 0xffffffffu : (1u << (8 * (k - at))) - 1;
    y &= whole;
#pragma unroll
    for (int r = 0; r < 4; r++)
      if (row0 + r < m) acc[r] = __dp4a((int)(load4(a + (row0 + r) * lda + at, k - at, flags & kVec8) ^ flip_a), (int)y, acc[r]);
  }
  int mine = 0;
#pragma unroll
  for (int r = 0; r < 4; r++) {
#pragma unroll
    for (int o = 16; o > 0; o >>= 1) acc[r] += __shfl_xor_sync(0xffffffffu, acc[r], o);
    if (lane == r) mine = acc[r];
  }
  if (lane < 4 && row0 + lane < m) int8_store(row0 + lane, col, mine, INT8_ARGS);
}

// int8_sums: y[row] = Σ over K of the bytes of a row as signed ones; a warp a row.
ENTRY __launch_bounds__(256)
int8_sums(const uint8_t* __restrict__ x, int* __restrict__ y, int rows, int k, i64 ldx, int is_unsigned) {
  int lane = threadIdx.x & 31, row = blockIdx.x * 8 + (threadIdx.x >> 5);
  if (row >= rows) return;
  x += row * ldx;
  int v = 0;
  for (int i = lane; i < k; i += 32) v += signed_byte(x[i], is_unsigned);
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  if (lane == 0) y[row] = v;
}
