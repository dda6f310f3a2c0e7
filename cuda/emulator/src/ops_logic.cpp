// Logic, shifts, bit fields, byte permutation (PTX ISA: Logic and Shift, Integer bit operations).
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

using u16 = uint16_t; using s16 = int16_t; using u32 = uint32_t; using s32 = int32_t; using u64 = uint64_t; using s64 = int64_t;

#define F1(name, expr) struct name { template <class T> static T f(T a) { return (T)(expr); } };
#define F2(name, expr) struct name { template <class T> static T f(T a, T b) { return (T)(expr); } };
F2(And, a & b) F2(Or, a | b) F2(Xor, a ^ b) F1(Not, ~a) F1(Cnot, a == 0)
struct Shl { template <class T> static T f(T a, u32 b) { return b >= 8 * sizeof(T) ? 0 : (T)(a << b); } };
struct Shr { template <class T> static T f(T a, u32 b) { return b >= 8 * sizeof(T) ? (std::is_signed_v<T> && a < 0 ? (T)-1 : 0) : (T)(a >> b); } };
struct Popc { template <class T> static u32 f(T a) { return (u32)__builtin_popcountll((u64)a); } };
struct Clz32 { static u32 f(u32 a) { return a ? (u32)__builtin_clz(a) : 32; } };
struct Clz64 { static u32 f(u64 a) { return a ? (u32)__builtin_clzll(a) : 64; } };
struct Brev32 {
  static u32 f(u32 a) {
    a = (a >> 1 & 0x55555555) | (a & 0x55555555) << 1;
    a = (a >> 2 & 0x33333333) | (a & 0x33333333) << 2;
    a = (a >> 4 & 0x0f0f0f0f) | (a & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(a);
  }
};
struct Brev64 { static u64 f(u64 a) { return (u64)Brev32::f((u32)a) << 32 | Brev32::f((u32)(a >> 32)); } };

template <class T> u32 bfind(T a, bool amount) {
  u64 v = std::is_signed_v<T> && a < 0 ? (u64)(std::make_unsigned_t<T>)~a : (u64)(std::make_unsigned_t<T>)a;
  if (v == 0) return ~0u;
  u32 top = 63 - (u32)__builtin_clzll(v);
  return amount ? (u32)(8 * sizeof(T) - 1) - top : top;
}
template <class T> struct Bfind { static u32 f(T a) { return bfind(a, false); } };
template <class T> struct BfindShift { static u32 f(T a) { return bfind(a, true); } };

struct Bfe {
  template <class T> static T f(T a, u32 pos, u32 len) {
    pos &= 255, len &= 255;
    const u32 msb = 8 * sizeof(T) - 1;
    bool sign = false;
    if (std::is_signed_v<T> && len) sign = (u64)a >> std::min(pos + len - 1, msb) & 1;
    std::make_unsigned_t<T> d = sign ? ~std::make_unsigned_t<T>(0) : 0, u = (std::make_unsigned_t<T>)a;
    if (len == 0) return 0;
    if (pos > msb) return (T)d;
    u32 n = std::min(len, msb + 1 - pos);
    std::make_unsigned_t<T> mask = n > msb ? ~std::make_unsigned_t<T>(0) : ((std::make_unsigned_t<T>(1) << n) - 1);
    return (T)((d & ~mask) | (u >> pos & mask));
  }
};
template <class T> T bfi(T a, T b, u32 pos, u32 len) {
  pos &= 255, len &= 255;
  const u32 width = 8 * sizeof(T);
  if (pos >= width || len == 0) return b;
  T mask = (len >= width ? ~T(0) : ((T(1) << len) - 1)) << pos;
  return (b & ~mask) | (a << pos & mask);
}
template <class T> void bfiOp(Warp& w, const Op& o, uint32_t m) {
  const Slot<T>*a = slots<T>(w, o.a), *b = slots<T>(w, o.b);
  const u32 *pos = slots32(w, o.c), *len = slots32(w, (int32_t)o.imm);
  Out<T> out(w, o.d, m);
  for (int i = 0; i < 32; i++) out.p[i] = bfi<T>(a[i], b[i], pos[i], len[i]);
  out.close();
}
struct BmskClamp { static u32 f(u32 a, u32 b) { return a > 31 || b == 0 ? 0 : (b >= 32 ? ~0u : (1u << b) - 1) << a; } };
struct BmskWrap { static u32 f(u32 a, u32 b) { a &= 31, b &= 31; return ((1u << b) - 1) << a; } };

u32 prmt(u32 a, u32 b, u32 sel, int mode) {
  u64 v = (u64)b << 32 | a;
  u32 d = 0, s = sel & 3;
  for (u32 k = 0; k < 4; k++) {
    u32 n = mode == 0 ? sel >> (4 * k) & 15 : 0;
    switch (mode) {
      case 1: n = s + k; break;                          // f4e
      case 2: n = (s + 8 - k) & 7; break;                // b4e
      case 3: n = s; break;                              // rc8
      case 4: n = k < s ? s : k; break;                  // ecl
      case 5: n = k < s ? k : s; break;                  // ecr
      case 6: n = (s & 1) * 2 + (k & 1); break;          // rc16
    }
    u32 byte = (u32)(v >> (8 * (n & 7))) & 255;
    if (n & 8) byte = byte & 128 ? 255 : 0;
    d |= byte << (8 * k);
  }
  return d;
}
void prmtOp(Warp& w, const Op& o, uint32_t m) {
  const u32 *a = slots32(w, o.a), *b = slots32(w, o.b), *c = slots32(w, o.c);
  Out<u32> out(w, o.d, m);
  for (int i = 0; i < 32; i++) out.p[i] = prmt(a[i], b[i], c[i], o.mode);
  out.close();
}

template <bool Left, bool Clamp> struct Shf {
  static u32 f(u32 a, u32 b, u32 c) {
    u32 n = Clamp ? std::min(c, 32u) : c & 31;
    u64 v = (u64)b << 32 | a;
    return Left ? (u32)(v << n >> 32) : (u32)(v >> n);
  }
};

void lop3(Warp& w, const Op& o, uint32_t m) {
  const u32 *a = slots32(w, o.a), *b = slots32(w, o.b), *c = slots32(w, o.c);
  Out<u32> out(w, o.d, m);
  u32* d = out.p;
  u32 k[8];
  for (int j = 0; j < 8; j++) k[j] = o.imm >> j & 1 ? ~0u : 0;
#pragma GCC ivdep
  for (int i = 0; i < 32; i++) {
    u32 x = a[i], y = b[i], z = c[i];
    u32 lo = (~y & ((~z & k[0]) | (z & k[1]))) | (y & ((~z & k[2]) | (z & k[3])));
    u32 hi = (~y & ((~z & k[4]) | (z & k[5]))) | (y & ((~z & k[6]) | (z & k[7])));
    d[i] = (~x & lo) | (x & hi);
  }
  if (o.p) {
    u32 t[32], r = 0;
    for (int i = 0; i < 32; i++) t[i] = d[i];
    for (int i = 0; i < 32; i++) r |= (u32)(t[i] != 0) << i;
    u32 q = predicate(w, o.q);
    out.close();
    setPredicate(w, o.p, o.mode ? r | q : r & q, m);
    return;
  }
  out.close();
}

template <int Kind> void predOp(Warp& w, const Op& o, uint32_t m) {
  u32 a = predicate(w, o.a), b = Kind == 3 ? 0 : predicate(w, o.b);
  setPredicate(w, o.p, Kind == 0 ? a & b : Kind == 1 ? a | b : Kind == 2 ? a ^ b : ~a, m);
}

template <class F> Exec size2(int n) { return n == 2 ? map2<u16, u16, u16, F> : n == 4 ? map2<u32, u32, u32, F> : n == 8 ? map2<u64, u64, u64, F> : nullptr; }
template <class F> Exec size1(int n) { return n == 2 ? map1<u16, u16, F> : n == 4 ? map1<u32, u32, F> : n == 8 ? map1<u64, u64, F> : nullptr; }

bool logic(Encoder& e, const std::string& b) {
  auto& op = e.op;
  bool one = b == "not" || b == "cnot";
  e.only({"pred"});
  e.want(one ? 2 : 3);
  if (e.type() == "pred") {
    op.p = e.pred(0), op.a = e.pred(1);
    if (!one) op.b = e.pred(2);
    op.fn = b == "and" ? predOp<0> : b == "or" ? predOp<1> : b == "xor" ? predOp<2> : predOp<3>;
    return true;
  }
  int n = typeBytes(e.type());
  op.fn = b == "and" ? size2<And>(n) : b == "or" ? size2<Or>(n) : b == "xor" ? size2<Xor>(n) : b == "not" ? size1<Not>(n) : size1<Cnot>(n);
  if (!op.fn) e.unknown();
  op.d = e.dst(0, n), op.a = e.src(1, n);
  if (!one) op.b = e.src(2, n);
  return true;
}

bool shift(Encoder& e, const std::string& b) {
  auto& op = e.op;
  const std::string& t = e.type();
  int n = typeBytes(t);
  e.only({});
  e.want(3);
  bool s = t[0] == 's';
  if (b == "shl") op.fn = n == 2 ? map2<u16, u16, u32, Shl> : n == 4 ? map2<u32, u32, u32, Shl> : map2<u64, u64, u32, Shl>;
  else if (s) op.fn = n == 2 ? map2<s16, s16, u32, Shr> : n == 4 ? map2<s32, s32, u32, Shr> : map2<s64, s64, u32, Shr>;
  else op.fn = n == 2 ? map2<u16, u16, u32, Shr> : n == 4 ? map2<u32, u32, u32, Shr> : map2<u64, u64, u32, Shr>;
  op.d = e.dst(0, n), op.a = e.src(1, n), op.b = e.src(2, 4);
  return true;
}

bool field(Encoder& e, const std::string& b) {
  auto& op = e.op;
  const std::string& t = e.type();
  int n = typeBytes(t);
  bool big = n == 8, s = t[0] == 's';
  if (b == "popc") op.fn = big ? map1<u32, u64, Popc> : map1<u32, u32, Popc>;
  else if (b == "clz") op.fn = big ? map1<u32, u64, Clz64> : map1<u32, u32, Clz32>;
  else if (b == "brev") op.fn = big ? map1<u64, u64, Brev64> : map1<u32, u32, Brev32>;
  else if (b == "bfind" && e.in.has("shiftamt")) op.fn = big ? s ? map1<u32, s64, BfindShift<s64>> : map1<u32, u64, BfindShift<u64>> : s ? map1<u32, s32, BfindShift<s32>> : map1<u32, u32, BfindShift<u32>>;
  else if (b == "bfind") op.fn = big ? s ? map1<u32, s64, Bfind<s64>> : map1<u32, u64, Bfind<u64>> : s ? map1<u32, s32, Bfind<s32>> : map1<u32, u32, Bfind<u32>>;
  else if (b == "bfe") op.fn = big ? s ? map3<s64, s64, u32, u32, Bfe> : map3<u64, u64, u32, u32, Bfe> : s ? map3<s32, s32, u32, u32, Bfe> : map3<u32, u32, u32, u32, Bfe>;
  else if (b == "bfi") op.fn = big ? bfiOp<u64> : bfiOp<u32>;
  else if (b == "bmsk") op.fn = e.in.has("clamp") ? map2<u32, u32, u32, BmskClamp> : map2<u32, u32, u32, BmskWrap>;
  else return false;
  e.only({"shiftamt", "clamp", "wrap"});
  op.d = e.dst(0, b == "brev" || b == "bfe" || b == "bfi" ? n : 4), op.a = e.src(1, n);
  if (b == "bfe") op.b = e.src(2, 4), op.c = e.src(3, 4);
  if (b == "bmsk") op.b = e.src(2, 4);
  if (b == "bfi") op.b = e.src(2, n), op.c = e.src(3, 4), op.imm = e.src(4, 4);
  return true;
}

}  // namespace

