// Addresses of a warp's lanes, and their translation. Shared by loads, stores, atomics,
// cp.async and ldmatrix.
#pragma once
#include "lanes.h"

namespace emu {

std::string hex(uint64_t v);

// addresses fills at[32]; lanes outside m repeat an active lane's address.
inline void addresses(const Warp& w, const Op& o, uint32_t m, uint64_t* at) {
  uint64_t off = (uint64_t)o.imm;
  if (o.wide) {
    const uint64_t* a = slots64(w, o.a);
    for (int i = 0; i < 32; i++) at[i] = a[i] + off;
  } else {
    const uint32_t* a = slots32(w, o.a);
    for (int i = 0; i < 32; i++) at[i] = (uint32_t)(a[i] + (uint32_t)off);  // 32-bit addresses wrap
  }
  if (m != ~0u) {
    alignas(32) uint64_t t[32];
    uint64_t one = at[__builtin_ctz(m)];
    for (int i = 0; i < 32; i++) t[i] = one;
    blend(t, at, m);
    memcpy(at, t, sizeof t);
  }
}

// within reports whether every lane's n bytes lie in [lo, hi).
inline bool within(const uint64_t* at, uint64_t lo, uint64_t hi, uint64_t n) {
  if (hi - lo < n || hi < lo) return false;
  int64_t span = (int64_t)(hi - lo - n), bad = 0;
  for (int i = 0; i < 32; i++) {
    int64_t d = (int64_t)(at[i] - lo);
    bad |= d | (span - d);
  }
  return bad >= 0;
}
inline bool aligned(const uint64_t* at, uint64_t n) {
  uint64_t all = 0;
  for (int i = 0; i < 32; i++) all |= at[i];
  return (all & (n - 1)) == 0;
}
// consecutive reports whether lane i's address is lane 0's plus i*n.
inline bool consecutive(const uint64_t* at, uint64_t n) {
  uint64_t bad = 0;
  for (int i = 0; i < 32; i++) bad |= (at[i] - at[0]) ^ ((uint64_t)i * n);
  return bad == 0;
}

[[noreturn]] void misaligned(const Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n);
[[noreturn]] void outside(const Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, const char* space, uint64_t size);

// spaceBase is a base such that base + address is the host's address for every lane of a
// window (shared, local of one lane, param); checks bounds and alignment.
uint8_t* sharedBase(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n);

// globalBase does the same for global memory if all lanes lie in one allocation; else
// null, and each lane's host address is in host[].
uint8_t* globalBase(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, bool write, uint8_t** host);

// hosts translates each active lane in whatever space it lies.
Space hosts(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, bool write, uint8_t** host);

inline void raceCheck(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, bool write, bool atomic) {
  w.block->race->accesses(w, o, m, at, n, write, atomic);
}

}  // namespace emu
