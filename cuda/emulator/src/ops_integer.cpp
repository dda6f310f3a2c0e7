// Integer arithmetic (PTX ISA: Integer Arithmetic, Extended-Precision, dp4a/dp2a).
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

using u16 = uint16_t; using s16 = int16_t; using u32 = uint32_t; using s32 = int32_t; using u64 = uint64_t; using s64 = int64_t;

template <class T> using Wide = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, s32, u32>,
                                                   std::conditional_t<std::is_signed_v<T>, s64, u64>>;
template <class T>
T mulHi(T a, T b) {
  if constexpr (sizeof(T) == 8) {
    using W = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return (T)(((W)a * (W)b) >> 64);
  } else {
    return (T)(((Wide<T>)a * (Wide<T>)b) >> (8 * sizeof(T)));
  }
}
template <class T>
T divide(T a, T b) {
  if (b == 0) return (T)-1;  // undefined; all ones on hardware
  if constexpr (std::is_signed_v<T>)
    if (b == (T)-1) return (T)-a;
  return a / b;
}
template <class T>
T remain(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>)
    if (b == (T)-1) return 0;
  return a % b;
}
inline s32 clamp32(s64 v) { return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (s32)v; }

#define F1(name, expr) struct name { template <class T> static T f(T a) { return (T)(expr); } };
#define F2(name, expr) struct name { template <class T> static T f(T a, T b) { return (T)(expr); } };
#define F3(name, expr) struct name { template <class T> static T f(T a, T b, T c) { return (T)(expr); } };
F2(Add, a + b) F2(Sub, a - b) F2(Mul, a * b) F2(MulHi, mulHi<T>(a, b)) F2(Div, divide<T>(a, b)) F2(Rem, remain<T>(a, b))
F2(Min, a < b ? a : b) F2(Max, a > b ? a : b)
F1(Neg, -a) F1(Abs, a < 0 ? -a : a)
F3(Mad, a * b + c) F3(MadHi, mulHi<T>(a, b) + c) F3(Sad, c + (a < b ? b - a : a - b))
struct AddSat { static s32 f(s32 a, s32 b) { return clamp32((s64)a + b); } };
struct SubSat { static s32 f(s32 a, s32 b) { return clamp32((s64)a - b); } };
struct MadHiSat { static s32 f(s32 a, s32 b, s32 c) { return clamp32((((s64)a * b) >> 32) + c); } };
template <class T> struct MulWide { static Wide<T> f(T a, T b) { return (Wide<T>)a * (Wide<T>)b; } };
template <class T> struct MadWide { static Wide<T> f(T a, T b, Wide<T> c) { return (Wide<T>)a * (Wide<T>)b + c; } };
template <class T> T mul24(T a, T b, bool hi) {
  s64 x = std::is_signed_v<T> ? (s64)((s32)((u32)a << 8) >> 8) : (s64)((u32)a & 0xffffff);
  s64 y = std::is_signed_v<T> ? (s64)((s32)((u32)b << 8) >> 8) : (s64)((u32)b & 0xffffff);
  return (T)(hi ? (x * y) >> 16 : x * y);
}
F2(Mul24, mul24<T>(a, b, false)) F2(Mul24Hi, mul24<T>(a, b, true))
F3(Mad24, mul24<T>(a, b, false) + c) F3(Mad24Hi, mul24<T>(a, b, true) + c)
template <class A, class B, class C> struct Dp4a {
  static C f(u32 a, u32 b, C c) {
    for (int k = 0; k < 4; k++) c += (C)((C)(A)(a >> (8 * k)) * (C)(B)(b >> (8 * k)));
    return c;
  }
};
template <class A, class B, class C, int Hi> struct Dp2a {
  static C f(u32 a, u32 b, C c) {
    using A16 = std::conditional_t<std::is_signed_v<A>, s16, u16>;
    for (int k = 0; k < 2; k++) c += (C)((C)(A16)(a >> (16 * k)) * (C)(B)(b >> (8 * (k + 2 * Hi))));
    return c;
  }
};

