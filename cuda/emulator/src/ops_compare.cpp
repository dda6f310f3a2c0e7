// setp, set, selp, slct (PTX ISA: Comparison and Selection). f16 compares as float.
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

enum Cmp : int { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan, Count };
const char* names[Count] = {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

inline float val(Half h) { return halfToFloat(h.bits); }
inline float val(BHalf h) { return bhalfToFloat(h.bits); }
template <class T> inline T val(T v) { return v; }

template <int C>
struct Is {
  template <class T> static bool f(T x, T y) {
    auto a = val(x), b = val(y);
    bool un = a != a || b != b;
    switch (C) {
      case Eq: return a == b;
      case Ne: return a < b || a > b;
      case Lt: return a < b;
      case Le: return a <= b;
      case Gt: return a > b;
      case Ge: return a >= b;
      case Equ: return a == b || un;
      case Neu: return a != b;
      case Ltu: return a < b || un;
      case Leu: return a <= b || un;
      case Gtu: return a > b || un;
      case Geu: return a >= b || un;
      case Num: return !un;
      default: return un;
    }
  }
};

using Compare = uint32_t (*)(const void*, const void*);
template <class T, int C> uint32_t compareAs(const void* a, const void* b) { return compare<T, Is<C>>((const Slot<T>*)a, (const Slot<T>*)b); }
template <class T> Compare byOp(int c) {
  static const Compare table[Count] = {compareAs<T, 0>, compareAs<T, 1>, compareAs<T, 2>, compareAs<T, 3>, compareAs<T, 4>, compareAs<T, 5>, compareAs<T, 6>,
                                       compareAs<T, 7>, compareAs<T, 8>, compareAs<T, 9>, compareAs<T, 10>, compareAs<T, 11>, compareAs<T, 12>, compareAs<T, 13>};
  return table[c];
}
Compare find(const std::string& t, int c) {
  if (t == "f32") return byOp<float>(c);
  if (t == "f64") return byOp<double>(c);
  if (t == "f16" || t == "f16x2") return byOp<Half>(c);
  if (t == "bf16" || t == "bf16x2") return byOp<BHalf>(c);
  bool s = t[0] == 's';
  switch (typeBytes(t)) {
    case 2: return s ? byOp<int16_t>(c) : byOp<uint16_t>(c);
    case 4: return s ? byOp<int32_t>(c) : byOp<uint32_t>(c);
    case 8: return s ? byOp<int64_t>(c) : byOp<uint64_t>(c);
  }
  return nullptr;
}

// Compared holds what setp and set need; it lives in op.list as two words.
Compare comparer(const Op& o) {
  Compare f;
  memcpy(&f, o.list, sizeof f);
  return f;
}
uint32_t combine(const Warp& w, const Op& o, uint32_t r) {
  if (o.mode == 0) return r;
  uint32_t c = predicate(w, o.c);
  return o.mode == 1 ? r & c : o.mode == 2 ? r | c : r ^ c;
}
void flushed(const uint32_t* from, uint32_t* to) {
  for (int i = 0; i < 32; i++) to[i] = put<float>(flush(get<float>(from[i])));
}
uint32_t result(Warp& w, const Op& o, int half) {
  const void *a = slots32(w, o.a), *b = slots32(w, o.b);
  alignas(64) uint32_t x[32], y[32];
  if (o.mode2 == 1) {
    flushed((const uint32_t*)a, x), flushed((const uint32_t*)b, y);
    a = x, b = y;
  } else if (half) {
    for (int i = 0; i < 32; i++) x[i] = ((const uint32_t*)a)[i] >> 16, y[i] = ((const uint32_t*)b)[i] >> 16;
    a = x, b = y;
  }
  return comparer(o)(a, b);
}
void setp(Warp& w, const Op& o, uint32_t m) {
  uint32_t r = result(w, o, 0);
  if (o.mode2 == 2) {  // f16x2: p for the low half, q for the high
    uint32_t hi = combine(w, o, result(w, o, 1)), lo = combine(w, o, r);
    setPredicate(w, o.p, lo, m);
    if (o.q) setPredicate(w, o.q, hi, m);
    return;
  }
  uint32_t p = combine(w, o, r), q = o.q ? combine(w, o, ~r) : 0;
  setPredicate(w, o.p, p, m);
  if (o.q) setPredicate(w, o.q, q, m);
}
void set(Warp& w, const Op& o, uint32_t m) {
  uint32_t r = combine(w, o, result(w, o, 0)), hi = o.mode2 == 2 ? combine(w, o, result(w, o, 1)) : 0;
  uint32_t yes = (uint32_t)o.imm, * d = slots32(w, o.d);
  EMU_LANES(m) {
    uint32_t v = r >> i & 1 ? yes : 0;
    d[i] = o.mode2 == 2 ? (v & 0xffff) | (hi >> i & 1 ? yes << 16 : 0) : v;
  }
}

template <class T> void selp(Warp& w, const Op& o, uint32_t m) {
  uint32_t c = predicate(w, o.p);
  Out<T> out(w, o.d, m);
  const Slot<T>*a = slots<T>(w, o.a), *b = slots<T>(w, o.b);
  if (c == ~0u) memcpy(out.p, a, 32 * sizeof(Slot<T>));
  else {
    alignas(64) Slot<T> t[32];
    memcpy(t, b, sizeof t);
    blend(t, a, c);
    memcpy(out.p, t, sizeof t);
  }
  out.close();
}
template <class T, class C> void slct(Warp& w, const Op& o, uint32_t m) {
  const Slot<T>*a = slots<T>(w, o.a), *b = slots<T>(w, o.b);
  const uint32_t* c = slots32(w, o.c);
  Out<T> out(w, o.d, m);
  for (int i = 0; i < 32; i++) out.p[i] = get<C>(c[i]) >= 0 ? a[i] : b[i];
  out.close();
}

void keep(Encoder& e, Compare f) { e.op.list = e.pointer((const void*)f); }

// comparison parses .cmp[.bool][.ftz].type; setp and set share it.
void comparison(Encoder& e, const std::string& t, size_t a) {
  auto& op = e.op;
  static const std::pair<const char*, int> unsignedNames[] = {{"lo", Lt}, {"ls", Le}, {"hi", Gt}, {"hs", Ge}};
  int c = -1;
  for (int i = 0; i < Count; i++)
    if (e.part(1) == names[i]) c = i;
  for (auto& u : unsignedNames)
    if (e.part(1) == u.first) c = u.second;
  if (c < 0) e.unknown();
  Compare f = find(t, c);
  if (!f) e.unknown();
  keep(e, f);
  op.mode = e.in.has("and") ? 1 : e.in.has("or") ? 2 : e.in.has("xor") ? 3 : 0;
  op.mode2 = t == "f16x2" || t == "bf16x2" ? 2 : t == "f32" && e.in.has("ftz") ? 1 : 0;
  int n = typeBytes(t);
  bool fl = t == "f32" || t == "f64";
  op.a = e.src(e.in.args[a], n, fl), op.b = e.src(e.in.args[a + 1], n, fl);
  if (op.mode) op.c = e.pred(a + 2);
}

}  // namespace

