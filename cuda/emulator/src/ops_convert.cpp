// cvt (PTX ISA: cvt). A value goes through a wide intermediate: integers as 64
// bits, floats as double, which holds every f32, f16 and bf16 exactly.
#include <limits>

#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

enum Round : uint8_t { Near, Zero, Down, Up, Away };

double roundInt(double v, int mode) {
  switch (mode) {
    case Near: return std::nearbyint(v);
    case Zero: return std::trunc(v);
    case Down: return std::floor(v);
    case Up: return std::ceil(v);
    default: return std::round(v);
  }
}

template <class T>
T toInt(double v, int mode) {
  if (v != v) return sizeof(T) == 8 ? (T)(1ull << 63) : 0;
  v = roundInt(v, mode);
  constexpr double top = std::is_signed_v<T> ? (double)(1ull << (8 * sizeof(T) - 1)) : 2.0 * (double)(1ull << (8 * sizeof(T) - 1));
  if (v >= top) return std::numeric_limits<T>::max();
  if (v <= (double)std::numeric_limits<T>::min()) return std::numeric_limits<T>::min();
  return (T)v;
}

// narrow rounds v to a format of p significand bits, least exponent emin (of the leading
// bit) and largest finite value top. Exact for every double.
double narrow(double v, int mode, int p, int emin, double top) {
  if (v == 0 || v != v || std::isinf(v)) return v;
  int e = std::max(std::ilogb(v), emin) - (p - 1);
  double unit = std::ldexp(1.0, e), q = std::ldexp(v, -e), r = roundInt(q, mode);
  if (r == 0) return std::copysign(0.0, v);
  double d = r * unit;
  if (std::fabs(d) <= top) return d;
  bool toInf = mode == Near || mode == Away || (mode == Up && v > 0) || (mode == Down && v < 0);
  return std::copysign(toInf ? INFINITY : top, v);
}
float toFloat(double v, int mode) { return mode == Near ? (float)v : (float)narrow(v, mode, 24, -126, 0x1.fffffep127); }
uint16_t toHalf(double v, int mode) { return floatToHalf((float)narrow(v, mode, 11, -14, 65504.0)); }
uint16_t toBhalf(double v, int mode) { return floatToBhalf((float)narrow(v, mode, 8, -126, 0x1.fep127)); }

struct Opt {
  uint8_t mode;
  bool ftz, sat, relu, satFinite, toInteger;
};
Opt options(const Op& o) { return {o.mode, (o.mode2 & 1) != 0, (o.mode2 & 2) != 0, (o.mode2 & 4) != 0, (o.mode2 & 8) != 0, (o.mode2 & 16) != 0}; }

double clampFloat(double v, const Opt& p) {
  if (p.sat) return v > 0 ? (v < 1 ? v : 1) : 0;
  if (p.relu) return v != v ? v : v > 0 ? v : 0;
  return v;
}

template <class T> double fromFloat(Slot<T> s, const Opt& p) {
  if constexpr (std::is_same_v<T, Half>) return halfToFloat((uint16_t)s);
  else if constexpr (std::is_same_v<T, BHalf>) return bhalfToFloat((uint16_t)s);
  else if constexpr (std::is_same_v<T, float>) return p.ftz ? flush(get<float>(s)) : get<float>(s);
  else return get<double>(s);
}
template <class T> Slot<T> toFloating(double v, const Opt& p) {
  if constexpr (std::is_same_v<T, Half>) return toHalf(v, p.mode);
  else if constexpr (std::is_same_v<T, BHalf>) return toBhalf(v, p.mode);
  else if constexpr (std::is_same_v<T, float>) { float f = toFloat(v, p.mode); return put<float>(p.ftz ? flush(f) : f); }
  else return put<double>(v);
}
template <class T> constexpr bool floating = std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BHalf>;

// An integer result wider than its type is extended into the register.
template <class D, class R> Slot<R> extend(D v) { return (Slot<R>)(std::conditional_t<std::is_signed_v<D>, std::conditional_t<sizeof(Slot<R>) == 8, int64_t, int32_t>, Slot<R>>)v; }

template <class D, class S>
D clampInt(S v) {
  if constexpr (std::is_signed_v<S>) {
    int64_t x = v;
    if (std::is_unsigned_v<D>) return x < 0 ? 0 : (uint64_t)x > std::numeric_limits<D>::max() ? std::numeric_limits<D>::max() : (D)x;
    return x < (int64_t)std::numeric_limits<D>::min() ? std::numeric_limits<D>::min() : x > (int64_t)std::numeric_limits<D>::max() ? std::numeric_limits<D>::max() : (D)x;
  } else {
    return (uint64_t)v > (uint64_t)std::numeric_limits<D>::max() ? std::numeric_limits<D>::max() : (D)v;
  }
}

