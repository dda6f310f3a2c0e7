// ld and st in every state space, scalar and vector.
#include "memory_ops.h"

#include "decode.h"

namespace emu {

std::string hex(uint64_t v) {
  char t[24];
  snprintf(t, sizeof t, "0x%llx", (unsigned long long)v);
  return t;
}

void misaligned(const Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n) {
  int lane = __builtin_ctz(m);
  EMU_LANES(m) if (at[i] & (n - 1)) { lane = (int)i; break; }
  fault(w, o, lane, 716, "misaligned address " + hex(at[lane]) + " for " + std::to_string(n) + " bytes");
}
void outside(const Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, const char* space, uint64_t size) {
  int lane = __builtin_ctz(m);
  EMU_LANES(m) if (at[i] > size || size - at[i] < n) { lane = (int)i; break; }
  fault(w, o, lane, 700, std::string(space) + " address " + hex(at[lane]) + ", " + std::to_string(n) + " bytes, is outside its " + std::to_string(size) + " bytes");
}

uint8_t* sharedBase(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n) {
  if (!within(at, 0, w.block->sharedBytes, n)) outside(w, o, m, at, n, "shared", w.block->sharedBytes);
  if (!aligned(at, n)) misaligned(w, o, m, at, n);
  return w.block->shared;
}

uint8_t* globalBase(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, bool write, uint8_t** host) {
  Segment& s = w.block->cache[o.id];
  if (!aligned(at, n)) misaligned(w, o, m, at, n);
  if (within(at, s.lo, s.hi, n)) return s.host - s.lo;
  EMU_LANES(m) {
    if (at[i] < s.lo || at[i] >= s.hi || s.hi - at[i] < n) {
      try {
        s = w.block->memory->find(at[i], n, write);
      } catch (Fault& f) {
        fault(w, o, (int)i, f.code, f.what);
      }
    }
    host[i] = s.host + (at[i] - s.lo);
  }
  return within(at, s.lo, s.hi, n) ? s.host - s.lo : nullptr;
}

Space hosts(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t n, bool write, uint8_t** host) {
  Space space = o.space;
  uint64_t t[32];
  memcpy(t, at, sizeof t);
  if (space == Space::Generic) {
    uint64_t top = at[__builtin_ctz(m)] & 0xFFFF000000000000;
    space = top == sharedWindow ? Space::Shared : top == localWindow ? Space::Local : top == paramWindow ? Space::Param : Space::Global;
    EMU_LANES(m) {
      uint64_t own = at[i] & 0xFFFF000000000000;
      bool window = own == sharedWindow || own == localWindow || own == paramWindow;
      if (space == Space::Global ? window : own != top) fault(w, o, (int)i, 718, "lanes of one warp address different spaces at once");
      if (window) t[i] = at[i] & 0xFFFFFFFFFFFF;
    }
    if (space != Space::Global)
      for (int i = 0; i < 32; i++) t[i] = m >> i & 1 ? t[i] : t[__builtin_ctz(m)];
  }
  if (!aligned(t, n)) misaligned(w, o, m, at, n);
  uint8_t* base = nullptr;
  switch (space) {
    case Space::Shared:
      base = sharedBase(w, o, m, t, n);
      if (w.block->race) raceCheck(w, o, m, t, n, write, false);
      break;
    case Space::Local: {
      uint32_t size = w.block->k->localBytes;
      if (!within(t, 0, size, n)) outside(w, o, m, t, n, "local", size);
      EMU_LANES(m) host[i] = w.local + (size_t)i * size + t[i];
      return space;
    }
    case Space::Param: {
      auto& p = w.block->launch->params;
      if (!within(t, 0, p.size(), n)) outside(w, o, m, t, n, "parameter", p.size());
      base = (uint8_t*)p.data();
      break;
    }
    default:
      base = globalBase(w, o, m, t, n, write, host);
      if (!base) return Space::Global;
  }
  EMU_LANES(m) host[i] = base + t[i];
  return space;
}

namespace {

// widen reads one element into a register of class R.
template <class M, class R> inline Slot<R> widen(const uint8_t* p) {
  M v;
  memcpy(&v, p, sizeof v);
  using W = std::conditional_t<sizeof(R) == 8, std::conditional_t<std::is_signed_v<M>, int64_t, uint64_t>, std::conditional_t<std::is_signed_v<M>, int32_t, uint32_t>>;
  return (Slot<R>)(W)v;
}

template <class M, class R, int N>
void load(Warp& w, const Op& o, uint32_t m) {
  alignas(64) uint64_t at[32];
  uint8_t* host[32];
  constexpr uint32_t n = sizeof(M) * N;
  addresses(w, o, m, at);
  uint8_t* base = nullptr;
  if (o.space == Space::Global || o.space == Space::Const) {
    base = globalBase(w, o, m, at, n, false, host);
  } else if (o.space == Space::Shared) {
    base = sharedBase(w, o, m, at, n);
    if (w.block->race) raceCheck(w, o, m, at, n, false, false);
  } else {
    hosts(w, o, m, at, n, false, host);
  }
  Slot<R>* d[N];
  for (int k = 0; k < N; k++) d[k] = slots<R>(w, o.list[k]);
  if (!base) {
    EMU_LANES(m) for (int k = 0; k < N; k++) d[k][i] = widen<M, R>(host[i] + k * sizeof(M));
    return;
  }
  if (m != w.live) {
    EMU_LANES(m) for (int k = 0; k < N; k++) d[k][i] = widen<M, R>(base + at[i] + k * sizeof(M));
    return;
  }
  if constexpr (sizeof(M) == sizeof(Slot<R>) && N == 1) {
    if (consecutive(at, n)) {
      memcpy(d[0], base + at[0], 32 * n);
      return;
    }
  }
  if constexpr (sizeof(M) == 4 && sizeof(R) == 4 && N == 4) {
    for (int i = 0; i < 32; i += 4) {  // 4x4 transpose
      __m128 r0 = _mm_loadu_ps((const float*)(base + at[i])), r1 = _mm_loadu_ps((const float*)(base + at[i + 1]));
      __m128 r2 = _mm_loadu_ps((const float*)(base + at[i + 2])), r3 = _mm_loadu_ps((const float*)(base + at[i + 3]));
      _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
      _mm_store_ps((float*)d[0] + i, r0), _mm_store_ps((float*)d[1] + i, r1);
      _mm_store_ps((float*)d[2] + i, r2), _mm_store_ps((float*)d[3] + i, r3);
    }
    return;
  }
  for (int i = 0; i < 32; i++)
    for (int k = 0; k < N; k++) d[k][i] = widen<M, R>(base + at[i] + k * sizeof(M));
}

template <class M, class R, int N>
void store(Warp& w, const Op& o, uint32_t m) {
  alignas(64) uint64_t at[32];
  uint8_t* host[32];
  constexpr uint32_t n = sizeof(M) * N;
  addresses(w, o, m, at);
  uint8_t* base = nullptr;
  if (o.space == Space::Global) {
    base = globalBase(w, o, m, at, n, true, host);
  } else if (o.space == Space::Shared) {
    base = sharedBase(w, o, m, at, n);
    if (w.block->race) raceCheck(w, o, m, at, n, true, false);
  } else {
    if (o.space == Space::Const || o.space == Space::Param) fault(w, o, __builtin_ctz(m), 700, "this space is read-only");
    if (hosts(w, o, m, at, n, true, host) == Space::Param) fault(w, o, __builtin_ctz(m), 700, "parameters are read-only");
  }
  const Slot<R>* s[N];
  for (int k = 0; k < N; k++) s[k] = slots<R>(w, o.list[k]);
  if constexpr (sizeof(M) == sizeof(Slot<R>) && N == 1) {
    if (base && m == ~0u && consecutive(at, n)) {
      memcpy(base + at[0], s[0], 32 * n);
      return;
    }
  }
  EMU_LANES(m) {
    uint8_t* p = base ? base + at[i] : host[i];
    for (int k = 0; k < N; k++) {
      M v = (M)s[k][i];
      memcpy(p + k * sizeof(M), &v, sizeof v);
    }
  }
}

template <class M, class R> Exec pickN(bool ld, size_t n) {
  if (ld) return n == 1 ? load<M, R, 1> : n == 2 ? load<M, R, 2> : n == 4 ? load<M, R, 4> : nullptr;
  return n == 1 ? store<M, R, 1> : n == 2 ? store<M, R, 2> : n == 4 ? store<M, R, 4> : nullptr;
}
Exec pick(bool ld, int bytes, bool sign, bool big, size_t n) {
  switch (bytes) {
    case 1: return sign && ld ? big ? pickN<int8_t, uint64_t>(ld, n) : pickN<int8_t, uint32_t>(ld, n) : big ? pickN<uint8_t, uint64_t>(ld, n) : pickN<uint8_t, uint32_t>(ld, n);
    case 2: return sign && ld ? big ? pickN<int16_t, uint64_t>(ld, n) : pickN<int16_t, uint32_t>(ld, n) : big ? pickN<uint16_t, uint64_t>(ld, n) : pickN<uint16_t, uint32_t>(ld, n);
    case 4: return sign && ld && big ? pickN<int32_t, uint64_t>(ld, n) : big ? pickN<uint32_t, uint64_t>(ld, n) : pickN<uint32_t, uint32_t>(ld, n);
    case 8: return big && n < 4 ? pickN<uint64_t, uint64_t>(ld, n) : nullptr;
  }
  return nullptr;
}

// hint reports cache and ordering modifiers, which change nothing here.
bool hint(const std::string& s) {
  static const char* known[] = {"nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "volatile", "relaxed", "acquire", "release", "weak", "cta", "gpu", "sys",
                                "cluster", "mmio", "L1::evict_first", "L1::evict_last", "L1::no_allocate", "L1::evict_normal", "L1::evict_unchanged",
                                "L2::64B", "L2::128B", "L2::256B", "L2::cache_hint", "L2::evict_first", "L2::evict_last", "L2::evict_normal"};
  for (auto k : known)
    if (s == k) return true;
  return false;
}

}  // namespace

bool selectMemory(Encoder& e) {
  const std::string& b = e.in.base();
  bool ld = b == "ld" || b == "ldu";
  if (!ld && b != "st") return false;
  auto& op = e.op;
  Space space = Space::Generic;
  size_t lanes = 1;
  for (size_t i = 1; i + 1 < e.in.parts.size(); i++) {
    const std::string& p = e.part(i);
    if (p == "global") space = Space::Global;
    else if (p == "const") space = Space::Const;
    else if (p == "shared" || p == "shared::cta") space = Space::Shared;
    else if (p == "local") space = Space::Local;
    else if (p == "param" || p == "param::entry" || p == "param::func") space = Space::Param;
    else if (p == "v2") lanes = 2;
    else if (p == "v4") lanes = 4;
    else if (!hint(p)) e.unknown("." + p);
  }
  const std::string& t = e.type();
  int bytes = typeBytes(t);
  size_t value = ld ? 0 : 1, where = ld ? 1 : 0;
  if (e.count() < 2 || bytes == 0) e.unknown();
  e.address(where, space);
  auto& v = e.in.args[value];
  const Operand& first = v.kind == Operand::Vec ? v.sub.at(0) : v;
  int reg = first.kind == Operand::Reg ? e.bytesOf(first.reg) : bytes;
  if (v.kind == Operand::Vec)
    for (auto& s : v.sub)
      if (s.kind == Operand::Reg) reg = e.bytesOf(s.reg);
  if (reg < bytes) e.unknown("the register is smaller than the type");
  bool big = reg == 8;
  op.list = e.vector(value, big ? 8 : 4, ld, lanes);
  op.fn = pick(ld, bytes, t[0] == 's', big, lanes);
  if (!op.fn) e.unknown();
  if (op.space == Space::Shared || op.space == Space::Generic) e.shared((uint32_t)bytes);
  return true;
}

}  // namespace emu