bool selectCompare(Encoder& e) {
  const std::string& b = e.in.base();
  auto& op = e.op;
  if (b == "setp") {
    if (e.count() < 3) e.unknown();
    comparison(e, e.type(), 1);
    if (op.mode) e.want(4); else e.want(3);
    op.p = e.pred(0), op.q = e.pred2(0);
    op.fn = setp;
    return true;
  }
  if (b == "set") {
    if (e.in.parts.size() < 4 || e.count() < 3) e.unknown();
    const std::string& dt = e.part(e.in.parts.size() - 2);
    comparison(e, e.type(), 1);
    op.imm = dt == "f32" ? 0x3f800000 : dt == "f16" || dt == "f16x2" ? 0x3c00 : dt == "bf16" || dt == "bf16x2" ? 0x3f80 : dt == "u16" || dt == "s16" || op.mode2 == 2 ? 0xffff : 0xffffffff;
    op.d = e.dst(0, typeBytes(dt));
    op.fn = set;
    return true;
  }
  if (b == "selp") {
    e.want(4);
    int n = typeBytes(e.type());
    bool fl = e.type()[0] == 'f' && n >= 4;
    op.d = e.dst(0, n), op.a = e.src(e.in.args[1], n, fl), op.b = e.src(e.in.args[2], n, fl), op.p = e.pred(3);
    op.fn = n == 8 ? selp<uint64_t> : selp<uint32_t>;
    return true;
  }
  if (b == "slct") {
    e.want(4);
    const std::string& t = e.part(e.in.parts.size() - 2);
    int n = typeBytes(t);
    bool f = e.type() == "f32";
    op.d = e.dst(0, n), op.a = e.src(1, n), op.b = e.src(2, n), op.c = e.src(3, 4);
    op.fn = n == 8 ? f ? slct<uint64_t, float> : slct<uint64_t, int32_t> : f ? slct<uint32_t, float> : slct<uint32_t, int32_t>;
    return true;
  }
  return false;
}

}  // namespace emu