template <class F> Exec pick1(const std::string& t) {
  if (t == "s16") return map1<s16, s16, F>;
  if (t == "s32") return map1<s32, s32, F>;
  if (t == "s64") return map1<s64, s64, F>;
  return nullptr;
}
template <class F> Exec pick2(const std::string& t) {
  if (t == "s16") return map2<s16, s16, s16, F>;
  if (t == "u16" || t == "b16") return map2<u16, u16, u16, F>;
  if (t == "s32") return map2<s32, s32, s32, F>;
  if (t == "u32" || t == "b32") return map2<u32, u32, u32, F>;
  if (t == "s64") return map2<s64, s64, s64, F>;
  if (t == "u64" || t == "b64") return map2<u64, u64, u64, F>;
  return nullptr;
}
template <class F> Exec pick3(const std::string& t) {
  if (t == "s16") return map3<s16, s16, s16, s16, F>;
  if (t == "u16") return map3<u16, u16, u16, u16, F>;
  if (t == "s32") return map3<s32, s32, s32, s32, F>;
  if (t == "u32") return map3<u32, u32, u32, u32, F>;
  if (t == "s64") return map3<s64, s64, s64, s64, F>;
  if (t == "u64") return map3<u64, u64, u64, u64, F>;
  return nullptr;
}

// The carry of add.cc and its kin lives in the warp's register carryAt (one word a lane).
template <class T, bool In, bool OutCc, int Kind>  // Kind 0 add, 1 sub, 2 mad.lo, 3 mad.hi
void carry(Warp& w, const Op& o, uint32_t m) {
  const Slot<T>*a = slots<T>(w, o.a), *b = slots<T>(w, o.b), *c = slots<T>(w, o.c);
  Slot<T>* d = slots<T>(w, o.d);
  uint32_t* cc = slots32(w, (int32_t)o.imm);
  EMU_LANES(m) {
    using W = std::conditional_t<sizeof(T) == 8, unsigned __int128, u64>;
    using U = std::make_unsigned_t<T>;
    W x = (U)a[i], y = (U)b[i];
    if (Kind == 2) x = (U)((T)a[i] * (T)b[i]), y = (U)c[i];
    if (Kind == 3) x = (U)mulHi<T>((T)a[i], (T)b[i]), y = (U)c[i];
    W r = Kind == 1 ? x - y - (In ? cc[i] & 1 : 0) : x + y + (In ? cc[i] & 1 : 0);
    d[i] = (Slot<T>)(U)r;
    if (OutCc) cc[i] = (uint32_t)(r >> (8 * sizeof(T))) & 1;
  }
}

template <class T, int Kind>
Exec pickCarry(bool in, bool out) {
  return in ? out ? carry<T, true, true, Kind> : carry<T, true, false, Kind> : out ? carry<T, false, true, Kind> : carry<T, false, false, Kind>;
}

bool extended(Encoder& e, const std::string& b) {
  bool in = b == "addc" || b == "subc" || b == "madc", out = e.in.has("cc");
  if (!in && !out) return false;
  const std::string& t = e.type();
  bool mad = b[0] == 'm', hi = e.in.has("hi"), big = t == "u64" || t == "s64" || t == "b64";
  e.only({"cc", "lo", "hi"});
  int n = big ? 8 : 4;
  auto kind = [&](auto zero) {
    using T = decltype(zero);
    return mad ? hi ? pickCarry<T, 3>(in, out) : pickCarry<T, 2>(in, out) : b[0] == 's' ? pickCarry<T, 1>(in, out) : pickCarry<T, 0>(in, out);
  };
  e.op.fn = t == "s32" ? kind(s32()) : big ? t == "s64" ? kind(s64()) : kind(u64()) : kind(u32());
  e.op.d = e.dst(0, n), e.op.a = e.src(1, n), e.op.b = e.src(2, n);
  e.op.c = mad ? e.src(3, n) : e.op.a;
  e.op.imm = e.special("carry");
  return true;
}