template <class D, class S, class R>  // R: register class of the destination
void convert(Warp& w, const Op& o, uint32_t m) {
  const Slot<S>* a = slots<S>(w, o.a);
  Opt p = options(o);
  Slot<R>* d = slots<R>(w, o.d);
  EMU_LANES(m) {
    if constexpr (floating<S> && floating<D>) {
      double v = fromFloat<S>(a[i], p);
      if (p.toInteger) {
        v = roundInt(v, p.mode);
        Opt q = p;
        q.mode = Near;
        d[i] = toFloating<D>(clampFloat(v, p), q);
      } else {
        d[i] = toFloating<D>(clampFloat(v, p), p);
      }
    } else if constexpr (floating<S>) {
      double v = fromFloat<S>(a[i], p);
      d[i] = extend<D, R>(toInt<D>(v, p.mode));
    } else if constexpr (floating<D>) {
      S s = get<S>(a[i]);
      if constexpr (sizeof(S) == 8) {
        // A 64-bit integer need not fit a double: round it to odd first unless f64 is wanted.
        if constexpr (std::is_same_v<D, double>) {
          unsigned old = _mm_getcsr();
          static const unsigned to[] = {0, 3, 1, 2};
          _mm_setcsr((old & ~0x6000u) | to[p.mode & 3] << 13);
          volatile S vs = s;
          volatile double r = (double)vs;
          _mm_setcsr(old);
          d[i] = put<double>(r);
        } else {
          bool neg = std::is_signed_v<S> && s < 0;
          uint64_t u = neg ? 0 - (uint64_t)s : (uint64_t)s;
          if (u >> 53) u = (u >> 11 << 11) | (uint64_t)((u & 2047) != 0) << 11;
          d[i] = toFloating<D>(clampFloat(neg ? -(double)u : (double)u, p), p);
        }
      } else {
        d[i] = toFloating<D>(clampFloat((double)s, p), p);
      }
    } else {
      S s = get<S>(a[i]);
      d[i] = extend<D, R>(p.sat ? clampInt<D, S>(s) : (D)s);
    }
  }
}

// The conversions that hot loops hold, as vector loops.
struct F2S { static int32_t f(float a) { return toInt<int32_t>(a, Zero); } };
struct S2F { static float f(int32_t a) { return (float)a; } };
struct H2F { static float f(uint32_t a) { return halfToFloat((uint16_t)a); } };
struct F2H { static uint32_t f(float a) { return floatToHalf(a); } };
struct B2F { static float f(uint32_t a) { return bhalfToFloat((uint16_t)a); } };
struct U2L { static uint64_t f(uint32_t a) { return a; } };
struct S2L { static int64_t f(int32_t a) { return a; } };
struct L2U { static uint32_t f(uint64_t a) { return (uint32_t)a; } };

template <class D, class S> Exec pickReg(int bytes) { return bytes == 8 ? convert<D, S, uint64_t> : convert<D, S, uint32_t>; }

template <class S>
Exec pickDst(const std::string& d, int bytes) {
  if (d == "f32") return pickReg<float, S>(4);
  if (d == "f64") return pickReg<double, S>(8);
  if (d == "f16") return pickReg<Half, S>(4);
  if (d == "bf16") return pickReg<BHalf, S>(4);
  if (d == "u8") return pickReg<uint8_t, S>(bytes);
  if (d == "s8") return pickReg<int8_t, S>(bytes);
  if (d == "u16") return pickReg<uint16_t, S>(bytes);
  if (d == "s16") return pickReg<int16_t, S>(bytes);
  if (d == "u32") return pickReg<uint32_t, S>(bytes);
  if (d == "s32") return pickReg<int32_t, S>(bytes);
  if (d == "u64") return pickReg<uint64_t, S>(8);
  if (d == "s64") return pickReg<int64_t, S>(8);
  return nullptr;
}
Exec pick(const std::string& d, const std::string& s, int bytes) {
  if (s == "f32") return pickDst<float>(d, bytes);
  if (s == "f64") return pickDst<double>(d, bytes);
  if (s == "f16") return pickDst<Half>(d, bytes);
  if (s == "bf16") return pickDst<BHalf>(d, bytes);
  if (s == "u8") return pickDst<uint8_t>(d, bytes);
  if (s == "s8") return pickDst<int8_t>(d, bytes);
  if (s == "u16") return pickDst<uint16_t>(d, bytes);
  if (s == "s16") return pickDst<int16_t>(d, bytes);
  if (s == "u32") return pickDst<uint32_t>(d, bytes);
  if (s == "s32") return pickDst<int32_t>(d, bytes);
  if (s == "u64") return pickDst<uint64_t>(d, bytes);
  if (s == "s64") return pickDst<int64_t>(d, bytes);
  return nullptr;
}

