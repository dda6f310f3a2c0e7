// f16, bf16 and their pairs. A result is computed in float (or double for fma) and rounded
// once: float holds more than twice a half's digits, so that is exact.
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

struct F16 {
  static float load(uint16_t h) { return halfToFloat(h); }
  static uint16_t store(float f) { return floatToHalf(f); }
  static uint16_t fma(float a, float b, float c) {
    // 53 bits hold the sum exactly whenever its last bit matters to a half.
    double r = (double)a * (double)b + (double)c;
    return roundDouble(r);
  }
  static uint16_t roundDouble(double r) {
    float f = (float)r;
    if ((double)f != r && r == r && !std::isinf(f)) {  // round to odd, so that the second rounding is exact
      uint32_t u = __builtin_bit_cast(uint32_t, f);
      if (!(u & 1)) u += ((double)f < r) == (r > 0) ? 1 : -1;
      f = __builtin_bit_cast(float, u);
    }
    return floatToHalf(f);
  }
};
struct B16 {
  static float load(uint16_t h) { return bhalfToFloat(h); }
  static uint16_t store(float f) { return floatToBhalf(f); }
  static uint16_t fma(float a, float b, float c) {
    // The product is exact in float's range of double; the sum is rounded to odd.
    double p = (double)a * (double)b, s = p + (double)c, t = s - p, err = (p - (s - t)) + ((double)c - t);
    uint64_t u = __builtin_bit_cast(uint64_t, s);
    if (err != 0 && err == err && !std::isinf(s) && !(u & 1)) s = __builtin_bit_cast(double, u + ((err > 0) == (s > 0) ? 1 : -1));
    float f = (float)s;
    if ((double)f != s && s == s && !std::isinf(f)) {
      uint32_t v = __builtin_bit_cast(uint32_t, f);
      if (!(v & 1)) v += ((double)f < s) == (s > 0) ? 1 : -1;
      f = __builtin_bit_cast(float, v);
    }
    return floatToBhalf(f);
  }
};

enum Kind : uint8_t { Add, Sub, Mul, FmaK, Neg, Abs, Min, Max, MinNan, MaxNan, Ex2, Tanh };

template <class H> inline uint16_t clampSat(uint16_t v, const Op& o) {
  float f = H::load(v);
  if (o.mode2 & 1) v = H::store(f > 0 ? f < 1 ? f : 1 : 0);
  if (o.mode2 & 2) v = f != f ? 0x7fff : f > 0 ? v : 0;
  return v;
}
inline uint16_t ftz(uint16_t v, bool on) { return on && (v & 0x7c00) == 0 ? v & 0x8000 : v; }

template <class H, int K>
inline uint16_t one(uint16_t a, uint16_t b, uint16_t c, const Op& o) {
  if (K == Neg) return a ^ 0x8000;
  if (K == Abs) return a & 0x7fff;
  bool z = o.mode2 & 4;
  if (z) a = ftz(a, true), b = ftz(b, true), c = ftz(c, true);
  float x = H::load(a), y = H::load(b);
  uint16_t r = 0;
  switch (K) {
    case Add: r = H::store(x + y); break;
    case Sub: r = H::store(x - y); break;
    case Mul: r = H::store(x * y); break;
    case FmaK: r = H::fma(x, y, H::load(c)); break;
    case Min: r = x != x ? y != y ? 0x7fff : b : y != y ? a : x < y || (x == y && a >> 15) ? a : b; break;
    case Max: r = x != x ? y != y ? 0x7fff : b : y != y ? a : x > y || (x == y && b >> 15) ? a : b; break;
    case MinNan: r = x != x || y != y ? 0x7fff : x < y || (x == y && a >> 15) ? a : b; break;
    case MaxNan: r = x != x || y != y ? 0x7fff : x > y || (x == y && b >> 15) ? a : b; break;
    case Ex2: r = H::store((float)std::exp2((double)x)); break;
    case Tanh: r = H::store((float)std::tanh((double)x)); break;
  }
  if (K < Neg) r = clampSat<H>(r, o);
  return z ? ftz(r, true) : r;
}

template <class H, int K, bool Pair>
void half(Warp& w, const Op& o, uint32_t m) {
  const uint32_t *a = slots32(w, o.a), *b = slots32(w, o.b), *c = slots32(w, o.c);
  Out<uint32_t> out(w, o.d, m);
  for (int i = 0; i < 32; i++) {
    uint32_t r = one<H, K>((uint16_t)a[i], (uint16_t)b[i], (uint16_t)c[i], o);
    if (Pair) r |= (uint32_t)one<H, K>((uint16_t)(a[i] >> 16), (uint16_t)(b[i] >> 16), (uint16_t)(c[i] >> 16), o) << 16;
    out.p[i] = r;
  }
  out.close();
}

template <int K> Exec pick(bool bf, bool pair) {
  return bf ? pair ? half<B16, K, true> : half<B16, K, false> : pair ? half<F16, K, true> : half<F16, K, false>;
}

}  // namespace

bool selectHalf(Encoder& e) {
  const std::string &b = e.in.base(), &t = e.type();
  bool bf = t == "bf16" || t == "bf16x2", pair = t == "f16x2" || t == "bf16x2";
  if (!bf && !pair && t != "f16") return false;
  auto& op = e.op;
  int args = 2;
  bool nan = e.in.has("NaN");
  if (b == "add") op.fn = pick<Add>(bf, pair);
  else if (b == "sub") op.fn = pick<Sub>(bf, pair);
  else if (b == "mul") op.fn = pick<Mul>(bf, pair);
  else if (b == "fma") op.fn = pick<FmaK>(bf, pair), args = 3;
  else if (b == "neg") op.fn = pick<Neg>(bf, pair), args = 1;
  else if (b == "abs") op.fn = pick<Abs>(bf, pair), args = 1;
  else if (b == "min") op.fn = nan ? pick<MinNan>(bf, pair) : pick<Min>(bf, pair);
  else if (b == "max") op.fn = nan ? pick<MaxNan>(bf, pair) : pick<Max>(bf, pair);
  else if (b == "ex2") op.fn = pick<Ex2>(bf, pair), args = 1;
  else if (b == "tanh") op.fn = pick<Tanh>(bf, pair), args = 1;
  else return false;
  e.only({"rn", "ftz", "sat", "relu", "approx", "NaN"});
  e.want((size_t)args + 1);
  op.mode2 = (uint8_t)((e.in.has("sat") ? 1 : 0) | (e.in.has("relu") ? 2 : 0) | (e.in.has("ftz") && !bf ? 4 : 0));
  int n = pair ? 4 : 2;
  op.d = e.dst(0, n), op.a = op.b = op.c = e.src(1, n);
  if (args > 1) op.b = e.src(2, n);
  if (args > 2) op.c = e.src(3, n);
  return true;
}

}  // namespace emu
