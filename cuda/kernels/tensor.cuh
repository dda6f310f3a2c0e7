// Tiles of products on the tensor cores: global memory to shared memory by cp.async in three stages,
// shared memory to registers by ldmatrix, mma.sync.
#pragma once
#include "device.cuh"

DEVICE uint32_t shared_address(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }

// copy_async moves up to 16 bytes and fills the rest with zeros.
DEVICE void copy_async(void* s, const void* g, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(s)), "l"(g), "r"(bytes) : "memory");
}
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

DEVICE void load_matrices(uint32_t (&r)[4], const void* s) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(s))
               : "memory");
}
DEVICE void load_transposed(uint32_t (&r)[4], const void* s) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(s))
               : "memory");
}

// stage_tile brings ROWS×COLS elements of T from rows×cols beginning at (r0, c0), zero outside, into
// shared memory of PITCH elements a row. vec: rows are 16-byte aligned.
template <class T, int ROWS, int COLS, int PITCH, int THREADS>
DEVICE void stage_tile(T* s, const T* p, i64 ld, int r0, int rows, int c0, int cols, bool vec) {
  constexpr int kPer = 16 / sizeof(T), kChunks = COLS / kPer;
  if (vec) {
#pragma unroll
    for (int i = 0; i < ROWS * kChunks / THREADS; i++) {
      int at = threadIdx.x + i * THREADS, r = at / kChunks, c = at % kChunks * kPer;
      int left = r0 + r < rows ? min(max(cols - c0 - c, 0), kPer) : 0;
      copy_async(s + r * PITCH + c, left > 0 ? p + (r0 + r) * ld + c0 + c : p, left * (int)sizeof(T));
    }
    return;
  }
#pragma unroll 1
  for (int at = threadIdx.x; at < ROWS * COLS; at += THREADS) {
    int r = at / COLS, c = at % COLS;
    s[r * PITCH + c] = r0 + r < rows && c0 + c < cols ? p[(r0 + r) * ld + c0 + c] : (T)0;
  }
}

// The warps' place in a tile of 128×64: four along rows, two along columns, 32×32 each.
// A thread holds, of each 16×8 piece, rows g and g + 8, columns 2t and 2t + 1.
struct Warp {
  int lane, row, col, g, t;
  DEVICE Warp() {
    lane = threadIdx.x & 31;
    row = (threadIdx.x >> 5) % 4 * 32;
    col = (threadIdx.x >> 5) / 4 * 32;
    g = lane >> 2;
    t = lane & 3;
  }
};

// pipeline runs load(stage, k) two steps ahead of multiply(stage).
template <int BK, class Load, class Multiply>
DEVICE void pipeline(int k0, int kend, Load load, Multiply multiply) {
  int next = k0;
#pragma unroll
  for (int s = 0; s < 2; s++) {
    if (next < kend) load(s, next);
    copy_commit();
    next += BK;
  }
  int stage = 0;
#pragma unroll 1
  for (int k = k0; k < kend; k += BK) {
    copy_wait<1>();
    __syncthreads();
    int ahead = stage + 2 < 3 ? stage + 2 : stage - 1;
    if (next < kend) load(ahead, next);
    copy_commit();
    next += BK;
    multiply(stage);
    stage = stage + 1 < 3 ? stage + 1 : 0;
  }
  copy_wait<0>();
  __syncthreads();
}

// leave hands the tile to out(row, col, value) through shared memory of 128×66 words.
template <class T, class Out>
DEVICE void leave(const Warp& w, const T (&acc)[2][4][4], T* shared, Out out) {
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int e = 0; e < 4; e++)
        shared[(w.row + i * 16 + w.g + e / 2 * 8) * 66 + w.col + j * 8 + w.t * 2 + e % 2] = acc[i][j][e];
  __syncthreads();
#pragma unroll 1
  for (int at = threadIdx.x; at < 128 * 64; at += 256) out(at / 64, at % 64, shared[at / 64 * 66 + at % 64]);
}
