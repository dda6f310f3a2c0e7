// ldmatrix, stmatrix, movmatrix and mma.sync. Fragments as in PTX ISA, Warp-Level Matrix
// Instructions: with g = lane/4 and t = lane%4, a lane holds row g (and g+8) of A and of
// the accumulator, column g of B. Products are exact; sums are rounded to f32 in order of k.
#include "decode.h"
#include "memory_ops.h"

namespace emu {
namespace {

using s32 = int32_t;

void converged(Warp& w, const Op& o, uint32_t m) {
  if (m != w.live || m != ~0u)
    fault(w, o, __builtin_ctz(~m), 719, "divergent: an .aligned instruction wants all 32 threads of the warp");
}

template <bool Store>
void matrices(Warp& w, const Op& o, uint32_t m) {
  converged(w, o, m);
  alignas(64) uint64_t at[32];
  uint8_t* row[32];
  uint32_t rows = (uint32_t)o.lanes * 8, used = rows == 32 ? ~0u : (1u << rows) - 1;
  addresses(w, o, used, at);
  if (o.space == Space::Shared) {
    uint8_t* base = sharedBase(w, o, used, at, 16);
    if (w.block->race) raceCheck(w, o, used, at, 16, Store, false);
    EMU_LANES(used) row[i] = base + at[i];
  } else {
    Space s = hosts(w, o, used, at, 16, Store, row);
    if (s != Space::Shared) fault(w, o, 0, 717, "the matrix is not in shared memory");
  }
  for (int k = 0; k < o.lanes; k++) {
    uint32_t* d = slots32(w, o.list[k]);
    uint32_t out[32];
    for (int i = 0; i < 32; i++) {
      uint16_t h[2];
      for (int j = 0; j < 2; j++) {
        int r = i / 4, c = 2 * (i % 4) + j;
        uint8_t* p = o.mode ? row[8 * k + c] + 2 * r : row[8 * k + r] + 2 * c;
        if (Store) {
          h[j] = (uint16_t)(d[i] >> (16 * j));
          memcpy(p, &h[j], 2);
        } else {
          memcpy(&h[j], p, 2);
        }
      }
      out[i] = (uint32_t)h[1] << 16 | h[0];
    }
    if (!Store) memcpy(d, out, sizeof out);
  }
}

void transposed(Warp& w, const Op& o, uint32_t m) {
  converged(w, o, m);
  uint32_t a[32], *d = slots32(w, o.d);
  memcpy(a, slots32(w, o.a), sizeof a);
  auto element = [&](int r, int c) { return a[r * 4 + c / 2] >> (16 * (c & 1)) & 0xffff; };
  for (int i = 0; i < 32; i++) {
    int r = i / 4, c = 2 * (i % 4);
    d[i] = element(c, r) | element(c + 1, r) << 16;
  }
}

float decodeF16(uint32_t v) { return halfToFloat((uint16_t)v); }
float decodeBf16(uint32_t v) { return bhalfToFloat((uint16_t)v); }

// Shape: k, and how many elements of A and B one register packs.
template <int K, int Pack, class T, class D>
struct Fragments {
  alignas(32) T a[16][K], b[K][8];
  // element e of register r of a lane: k = group of Pack*4 columns by register, t*Pack + e.
  void load(const Warp& w, const Op& o, int rowsOfA, D decode) {
    constexpr int groups = K / (4 * Pack);
    int bits = 32 / Pack;
    for (int grp = 0; grp < groups; grp++) {
      for (int half = 0; half < rowsOfA / 8; half++) {
        const uint32_t* r = slots32(w, o.list[4 + grp * (rowsOfA / 8) + half]);
        for (int i = 0; i < 32; i++)
          for (int e = 0; e < Pack; e++) a[i / 4 + 8 * half][grp * 4 * Pack + i % 4 * Pack + e] = decode(r[i] >> (Pack == 1 ? 0 : bits * e));
      }
      const uint32_t* r = slots32(w, o.list[8 + grp]);
      for (int i = 0; i < 32; i++)
        for (int e = 0; e < Pack; e++) b[grp * 4 * Pack + i % 4 * Pack + e][i / 4] = decode(r[i] >> (Pack == 1 ? 0 : bits * e));
    }
  }
};

// list: d0..d3, a0..a3, b0..b3, c0..c3.
template <class T, int K>
inline void multiply(T c[16][8], const T a[16][K], const T b[K][8], int rows) {
  for (int r = 0; r < rows; r++)
    for (int k = 0; k < K; k++)
      for (int n = 0; n < 8; n++) {
        if constexpr (std::is_same_v<T, float>) c[r][n] = __builtin_fmaf(a[r][k], b[k][n], c[r][n]);
        else c[r][n] += a[r][k] * b[k][n];
      }
}

template <class T>
void accumulator(const Warp& w, const Op& o, int at, T c[16][8], int rows) {
  for (int h = 0; h < rows / 8; h++)
    for (int j = 0; j < 2; j++) {
      const uint32_t* r = slots32(w, o.list[at + 2 * h + j]);
      for (int i = 0; i < 32; i++) c[i / 4 + 8 * h][2 * (i % 4) + j] = __builtin_bit_cast(T, r[i]);
    }
}
template <class T>
void result(const Warp& w, const Op& o, T c[16][8], int rows) {
  for (int h = 0; h < rows / 8; h++)
    for (int j = 0; j < 2; j++) {
      uint32_t* r = slots32(w, o.list[2 * h + j]);
      for (int i = 0; i < 32; i++) r[i] = __builtin_bit_cast(uint32_t, c[i / 4 + 8 * h][2 * (i % 4) + j]);
    }
}

enum Type : uint8_t { F16, Bf16, Tf32 };
template <int K, int Pack, int Ty>
void mmaFloat(Warp& w, const Op& o, uint32_t m) {
  converged(w, o, m);
  auto decode = [](uint32_t v) {
    if constexpr (Ty == F16) return decodeF16(v);
    else if constexpr (Ty == Bf16) return decodeBf16(v);
    else return __builtin_bit_cast(float, v & 0xffffe000);  // the low bits are not read
  };
  Fragments<K, Pack, float, decltype(decode)> f;
  f.load(w, o, 16, decode);
  alignas(32) float c[16][8];
  if (o.mode) {  // f16 accumulators: two a register
    for (int h = 0; h < 2; h++) {
      const uint32_t* r = slots32(w, o.list[12 + h]);
      for (int i = 0; i < 32; i++)
        for (int j = 0; j < 2; j++) c[i / 4 + 8 * h][2 * (i % 4) + j] = halfToFloat((uint16_t)(r[i] >> (16 * j)));
    }
    multiply<float, K>(c, f.a, f.b, 16);
    for (int h = 0; h < 2; h++) {
      uint32_t* r = slots32(w, o.list[h]);
      for (int i = 0; i < 32; i++) r[i] = (uint32_t)floatToHalf(c[i / 4 + 8 * h][2 * (i % 4) + 1]) << 16 | floatToHalf(c[i / 4 + 8 * h][2 * (i % 4)]);
    }
    return;
  }
  accumulator(w, o, 12, c, 16);
  multiply<float, K>(c, f.a, f.b, 16);
  result(w, o, c, 16);
}

// mode2: bit 0 A is signed, bit 1 B is signed; mode 1 saturates.
template <int K, int Rows>
void mmaInt(Warp& w, const Op& o, uint32_t m) {
  converged(w, o, m);
  auto byteOf = [](uint32_t v, bool sign) { return sign ? (s32)(int8_t)v : (s32)(uint8_t)v; };
  alignas(32) s32 a[16][K], b[K][8], c[16][8];
  constexpr int groups = K / 16;
  for (int grp = 0; grp < groups; grp++) {
    for (int h = 0; h < Rows / 8; h++) {
      const uint32_t* r = slots32(w, o.list[4 + grp * (Rows / 8) + h]);
      for (int i = 0; i < 32; i++)
        for (int e = 0; e < 4; e++) a[i / 4 + 8 * h][grp * 16 + i % 4 * 4 + e] = byteOf(r[i] >> (8 * e), o.mode2 & 1);
    }
    const uint32_t* r = slots32(w, o.list[8 + grp]);
    for (int i = 0; i < 32; i++)
      for (int e = 0; e < 4; e++) b[grp * 16 + i % 4 * 4 + e][i / 4] = byteOf(r[i] >> (8 * e), o.mode2 & 2);
  }
  accumulator(w, o, 12, c, Rows);
  if (o.mode) {
    for (int r = 0; r < Rows; r++)
      for (int n = 0; n < 8; n++) {
        int64_t v = c[r][n];
        for (int k = 0; k < K; k++) v += (int64_t)a[r][k] * b[k][n];
        c[r][n] = (s32)std::min<int64_t>(std::max<int64_t>(v, INT32_MIN), INT32_MAX);
      }
  } else {
    multiply<s32, K>(c, a, b, Rows);
  }
  result(w, o, c, Rows);
}

void mmaDouble(Warp& w, const Op& o, uint32_t m) {  // m8n8k4
  converged(w, o, m);
  double a[8][4], b[4][8], c[8][8];
  for (int i = 0; i < 32; i++) {
    a[i / 4][i % 4] = get<double>(slots64(w, o.list[4])[i]);
    b[i % 4][i / 4] = get<double>(slots64(w, o.list[8])[i]);
    for (int j = 0; j < 2; j++) c[i / 4][2 * (i % 4) + j] = get<double>(slots64(w, o.list[12 + j])[i]);
  }
  for (int r = 0; r < 8; r++)
    for (int n = 0; n < 8; n++)
      for (int k = 0; k < 4; k++) c[r][n] = __builtin_fma(a[r][k], b[k][n], c[r][n]);
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 2; j++) slots64(w, o.list[j])[i] = put<double>(c[i / 4][2 * (i % 4) + j]);
}

struct Variant {
  const char *shape, *a, *b, *d;
  Exec fn;
  int regs[4];  // of d, a, b, c
  uint8_t mode, mode2;
};
const Variant variants[] = {
    {"m16n8k16", "f16", "f16", "f32", mmaFloat<16, 2, F16>, {4, 4, 2, 4}, 0, 0},
    {"m16n8k8", "f16", "f16", "f32", mmaFloat<8, 2, F16>, {4, 2, 1, 4}, 0, 0},
    {"m16n8k16", "f16", "f16", "f16", mmaFloat<16, 2, F16>, {2, 4, 2, 2}, 1, 0},
    {"m16n8k8", "f16", "f16", "f16", mmaFloat<8, 2, F16>, {2, 2, 1, 2}, 1, 0},
    {"m16n8k16", "bf16", "bf16", "f32", mmaFloat<16, 2, Bf16>, {4, 4, 2, 4}, 0, 0},
    {"m16n8k8", "bf16", "bf16", "f32", mmaFloat<8, 2, Bf16>, {4, 2, 1, 4}, 0, 0},
    {"m16n8k8", "tf32", "tf32", "f32", mmaFloat<8, 1, Tf32>, {4, 4, 2, 4}, 0, 0},
    {"m16n8k4", "tf32", "tf32", "f32", mmaFloat<4, 1, Tf32>, {4, 2, 1, 4}, 0, 0},
    {"m16n8k32", "s8", "s8", "s32", mmaInt<32, 16>, {4, 4, 2, 4}, 0, 3},
    {"m16n8k32", "u8", "s8", "s32", mmaInt<32, 16>, {4, 4, 2, 4}, 0, 2},
    {"m16n8k32", "s8", "u8", "s32", mmaInt<32, 16>, {4, 4, 2, 4}, 0, 1},
    {"m16n8k32", "u8", "u8", "s32", mmaInt<32, 16>, {4, 4, 2, 4}, 0, 0},
    {"m16n8k16", "s8", "s8", "s32", mmaInt<16, 16>, {4, 2, 1, 4}, 0, 3},
    {"m16n8k16", "u8", "s8", "s32", mmaInt<16, 16>, {4, 2, 1, 4}, 0, 2},
    {"m16n8k16", "s8", "u8", "s32", mmaInt<16, 16>, {4, 2, 1, 4}, 0, 1},
    {"m16n8k16", "u8", "u8", "s32", mmaInt<16, 16>, {4, 2, 1, 4}, 0, 0},
    {"m8n8k16", "s8", "s8", "s32", mmaInt<16, 8>, {2, 1, 1, 2}, 0, 3},
    {"m8n8k16", "u8", "u8", "s32", mmaInt<16, 8>, {2, 1, 1, 2}, 0, 0},
    {"m8n8k4", "f64", "f64", "f64", mmaDouble, {2, 1, 1, 2}, 0, 0},
};

bool mma(Encoder& e) {
  auto& op = e.op;
  e.only({"sync", "aligned", "row", "col", "satfinite", "m16n8k16", "m16n8k8", "m16n8k4", "m16n8k32", "m8n8k16", "m8n8k4"});
  e.want(4);
  if (!e.in.has("row") || !e.in.has("col")) e.unknown();
  size_t n = e.in.parts.size();
  if (n < 8) e.unknown();
  const std::string &d = e.part(n - 4), &a = e.part(n - 3), &b = e.part(n - 2), &c = e.part(n - 1);
  for (auto& v : variants) {
    if (!e.in.has(v.shape) || a != v.a || b != v.b || d != v.d || c != v.d) continue;
    op.fn = v.fn;
    op.mode = v.mode;
    op.mode2 = v.mode2;
    if (e.in.has("satfinite")) {
      if (d != "s32") e.unknown();
      op.mode = 1;
    }
    int bytes = d == "f64" ? 8 : 4;
    int32_t* list = e.words(16);
    for (int k = 0; k < 4; k++) {
      const int32_t* r = e.vector((size_t)k, bytes, k == 0, (size_t)v.regs[k]);
      memcpy(list + 4 * k, r, sizeof(int32_t) * (size_t)v.regs[k]);
    }
    op.list = list;
    return true;
  }
  e.unknown();
}

}  // namespace

bool selectMatrix(Encoder& e) {
  const std::string& b = e.in.base();
  auto& op = e.op;
  if (b == "mma") return mma(e);
  if (b == "ldmatrix" || b == "stmatrix") {
    bool ld = b == "ldmatrix";
    e.only({"sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta"});
    e.want(2);
    if (!e.in.has("m8n8") || e.type() != "b16") e.unknown();
    op.lanes = (uint8_t)(e.in.has("x4") ? 4 : e.in.has("x2") ? 2 : 1);
    op.mode = e.in.has("trans");
    op.list = e.vector(ld ? 0 : 1, 4, ld, op.lanes);
    e.address(ld ? 1 : 0, e.in.has("shared") || e.in.has("shared::cta") ? Space::Shared : Space::Generic);
    e.shared(2);
    op.fn = ld ? matrices<false> : matrices<true>;
    return true;
  }
  if (b == "movmatrix") {
    e.only({"sync", "aligned", "m8n8", "trans"});
    e.want(2);
    op.d = e.dst(0, 4), op.a = e.src(1, 4), op.fn = transposed;
    return true;
  }
  return false;
}

}  // namespace emu
