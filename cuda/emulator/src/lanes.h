// Loops over the 32 lanes of a warp. Every lane is computed; a masked result is blended
// in. Lanes that have exited are never read again, so an instruction executed by all
// live lanes needs no mask.
#pragma once
#include <cmath>
#include <type_traits>

#include "exec.h"

namespace emu {

template <class T>
using Slot = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// Half and BHalf are storage; arithmetic happens in float.
struct Half { uint16_t bits; };
struct BHalf { uint16_t bits; };

template <class T>
inline T get(Slot<T> s) {
  if constexpr (sizeof(T) == sizeof(s)) {
    return __builtin_bit_cast(T, s);
  } else if constexpr (sizeof(T) == 2) {
    return __builtin_bit_cast(T, (uint16_t)s);
  } else {
    return __builtin_bit_cast(T, (uint8_t)s);
  }
}

template <class T>
inline Slot<T> put(T v) {
  if constexpr (sizeof(T) == 8) return __builtin_bit_cast(uint64_t, v);
  else if constexpr (sizeof(T) == 4) return __builtin_bit_cast(uint32_t, v);
  else if constexpr (sizeof(T) == 2) return __builtin_bit_cast(uint16_t, v);
  else return __builtin_bit_cast(uint8_t, v);
}

template <class T>
inline Slot<T>* slots(const Warp& w, int32_t o) {
  return (Slot<T>*)(w.base[o & 1] + (o & ~1));
}
inline uint32_t* slots32(const Warp& w, int32_t o) { return (uint32_t*)(w.base[o & 1] + (o & ~1)); }
inline uint64_t* slots64(const Warp& w, int32_t o) { return (uint64_t*)(w.base[o & 1] + (o & ~1)); }

inline void blend(uint32_t* d, const uint32_t* t, uint32_t m) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  for (int g = 0; g < 4; g++) {
    __m256i k = _mm256_and_si256(_mm256_set1_epi32((int)(m >> (8 * g)) & 255), bit);
    _mm256_maskstore_epi32((int*)d + 8 * g, _mm256_cmpeq_epi32(k, bit), _mm256_load_si256((const __m256i*)t + g));
  }
}
inline void blend(uint64_t* d, const uint64_t* t, uint32_t m) {
  const __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
  for (int g = 0; g < 8; g++) {
    __m256i k = _mm256_and_si256(_mm256_set1_epi64x((int64_t)(m >> (4 * g)) & 15), bit);
    _mm256_maskstore_epi64((long long*)d + 4 * g, _mm256_cmpeq_epi64(k, bit), _mm256_load_si256((const __m256i*)t + g));
  }
}

// Out is where an instruction writes: the register, or scratch that close blends in.
template <class T>
struct Out {
  Slot<T>* p;
  Slot<T>* reg;
  uint32_t m;
  Out(Warp& w, int32_t d, uint32_t mask) : reg(slots<T>(w, d)), m(mask) { p = mask == w.live ? reg : (Slot<T>*)w.scratch; }
  void close() {
    if (p != reg) blend(reg, p, m);
  }
};

template <class D, class A, class F>
void map1(Warp& w, const Op& o, uint32_t m) {
  const Slot<A>* a = slots<A>(w, o.a);
  Out<D> out(w, o.d, m);
  Slot<D>* d = out.p;
#pragma GCC ivdep
  for (int i = 0; i < 32; i++) d[i] = put<D>(F::f(get<A>(a[i])));
  out.close();
}

template <class D, class A, class B, class F>
void map2(Warp& w, const Op& o, uint32_t m) {
  const Slot<A>* a = slots<A>(w, o.a);
  const Slot<B>* b = slots<B>(w, o.b);
  Out<D> out(w, o.d, m);
  Slot<D>* d = out.p;
#pragma GCC ivdep
  for (int i = 0; i < 32; i++) d[i] = put<D>(F::f(get<A>(a[i]), get<B>(b[i])));
  out.close();
}

template <class D, class A, class B, class C, class F>
void map3(Warp& w, const Op& o, uint32_t m) {
  const Slot<A>* a = slots<A>(w, o.a);
  const Slot<B>* b = slots<B>(w, o.b);
  const Slot<C>* c = slots<C>(w, o.c);
  Out<D> out(w, o.d, m);
  Slot<D>* d = out.p;
#pragma GCC ivdep
  for (int i = 0; i < 32; i++) d[i] = put<D>(F::f(get<A>(a[i]), get<B>(b[i]), get<C>(c[i])));
  out.close();
}

// bits packs 32 truth values (0 or all ones) into a mask.
inline uint32_t bits(const uint32_t* t) {
  uint32_t r = 0;
  for (int g = 0; g < 4; g++) r |= (uint32_t)_mm256_movemask_ps(_mm256_load_ps((const float*)t + 8 * g)) << (8 * g);
  return r;
}

template <class A, class F>
uint32_t compare(const Slot<A>* a, const Slot<A>* b) {
  alignas(64) uint32_t t[32];
#pragma GCC ivdep
  for (int i = 0; i < 32; i++) t[i] = F::f(get<A>(a[i]), get<A>(b[i])) ? ~0u : 0u;
  return bits(t);
}

inline uint32_t predicate(const Warp& w, int32_t p) { return w.pred[p >> 1] ^ (p & 1 ? ~0u : 0u); }
inline void setPredicate(Warp& w, int32_t p, uint32_t v, uint32_t m) { w.pred[p >> 1] = (w.pred[p >> 1] & ~m) | (v & m); }

inline float halfToFloat(uint16_t h) { return _cvtsh_ss(h); }
inline uint16_t floatToHalf(float f) { return _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline float bhalfToFloat(uint16_t h) { return __builtin_bit_cast(float, (uint32_t)h << 16); }
inline uint16_t floatToBhalf(float f) {
  uint32_t u = __builtin_bit_cast(uint32_t, f);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// flush is what .ftz does to inputs and results: subnormal to zero of the same sign.
inline float flush(float f) {
  uint32_t u = __builtin_bit_cast(uint32_t, f);
  return __builtin_bit_cast(float, (u & 0x7f800000) ? u : u & 0x80000000u);
}

#define EMU_LANES(m) for (uint32_t left_ = (m), i; left_ && ((i = (uint32_t)__builtin_ctz(left_)), true); left_ &= left_ - 1)

}  // namespace emu
