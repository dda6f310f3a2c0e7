// z = condition ? x : y, all by strides over four dimensions; elements of 1, 4 or 8 bytes.
#include "device.cuh"

#define WHERE(N, T)                                                                                              \
  ENTRY __launch_bounds__(256)                                                                                   \
  where_##N(const uint8_t* __restrict__ c, const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ z,  \
            uint32_t n, Div d1, Div d2, Div d3, i64 c0, i64 c1, i64 c2, i64 c3, i64 x0, i64 x1, i64 x2, i64 x3,  \
            i64 y0, i64 y1, i64 y2, i64 y3) {                                                                    \
    uint32_t at = blockIdx.x * 256 + threadIdx.x, q;                                                             \
    if (at >= n) return;                                                                                         \
    uint32_t i3 = split(at, d3, q), i2 = split(q, d2, q), i1 = split(q, d1, q);                                  \
    z[at] = c[q * c0 + i1 * c1 + i2 * c2 + i3 * c3] ? x[q * x0 + i1 * x1 + i2 * x2 + i3 * x3]                    \
                                                    : y[q * y0 + i1 * y1 + i2 * y2 + i3 * y3];                   \
  }
WHERE(1, uint8_t)
WHERE(4, uint32_t)
WHERE(8, u64)