bool multiply(Encoder& e) {
  const std::string &b = e.in.base(), &t = e.type();
  bool mad = b == "mad" || b == "mad24", wide = e.in.has("wide"), hi = e.in.has("hi");
  int n = typeBytes(t);
  if (n == 0 || t[0] == 'f' || t[0] == 'b') return false;
  e.only({"wide", "hi", "lo", "sat"});
  e.want(mad ? 4 : 3);
  int dn = wide ? 2 * n : n;
  auto& op = e.op;
  if (b == "mul24") op.fn = hi ? t == "s32" ? map2<s32, s32, s32, Mul24Hi> : map2<u32, u32, u32, Mul24Hi> : t == "s32" ? map2<s32, s32, s32, Mul24> : map2<u32, u32, u32, Mul24>;
  else if (b == "mad24") op.fn = hi ? t == "s32" ? map3<s32, s32, s32, s32, Mad24Hi> : map3<u32, u32, u32, u32, Mad24Hi> : t == "s32" ? map3<s32, s32, s32, s32, Mad24> : map3<u32, u32, u32, u32, Mad24>;
  else if (wide && !mad)
    op.fn = t == "u16" ? map2<u32, u16, u16, MulWide<u16>> : t == "s16" ? map2<s32, s16, s16, MulWide<s16>> : t == "u32" ? map2<u64, u32, u32, MulWide<u32>> : t == "s32" ? map2<s64, s32, s32, MulWide<s32>> : nullptr;
  else if (wide)
    op.fn = t == "u16" ? map3<u32, u16, u16, u32, MadWide<u16>> : t == "s16" ? map3<s32, s16, s16, s32, MadWide<s16>> : t == "u32" ? map3<u64, u32, u32, u64, MadWide<u32>> : t == "s32" ? map3<s64, s32, s32, s64, MadWide<s32>> : nullptr;
  else if (mad && hi && e.in.has("sat")) op.fn = t == "s32" ? map3<s32, s32, s32, s32, MadHiSat> : nullptr;
  else if (mad) op.fn = hi ? pick3<MadHi>(t) : pick3<Mad>(t);
  else op.fn = hi ? pick2<MulHi>(t) : pick2<Mul>(t);
  if (!op.fn) e.unknown();
  op.d = e.dst(0, dn), op.a = e.src(1, n), op.b = e.src(2, n);
  if (mad) op.c = e.src(3, dn);
  return true;
}

bool dots(Encoder& e) {
  const std::string& b = e.in.base();
  bool two = b == "dp2a", hi = e.in.has("hi");
  e.only({"lo", "hi"});
  e.want(4);
  size_t first = two ? 2 : 1;  // dp2a.mode.atype.btype
  bool as = e.part(first) == "s32", bs = e.part(first + 1) == "s32";
  auto& op = e.op;
#define DOT(A, B, C) op.fn = two ? hi ? map3<C, u32, u32, C, Dp2a<A, B, C, 1>> : map3<C, u32, u32, C, Dp2a<A, B, C, 0>> : map3<C, u32, u32, C, Dp4a<A, B, C>>
  if (as && bs) DOT(int8_t, int8_t, s32);
  else if (as) DOT(int8_t, uint8_t, s32);
  else if (bs) DOT(uint8_t, int8_t, s32);
  else DOT(uint8_t, uint8_t, u32);
#undef DOT
  op.d = e.dst(0, 4), op.a = e.src(1, 4), op.b = e.src(2, 4), op.c = e.src(3, 4);
  return true;
}

}  // namespace

bool selectInteger(Encoder& e) {
  const std::string &b = e.in.base(), &t = e.type();
  auto& op = e.op;
  if (b == "dp4a" || b == "dp2a") return dots(e);
  if (b == "add" || b == "sub" || b == "addc" || b == "subc" || b == "madc" || b == "mad")
    if (extended(e, b)) return true;
  if (b == "mul" || b == "mad" || b == "mul24" || b == "mad24") return multiply(e);
  int n = typeBytes(t);
  if (n == 0 || t[0] == 'f' || t[0] == 'b') return false;
  if (b == "add" && e.in.has("sat")) op.fn = t == "s32" ? map2<s32, s32, s32, AddSat> : nullptr;
  else if (b == "sub" && e.in.has("sat")) op.fn = t == "s32" ? map2<s32, s32, s32, SubSat> : nullptr;
  else if (b == "add") op.fn = pick2<Add>(t);
  else if (b == "sub") op.fn = pick2<Sub>(t);
  else if (b == "div") op.fn = pick2<Div>(t);
  else if (b == "rem") op.fn = pick2<Rem>(t);
  else if (b == "min") op.fn = pick2<Min>(t);
  else if (b == "max") op.fn = pick2<Max>(t);
  else if (b == "sad") op.fn = pick3<Sad>(t);
  else if (b == "neg") op.fn = pick1<Neg>(t);
  else if (b == "abs") op.fn = pick1<Abs>(t);
  else return false;
  if (!op.fn) e.unknown();
  e.only({"sat"});
  bool one = b == "neg" || b == "abs", three = b == "sad";
  e.want(one ? 2 : three ? 4 : 3);
  op.d = e.dst(0, n), op.a = e.src(1, n);
  if (!one) op.b = e.src(2, n);
  if (three) op.c = e.src(3, n);
  return true;
}

}  // namespace emu