template <bool B16>
void pack2(Warp& w, const Op& o, uint32_t m) {  // d.hi = a, d.lo = b
  const uint32_t *a = slots32(w, o.a), *b = slots32(w, o.b);
  Opt p = options(o);
  Out<uint32_t> out(w, o.d, m);
  for (int i = 0; i < 32; i++) {
    double hi = clampFloat(get<float>(a[i]), p), lo = clampFloat(get<float>(b[i]), p);
    uint16_t h, l;
    if (p.mode == Near && !B16) h = floatToHalf((float)hi), l = floatToHalf((float)lo);
    else if (B16) h = p.mode == Near ? floatToBhalf((float)hi) : toBhalf(hi, p.mode), l = p.mode == Near ? floatToBhalf((float)lo) : toBhalf(lo, p.mode);
    else h = toHalf(hi, p.mode), l = toHalf(lo, p.mode);
    out.p[i] = (uint32_t)h << 16 | l;
  }
  out.close();
}
void tf32(Warp& w, const Op& o, uint32_t m) {
  const uint32_t* a = slots32(w, o.a);
  Opt p = options(o);
  Out<uint32_t> out(w, o.d, m);
  for (int i = 0; i < 32; i++) {
    uint32_t u = a[i];
    if ((u & 0x7fffffff) > 0x7f800000) u = 0x7fffffff;
    else if (p.mode == Away) u = (u + 0x1000) & ~0x1fffu;                          // ties away from zero
    else if (p.mode == Near) u = (u + 0xfff + (u >> 13 & 1)) & ~0x1fffu;
    else u &= ~0x1fffu;
    if (p.relu && u >> 31) u = 0;
    out.p[i] = u;
  }
  out.close();
}

Exec fast(const std::string& d, const std::string& s, const Op& o) {
  if (o.mode2) return nullptr;
  if (d == "s32" && s == "f32" && o.mode == Zero) return map1<int32_t, float, F2S>;
  if (d == "f32" && s == "s32" && o.mode == Near) return map1<float, int32_t, S2F>;
  if (d == "f32" && s == "f16") return map1<float, uint32_t, H2F>;
  if (d == "f16" && s == "f32" && o.mode == Near) return map1<uint32_t, float, F2H>;
  if (d == "f32" && s == "bf16") return map1<float, uint32_t, B2F>;
  if ((d == "u64" || d == "s64") && s == "u32") return map1<uint64_t, uint32_t, U2L>;
  if ((d == "u64" || d == "s64") && s == "s32") return map1<int64_t, int32_t, S2L>;
  if ((d == "u32" || d == "s32") && (s == "u64" || s == "s64")) return map1<uint32_t, uint64_t, L2U>;
  return nullptr;
}

// A source register may be wider than its type: its low bytes are taken first.
void narrowed(Warp& w, const Op& o, uint32_t m) {
  const uint64_t* from = slots64(w, o.b);
  uint32_t* to = slots32(w, o.a);
  for (int i = 0; i < 32; i++) to[i] = (uint32_t)from[i];
  Exec inner;
  memcpy(&inner, o.list, sizeof inner);
  inner(w, o, m);
}

}  // namespace

bool selectConvert(Encoder& e) {
  if (e.in.base() != "cvt") return false;
  auto& op = e.op;
  e.only({"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "ftz", "sat", "relu", "satfinite"});
  size_t n = e.in.parts.size();
  if (n < 3) e.unknown();
  const std::string &d = e.part(n - 2), &s = e.part(n - 1);
  bool integer = e.in.has("rni") || e.in.has("rzi") || e.in.has("rmi") || e.in.has("rpi");
  op.mode = e.in.has("rna") ? Away : e.in.has("rz") || e.in.has("rzi") ? Zero : e.in.has("rm") || e.in.has("rmi") ? Down : e.in.has("rp") || e.in.has("rpi") ? Up : Near;
  bool sameFloat = integer && (d[0] == 'f' || d[0] == 'b');
  op.mode2 = (uint8_t)((e.in.has("ftz") ? 1 : 0) | (e.in.has("sat") ? 2 : 0) | (e.in.has("relu") ? 4 : 0) | (sameFloat ? 16 : 0));
  if (e.in.has("satfinite")) e.unknown();
  if (d == "f16x2" || d == "bf16x2") {
    if (s != "f32") e.unknown();
    e.want(3);
    op.fn = d == "f16x2" ? pack2<false> : pack2<true>;
    op.d = e.dst(0, 4), op.a = e.fsrc(1, 4), op.b = e.fsrc(2, 4);
    return true;
  }
  e.want(2);
  if (d == "tf32") {
    if (s != "f32") e.unknown();
    op.fn = tf32;
    op.d = e.dst(0, 4), op.a = e.fsrc(1, 4);
    return true;
  }
  bool dInt = d[0] == 'u' || d[0] == 's', sInt = s[0] == 'u' || s[0] == 's';
  int sb = typeBytes(s), db = typeBytes(d);
  int reg = e.isSink(0) ? db : e.regBytes(0);
  if (reg < db || (!dInt && reg != db)) e.unknown("the destination has another size");
  Exec f = reg <= 4 || db == 8 ? fast(d, s, op) : nullptr;
  op.fn = f ? f : pick(d, s, reg);
  if (!op.fn) e.unknown();
  op.d = e.dst(0, reg == 8 ? 8 : 4);
  if (sInt && sb < 8 && e.in.args[1].kind == Operand::Reg && e.regBytes(1) == 8) {
    op.list = e.pointer((const void*)op.fn);
    op.fn = narrowed;
    op.a = e.special("narrow");
    op.b = e.src(1, 8);
    return true;
  }
  op.a = sInt ? e.src(1, sb) : e.fsrc(1, sb);
  return true;
}

}  // namespace emu