bool selectLogic(Encoder& e) {
  const std::string& b = e.in.base();
  auto& op = e.op;
  if (b == "and" || b == "or" || b == "xor" || b == "not" || b == "cnot") return logic(e, b);
  if (b == "shl" || b == "shr") return shift(e, b);
  if (b == "shf") {
    e.only({"l", "r", "clamp", "wrap"});
    bool l = e.in.has("l"), c = e.in.has("clamp");
    op.fn = l ? c ? map3<u32, u32, u32, u32, Shf<true, true>> : map3<u32, u32, u32, u32, Shf<true, false>>
              : c ? map3<u32, u32, u32, u32, Shf<false, true>> : map3<u32, u32, u32, u32, Shf<false, false>>;
    op.d = e.dst(0, 4), op.a = e.src(1, 4), op.b = e.src(2, 4), op.c = e.src(3, 4);
    return true;
  }
  if (b == "prmt") {
    static const char* modes[] = {"", "f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
    for (int i = 1; i < 7; i++)
      if (e.in.has(modes[i])) op.mode = (uint8_t)i;
    op.fn = prmtOp;
    op.d = e.dst(0, 4), op.a = e.src(1, 4), op.b = e.src(2, 4), op.c = e.src(3, 4);
    return true;
  }
  if (b == "lop3") {
    e.only({"or", "and"});
    size_t want = e.in.has("or") || e.in.has("and") ? 6 : 5;
    e.want(want);
    op.fn = lop3;
    op.d = e.dst(0, 4), op.a = e.src(1, 4), op.b = e.src(2, 4), op.c = e.src(3, 4);
    if (e.in.args[4].kind != Operand::Imm) e.unknown("the table must be a constant");
    op.imm = (int64_t)e.in.args[4].imm;
    if (want == 6) op.p = e.pred2(0), op.q = e.pred(5), op.mode = e.in.has("or");
    return true;
  }
  return field(e, b);
}

}  // namespace emu
