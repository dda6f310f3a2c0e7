// mov with packing and unpacking, cvta, isspacep, prefetch, fences.
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

template <class T> void move(Warp& w, const Op& o, uint32_t m) {
  Slot<T>* d = slots<T>(w, o.d);
  const Slot<T>* a = slots<T>(w, o.a);
  if (m == w.live) memmove(d, a, 32 * sizeof(Slot<T>));
  else blend(d, a, m);
}
void movePred(Warp& w, const Op& o, uint32_t m) { setPredicate(w, o.p, predicate(w, o.q), m); }

// pack joins op.lanes parts of op.bytes each into one register; unpack splits one.
uint64_t part(const Warp& w, int32_t reg, uint32_t lane, int bytes) {
  uint64_t v = bytes == 8 ? slots64(w, reg)[lane] : slots32(w, reg)[lane];
  return bytes >= 8 ? v : v & ((1ull << (8 * bytes)) - 1);
}
void pack(Warp& w, const Op& o, uint32_t m) {
  bool big = o.bytes * o.lanes == 8;
  EMU_LANES(m) {
    uint64_t v = 0;
    for (int k = 0; k < o.lanes; k++) v |= part(w, o.list[k], i, o.bytes) << (8 * o.bytes * k);
    if (big) slots64(w, o.d)[i] = v;
    else slots32(w, o.d)[i] = (uint32_t)v;
  }
}
void unpack(Warp& w, const Op& o, uint32_t m) {
  bool big = o.bytes * o.lanes == 8;
  EMU_LANES(m) {
    uint64_t v = big ? slots64(w, o.a)[i] : slots32(w, o.a)[i];
    for (int k = 0; k < o.lanes; k++) slots32(w, o.list[k])[i] = (uint32_t)(v >> (8 * o.bytes * k) & ((1ull << (8 * o.bytes)) - 1));
  }
}

uint64_t window(Space s) { return s == Space::Shared ? sharedWindow : s == Space::Local ? localWindow : s == Space::Param ? paramWindow : 0; }
template <class T, bool To> void cvta(Warp& w, const Op& o, uint32_t m) {
  uint64_t base = window(o.space);
  Slot<T>* d = slots<T>(w, o.d);
  const Slot<T>* a = slots<T>(w, o.a);
  EMU_LANES(m) d[i] = (Slot<T>)(To ? a[i] - base : a[i] + base);
}
void isspacep(Warp& w, const Op& o, uint32_t m) {
  uint32_t r = 0;
  EMU_LANES(m) {
    uint64_t top = slots64(w, o.a)[i] & 0xFFFF000000000000;
    Space s = top == sharedWindow ? Space::Shared : top == localWindow ? Space::Local : top == paramWindow ? Space::Param : Space::Global;
    r |= (uint32_t)(s == o.space) << i;
  }
  setPredicate(w, o.p, r, m);
}
void nothing(Warp&, const Op&, uint32_t) {}
void fence(Warp&, const Op&, uint32_t) { std::atomic_thread_fence(std::memory_order_seq_cst); }

bool space(const std::string& s, Space& out) {
  if (s == "global") out = Space::Global;
  else if (s == "const") out = Space::Const;
  else if (s.compare(0, 6, "shared") == 0) out = Space::Shared;
  else if (s == "local") out = Space::Local;
  else if (s.compare(0, 5, "param") == 0) out = Space::Param;
  else return false;
  return true;
}

bool mov(Encoder& e) {
  auto& op = e.op;
  const std::string& t = e.type();
  e.only({"pred"});
  e.want(2);
  if (t == "pred") {
    op.p = e.pred(0), op.q = e.pred(1), op.fn = movePred;
    return true;
  }
  int n = typeBytes(t);
  if (n == 0 || n > 8) e.unknown();
  bool in = e.in.args[1].kind == Operand::Vec, out = e.in.args[0].kind == Operand::Vec;
  if (in && out) e.unknown();
  if (in || out) {
    auto& v = e.in.args[in ? 1 : 0];
    op.lanes = (uint8_t)v.sub.size();
    if (op.lanes < 2 || n % op.lanes) e.unknown();
    op.bytes = (uint8_t)(n / op.lanes);
    op.list = e.vector(in ? 1 : 0, op.bytes, out, op.lanes);
    if (in) op.d = e.dst(0, n), op.fn = pack;
    else op.a = e.src(1, n), op.fn = unpack;
    return true;
  }
  auto& a = e.in.args[1];
  bool fl = (t == "f32" || t == "f64") && a.kind == Operand::Imm;
  op.d = e.dst(0, n), op.a = e.src(a, n, fl);
  op.fn = n == 8 ? move<uint64_t> : move<uint32_t>;
  return true;
}

}  // namespace

bool selectMove(Encoder& e) {
  const std::string& b = e.in.base();
  auto& op = e.op;
  if (b == "mov") return mov(e);
  if (b == "cvta") {
    bool to = e.in.has("to"), big = typeBytes(e.type()) == 8;
    e.want(2);
    if (!space(e.part(to ? 2 : 1), op.space)) e.unknown();
    op.d = e.dst(0, big ? 8 : 4), op.a = e.src(1, big ? 8 : 4);
    if (!big) e.unknown();
    op.fn = to ? cvta<uint64_t, true> : cvta<uint64_t, false>;
    return true;
  }
  if (b == "isspacep") {
    e.want(2);
    if (!space(e.part(1), op.space)) e.unknown();
    op.p = e.pred(0), op.a = e.src(1, 8), op.fn = isspacep;
    return true;
  }
  if (b == "membar" || b == "fence") {
    op.fn = fence;
    return true;
  }
  if (b == "prefetch" || b == "prefetchu" || b == "nanosleep" || b == "discard" || b == "applypriority") {
    op.fn = nothing;
    return true;
  }
  if (b == "createpolicy") {
    op.d = e.dst(0, 8), op.a = e.constant(0, 8), op.fn = move<uint64_t>;
    return true;
  }
  return false;
}

}  // namespace emu
