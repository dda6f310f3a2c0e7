// f32 and f64 arithmetic (PTX ISA: Floating-Point Instructions). Approximate instructions
// are computed in double and rounded once, so they are at least as exact as hardware.
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

template <class T> inline bool negative(T v) { return std::signbit(v); }
template <class T> inline T quiet() {
  if constexpr (sizeof(T) == 4) return __builtin_bit_cast(float, 0x7fffffffu);
  else return __builtin_bit_cast(double, 0x7fffffffffffffffull);
}

#define F1(name, expr) struct name { template <class T> static T f(T a) { return (T)(expr); } };
#define F2(name, expr) struct name { template <class T> static T f(T a, T b) { return (T)(expr); } };
F2(Add, a + b) F2(Sub, a - b) F2(Mul, a * b) F2(Div, a / b)
struct Fma {
  static float f(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double f(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
template <class T> inline T less(T a, T b) { return a < b || (a == b && negative(a)) ? a : b; }
template <class T> inline T more(T a, T b) { return a > b || (a == b && negative(b)) ? a : b; }
F2(Min, a != a ? (b != b ? quiet<T>() : b) : b != b ? a : less(a, b))
F2(Max, a != a ? (b != b ? quiet<T>() : b) : b != b ? a : more(a, b))
F2(MinNan, a != a || b != b ? quiet<T>() : less(a, b))
F2(MaxNan, a != a || b != b ? quiet<T>() : more(a, b))
F2(CopySign, std::copysign(b, a))  // copysign d, a, b: the sign of a on b
F1(Neg, -a) F1(Abs, std::fabs(a)) F1(Same, a)
F1(Sqrt, std::sqrt(a)) F1(Rcp, (T)1 / a)
F1(Rsqrt, 1.0 / std::sqrt((double)a)) F1(Sin, std::sin((double)a)) F1(Cos, std::cos((double)a))
F1(Lg2, std::log2((double)a)) F1(Ex2, std::exp2((double)a)) F1(Tanh, std::tanh((double)a))

template <class F, bool Ftz, bool Sat>
struct With {
  template <class T> static T in(T v) {
    if constexpr (Ftz && sizeof(T) == 4) return flush(v);
    else return v;
  }
  template <class T> static T out(T v) {
    v = in(v);
    if constexpr (Sat) return v > 0 ? (v < 1 ? v : 1) : 0;  // NaN becomes 0
    else return v;
  }
  template <class T> static T f(T a) { return out<T>(F::f(in(a))); }
  template <class T> static T f(T a, T b) { return out<T>(F::f(in(a), in(b))); }
  template <class T> static T f(T a, T b, T c) { return out<T>(F::f(in(a), in(b), in(c))); }
};

template <class T, class F, bool Ftz, bool Sat, int N>
Exec pickN() {
  using W = With<F, Ftz, Sat>;
  if constexpr (N == 1) return map1<T, T, W>;
  else if constexpr (N == 2) return map2<T, T, T, W>;
  else return map3<T, T, T, T, W>;
}

template <class F, int N>
Exec pick(bool f64, bool ftz, bool sat) {
  if (f64) return pickN<double, F, false, false, N>();
  return ftz ? sat ? pickN<float, F, true, true, N>() : pickN<float, F, true, false, N>()
             : sat ? pickN<float, F, false, true, N>() : pickN<float, F, false, false, N>();
}

// Directed rounding: the same loops under another MXCSR rounding mode.
template <class T, class F, int N, int Mode>
void rounded(Warp& w, const Op& o, uint32_t m) {
  unsigned old = _mm_getcsr();
  _mm_setcsr((old & ~0x6000u) | (unsigned)Mode << 13);
  asm volatile("" ::: "memory");
  (o.mode & 1 ? o.mode & 2 ? pickN<T, F, true, true, N>() : pickN<T, F, true, false, N>()
              : o.mode & 2 ? pickN<T, F, false, true, N>() : pickN<T, F, false, false, N>())(w, o, m);
  asm volatile("" ::: "memory");
  _mm_setcsr(old);
}

template <class F, int N>
Exec pickRounded(Encoder& e, bool f64, bool ftz, bool sat) {
  int mode = e.in.has("rm") ? 1 : e.in.has("rp") ? 2 : e.in.has("rz") ? 3 : 0;
  if (mode == 0) return pick<F, N>(f64, ftz, sat);
  e.op.mode = (uint8_t)(ftz | sat << 1);
  if (f64) return mode == 1 ? rounded<double, F, N, 1> : mode == 2 ? rounded<double, F, N, 2> : rounded<double, F, N, 3>;
  return mode == 1 ? rounded<float, F, N, 1> : mode == 2 ? rounded<float, F, N, 2> : rounded<float, F, N, 3>;
}

struct XorSign {
  static float f(float a, float b, bool min) {
    float x = std::fabs(a), y = std::fabs(b), r = min ? Min::f(x, y) : Max::f(x, y);
    return negative(a) != negative(b) ? -r : r;
  }
};
struct MinXor { static float f(float a, float b) { return XorSign::f(a, b, true); } };
struct MaxXor { static float f(float a, float b) { return XorSign::f(a, b, false); } };

template <class T>
void testp(Warp& w, const Op& o, uint32_t m) {
  const Slot<T>* a = slots<T>(w, o.a);
  uint32_t r = 0;
  for (int i = 0; i < 32; i++) {
    T v = get<T>(a[i]);
    int c = std::fpclassify(v);
    bool t = o.mode == 0 ? std::isfinite(v) : o.mode == 1 ? c == FP_INFINITE : o.mode == 2 ? c != FP_NAN : o.mode == 3 ? c == FP_NAN
           : o.mode == 4 ? c == FP_NORMAL || c == FP_ZERO : c == FP_SUBNORMAL;
    r |= (uint32_t)t << i;
  }
  setPredicate(w, o.p, r, m);
}

bool unary(Encoder& e, const std::string& b, bool f64, bool ftz, bool sat) {
  auto& op = e.op;
  if (b == "neg") op.fn = pick<Neg, 1>(f64, ftz, sat);
  else if (b == "abs") op.fn = pick<Abs, 1>(f64, ftz, sat);
  else if (b == "sqrt") op.fn = pickRounded<Sqrt, 1>(e, f64, ftz, sat);
  else if (b == "rcp") op.fn = pickRounded<Rcp, 1>(e, f64, ftz, sat);
  else if (b == "rsqrt") op.fn = pick<Rsqrt, 1>(f64, ftz, sat);
  else if (f64) return false;
  else if (b == "sin") op.fn = pick<Sin, 1>(f64, ftz, sat);
  else if (b == "cos") op.fn = pick<Cos, 1>(f64, ftz, sat);
  else if (b == "lg2") op.fn = pick<Lg2, 1>(f64, ftz, sat);
  else if (b == "ex2") op.fn = pick<Ex2, 1>(f64, ftz, sat);
  else if (b == "tanh") op.fn = pick<Tanh, 1>(f64, ftz, sat);
  else return false;
  e.only({"rn", "rz", "rm", "rp", "ftz", "sat", "approx"});
  e.want(2);
  op.d = e.dst(0, f64 ? 8 : 4), op.a = e.fsrc(1, f64 ? 8 : 4);
  return true;
}

}  // namespace

bool selectFloat(Encoder& e) {
  const std::string &b = e.in.base(), &t = e.type();
  bool f64 = t == "f64", ftz = e.in.has("ftz"), sat = e.in.has("sat");
  if (!f64 && t != "f32") return false;
  int n = f64 ? 8 : 4;
  auto& op = e.op;
  if (b == "testp") {
    static const char* kinds[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
    int k = 0;
    while (k < 6 && !e.in.has(kinds[k])) k++;
    if (k == 6) e.unknown();
    op.mode = (uint8_t)k;
    op.fn = f64 ? testp<double> : testp<float>;
    op.p = e.pred(0), op.a = e.fsrc(1, n);
    return true;
  }
  if (unary(e, b, f64, ftz, sat)) return true;
  bool three = b == "fma" || b == "mad";
  if (b == "add") op.fn = pickRounded<Add, 2>(e, f64, ftz, sat);
  else if (b == "sub") op.fn = pickRounded<Sub, 2>(e, f64, ftz, sat);
  else if (b == "mul") op.fn = pickRounded<Mul, 2>(e, f64, ftz, sat);
  else if (b == "div") op.fn = pickRounded<Div, 2>(e, f64, ftz, sat);
  else if (three) op.fn = pickRounded<Fma, 3>(e, f64, ftz, sat);
  else if ((b == "min" || b == "max") && e.in.has("xorsign")) op.fn = f64 ? nullptr : b == "min" ? map2<float, float, float, MinXor> : map2<float, float, float, MaxXor>;
  else if (b == "min") op.fn = e.in.has("NaN") ? pick<MinNan, 2>(f64, ftz, sat) : pick<Min, 2>(f64, ftz, sat);
  else if (b == "max") op.fn = e.in.has("NaN") ? pick<MaxNan, 2>(f64, ftz, sat) : pick<Max, 2>(f64, ftz, sat);
  else if (b == "copysign") op.fn = pick<CopySign, 2>(f64, false, false);
  else return false;
  if (!op.fn) e.unknown();
  e.only({"rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full", "NaN", "xorsign", "abs"});
  e.want(three ? 4 : 3);
  op.d = e.dst(0, n), op.a = e.fsrc(1, n), op.b = e.fsrc(2, n);
  if (three) op.c = e.fsrc(3, n);
  return true;
}

}  // namespace emu
