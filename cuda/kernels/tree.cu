// Ensembles of decision trees. First a thread a (row, tree) walks to its leaf, then a warp
// a (row, target) adds the leaves' weights in double precision.
#include "device.cuh"

// A node of 16 bytes. kind: bits 0–2 the test, bit 3 "a missing value goes to yes", bits
// 4–31 the feature. A leaf (test 6) has its first weight in yes and their number in no; its
// bit 3 says that it holds a weight for each target, in order.
struct __align__(16) Node {
  uint32_t kind;
  float value;
  int yes, no;
};

struct __align__(8) Weight {
  int target;
  float value;
};

enum { kLeq, kLt, kGte, kGt, kEq, kNeq, kLeaf };

ENTRY __launch_bounds__(128)
tree_leaves(const Node* __restrict__ nodes, const int* __restrict__ roots, const float* __restrict__ x,
            int* __restrict__ leaves, int rows, int trees, i64 ldx, uint32_t across) {
  // across threads of the block lie along rows, the others along trees.
  int row = blockIdx.x * across + threadIdx.x % across;
  int tree = blockIdx.y * (128 / across) + threadIdx.x / across;
  if (row >= rows || tree >= trees) return;
  x += row * ldx;
  int at = roots[tree];
  for (;;) {
    int4 raw = __ldg(reinterpret_cast<const int4*>(nodes + at));
    uint32_t kind = (uint32_t)raw.x, test = kind & 7;
    if (test == kLeaf) break;
    float v = x[kind >> 4], t = __int_as_float(raw.y);
    bool yes;
    switch (test) {
      case kLeq: yes = v <= t; break;
      case kLt: yes = v < t; break;
      case kGte: yes = v >= t; break;
      case kGt: yes = v > t; break;
      case kEq: yes = v == t; break;
      default: yes = v != t; break;
    }
    if (v != v && (kind & 8)) yes = true;
    at = yes ? raw.z : raw.w;
  }
  leaves[(i64)tree * rows + row] = at;
}

enum { kSum, kAverage, kMin, kMax };

// A target that no leaf names is 0 before its base value. Sums of the lanes are added in
// a fixed order, so an answer never changes from run to run.
ENTRY __launch_bounds__(256)
tree_sum(const Node* __restrict__ nodes, const Weight* __restrict__ weights, const int* __restrict__ leaves,
         const float* __restrict__ base, float* __restrict__ y, int rows, int trees, int targets, int aggregate) {
  i64 pair = blockIdx.x * 8ll + (threadIdx.x >> 5);
  if (pair >= (i64)rows * targets) return;
  int lane = threadIdx.x & 31, row = (int)(pair / targets), target = (int)(pair % targets);
  double acc = aggregate == kMin ? INFINITY : aggregate == kMax ? -INFINITY : 0;
  int met = 0;
  for (int t = lane; t < trees; t += 32) {
    int4 raw = __ldg(reinterpret_cast<const int4*>(nodes + leaves[(i64)t * rows + row]));
    int first = raw.z, count = raw.w;
    if (raw.x & 8) first += target, count = 1;
    for (int i = first; i < first + count; i++) {
      Weight w = weights[i];
      if (w.target != target) continue;
      double v = w.value;
      acc = aggregate == kMin ? (v < acc || v != v ? v : acc) : aggregate == kMax ? (v > acc || v != v ? v : acc) : acc + v;
      met = 1;
    }
  }
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) {
    double v = __shfl_xor_sync(0xffffffffu, acc, o);
    met |= __shfl_xor_sync(0xffffffffu, met, o);
    acc = aggregate == kMin ? (v < acc || v != v ? v : acc) : aggregate == kMax ? (v > acc || v != v ? v : acc) : acc + v;
  }
  if (lane != 0) return;
  if (!met) acc = 0;
  if (aggregate == kAverage) acc /= trees;
  if (base) acc += base[target];
  y[pair] = (float)acc;
}
