// atom and red (PTX ISA: atom). Global atomics are atomic over the host threads that run
// blocks; the lanes of a warp take their turn in order.
#include "decode.h"
#include "memory_ops.h"

namespace emu {
namespace {

enum Kind : uint8_t { Add, Exch, Cas, Min, Max, And, Or, Xor, Inc, Dec };

template <class T> T apply(int k, T old, T b, T c) {
  switch (k) {
    case Add: return old + b;
    case Exch: return b;
    case Cas: return old == b ? c : old;
    case Min: return b < old ? b : old;
    case Max: return b > old ? b : old;
    default: break;
  }
  if constexpr (std::is_integral_v<T>) {
    switch (k) {
      case And: return old & b;
      case Or: return old | b;
      case Xor: return old ^ b;
      case Inc: return old >= b ? 0 : old + 1;
      case Dec: return old == 0 || old > b ? b : old - 1;
    }
  }
  return old;
}
template <bool Bf> uint16_t addHalf(uint16_t a, uint16_t b) {
  return Bf ? floatToBhalf(bhalfToFloat(a) + bhalfToFloat(b)) : floatToHalf(halfToFloat(a) + halfToFloat(b));
}
struct Pair16 { uint32_t bits; };
struct BPair16 { uint32_t bits; };
template <class T> struct Apply {
  static T f(int k, T old, T b, T c) {
    if constexpr (std::is_same_v<T, Half>) return Half{addHalf<false>(old.bits, b.bits)};
    else if constexpr (std::is_same_v<T, BHalf>) return BHalf{addHalf<true>(old.bits, b.bits)};
    else if constexpr (std::is_same_v<T, Pair16>) return Pair16{(uint32_t)addHalf<false>((uint16_t)(old.bits >> 16), (uint16_t)(b.bits >> 16)) << 16 | addHalf<false>((uint16_t)old.bits, (uint16_t)b.bits)};
    else if constexpr (std::is_same_v<T, BPair16>) return BPair16{(uint32_t)addHalf<true>((uint16_t)(old.bits >> 16), (uint16_t)(b.bits >> 16)) << 16 | addHalf<true>((uint16_t)old.bits, (uint16_t)b.bits)};
    else return apply<T>(k, old, b, c);
  }
};

template <class T>
void atomic(Warp& w, const Op& o, uint32_t m) {
  using U = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  alignas(64) uint64_t at[32];
  uint8_t* host[32];
  addresses(w, o, m, at);
  if (w.block->race && o.space == Space::Shared) {
    sharedBase(w, o, m, at, sizeof(T));
    raceCheck(w, o, m, at, sizeof(T), true, true);
    EMU_LANES(m) host[i] = w.block->shared + at[i];
  } else if (hosts(w, o, m, at, sizeof(T), true, host) == Space::Param) {
    fault(w, o, __builtin_ctz(m), 700, "parameters are read-only");
  }
  const Slot<T>*b = slots<T>(w, o.b), *c = slots<T>(w, o.c);
  Slot<T>* d = o.mode2 ? slots<T>(w, o.d) : nullptr;
  EMU_LANES(m) {
    U* p = (U*)host[i];
    U old = __atomic_load_n(p, __ATOMIC_RELAXED), next;
    do next = __builtin_bit_cast(U, Apply<T>::f(o.mode, __builtin_bit_cast(T, old), get<T>(b[i]), get<T>(c[i])));
    while (!__atomic_compare_exchange_n(p, &old, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if (d) d[i] = old;
  }
}

bool scope(const std::string& s) {
  static const char* known[] = {"relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys", "noftz", "L2::cache_hint"};
  for (auto k : known)
    if (s == k) return true;
  return false;
}

}  // namespace

bool selectAtomic(Encoder& e) {
  const std::string& b = e.in.base();
  bool red = b == "red";
  if (!red && b != "atom") return false;
  auto& op = e.op;
  static const char* kinds[] = {"add", "exch", "cas", "min", "max", "and", "or", "xor", "inc", "dec"};
  Space space = Space::Generic;
  int kind = -1;
  for (size_t i = 1; i + 1 < e.in.parts.size(); i++) {
    const std::string& p = e.part(i);
    bool known = scope(p);
    if (p == "global") space = Space::Global, known = true;
    if (p == "shared" || p == "shared::cta") space = Space::Shared, known = true;
    for (int k = 0; k < 10; k++)
      if (p == kinds[k]) kind = k, known = true;
    if (!known) e.unknown("." + p);
  }
  if (kind < 0) e.unknown();
  const std::string& t = e.type();
  int n = typeBytes(t);
  op.mode = (uint8_t)kind;
  op.mode2 = !red && !e.isSink(0);
  bool fl = t[0] == 'f' || (t[0] == 'b' && t[1] == 'f'), sign = t[0] == 's';
  if (fl && kind != Add) e.unknown();
  if (t == "f32") op.fn = atomic<float>;
  else if (t == "f64") op.fn = atomic<double>;
  else if (t == "f16") op.fn = atomic<Half>;
  else if (t == "bf16") op.fn = atomic<BHalf>;
  else if (t == "f16x2") op.fn = atomic<Pair16>;
  else if (t == "bf16x2") op.fn = atomic<BPair16>;
  else if (n == 8) op.fn = sign && kind != Add ? atomic<int64_t> : atomic<uint64_t>;
  else if (n == 4) op.fn = sign && kind != Add ? atomic<int32_t> : atomic<uint32_t>;
  else if (n == 2) op.fn = atomic<uint16_t>;
  if (!op.fn) e.unknown();
  size_t k = red ? 0 : 1;
  e.want(k + (kind == Cas ? 3 : 2));
  if (op.mode2) op.d = e.dst(0, n);
  e.address(k, space);
  op.b = op.c = e.src(e.in.args[k + 1], n, fl && n >= 4);
  if (kind == Cas) op.c = e.src(k + 2, n);
  if (space != Space::Global) e.shared((uint32_t)n);
  return true;
}

}  // namespace emu
