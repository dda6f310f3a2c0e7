// Barriers, shuffles, votes, matches, redux (PTX ISA: Parallel Synchronization).
#include "decode.h"
#include "lanes.h"

namespace emu {
namespace {

// member checks a membermask: each lane that executes is named, and every named lane that
// lives executes the instruction with the others (they have joined again before it).
void member(const Warp& w, const Op& o, uint32_t m, int32_t reg) {
  const uint32_t* mask = slots32(w, reg);
  EMU_LANES(m) {
    uint32_t k = mask[i];
    if (!(k >> i & 1)) fault(w, o, (int)i, 719, "the thread is not in its own membermask");
    if (uint32_t away = k & w.live & ~m) fault(w, o, __builtin_ctz(away), 719, "divergent: this thread is in the membermask but not at the instruction that lane " + std::to_string(i) + " executes");
  }
}

// shfl: mode 0 up, 1 down, 2 bfly, 3 idx. A lane reads any lane that executes with it.
void shfl(Warp& w, const Op& o, uint32_t m) {
  if (o.mode2) member(w, o, m, (int32_t)o.imm);
  uint32_t v[32];
  memcpy(v, slots32(w, o.a), sizeof v);
  const uint32_t *b = slots32(w, o.b), *c = slots32(w, o.c);
  uint32_t r[32], ok = 0;
  for (uint32_t i = 0; i < 32; i++) {
    uint32_t bv = b[i] & 31, cv = c[i] & 31, seg = c[i] >> 8 & 31;
    int max = (int)((i & seg) | (cv & ~seg)), min = (int)(i & seg), j;
    bool p;
    switch (o.mode) {
      case 0: j = (int)i - (int)bv, p = j >= max; break;
      case 1: j = (int)(i + bv), p = j <= max; break;
      case 2: j = (int)(i ^ bv), p = j <= max; break;
      default: j = (int)(min | (int)(bv & ~seg)), p = j <= max;
    }
    if (!p) j = (int)i;
    r[i] = v[j];
    if (m >> i & 1 && j != (int)i && !(m >> j & 1)) r[i] = 0xCDCDCDCD;  // undefined: the source lane is inactive
    ok |= (uint32_t)p << i;
  }
  uint32_t* d = slots32(w, o.d);
  EMU_LANES(m) d[i] = r[i];
  if (o.p) setPredicate(w, o.p, ok, m);
}

void vote(Warp& w, const Op& o, uint32_t m) {
  if (o.mode2) member(w, o, m, (int32_t)o.imm);
  uint32_t v = predicate(w, o.q);
  uint32_t p = 0, *d = o.mode == 3 ? slots32(w, o.d) : nullptr;
  const uint32_t* mask = o.mode2 ? slots32(w, (int32_t)o.imm) : nullptr;
  EMU_LANES(m) {
    uint32_t who = mask ? mask[i] & m : m, yes = v & who;
    if (o.mode == 3) d[i] = yes;
    else p |= (uint32_t)(o.mode == 0 ? yes == who : o.mode == 1 ? yes != 0 : yes == 0 || yes == who) << i;
  }
  if (o.mode != 3) setPredicate(w, o.p, p, m);
}

template <class T>
void match(Warp& w, const Op& o, uint32_t m) {
  member(w, o, m, (int32_t)o.imm);
  const Slot<T>* a = slots<T>(w, o.a);
  uint32_t r[32] = {}, all = 0;
  EMU_LANES(m) {
    uint32_t same = 0, who = slots32(w, (int32_t)o.imm)[i] & m;
    for (uint32_t k = 0; k < 32; k++) same |= (uint32_t)((who >> k & 1) && a[k] == a[i]) << k;
    bool every = same == who;
    r[i] = o.mode ? every ? who : 0 : same;
    all |= (uint32_t)every << i;
  }
  uint32_t* d = slots32(w, o.d);
  EMU_LANES(m) d[i] = r[i];
  if (o.p) setPredicate(w, o.p, all, m);
}

void activemask(Warp& w, const Op& o, uint32_t m) {
  uint32_t* d = slots32(w, o.d);
  EMU_LANES(m) d[i] = m;
}
void warpSync(Warp& w, const Op& o, uint32_t m) { member(w, o, m, o.a); }

void redux(Warp& w, const Op& o, uint32_t m) {
  member(w, o, m, (int32_t)o.imm);
  uint32_t v[32], *d = slots32(w, o.d);
  memcpy(v, slots32(w, o.a), sizeof v);
  const uint32_t* mask = slots32(w, (int32_t)o.imm);
  uint32_t out[32];
  EMU_LANES(m) {
    uint32_t who = mask[i] & m, r = v[__builtin_ctz(who)];
    for (uint32_t s = who & (who - 1); s; s &= s - 1) {
      uint32_t x = v[__builtin_ctz(s)];
      switch (o.mode) {
        case 0: r += x; break;
        case 1: r &= x; break;
        case 2: r |= x; break;
        case 3: r ^= x; break;
        case 4: r = o.mode2 ? (uint32_t)std::min((int32_t)r, (int32_t)x) : std::min(r, x); break;
        case 5: r = o.mode2 ? (uint32_t)std::max((int32_t)r, (int32_t)x) : std::max(r, x); break;
      }
    }
    out[i] = r;
  }
  EMU_LANES(m) d[i] = out[i];
}

bool barrier(Encoder& e) {
  auto& op = e.op;
  if (e.part(1) == "warp") {
    e.want(1);
    op.fn = warpSync, op.a = e.src(0, 4);
    return true;
  }
  e.only({"sync", "arrive", "red", "and", "or", "popc", "aligned", "cta", "pred"});
  op.ctl = Ctl::Bar;
  size_t k = 0;
  if (e.in.has("red")) {
    op.bar = e.in.has("popc") ? BarKind::Popc : e.in.has("and") ? BarKind::And : BarKind::Or;
    if (op.bar == BarKind::Popc) op.d = e.dst(0, 4);
    else op.p = e.pred(0);
    k = 1;
  } else if (e.in.has("arrive")) {
    op.bar = BarKind::Arrive;
  }
  size_t id = k, last = e.count() - (e.in.has("red") ? 1 : 0);
  if (id >= last) e.unknown("too few operands");
  auto& a = e.in.args[id];
  if (a.kind == Operand::Imm) op.mode2 = 1, op.imm = (int64_t)a.imm;
  else op.a = e.src(id, 4);
  if (id + 1 < last) op.mode = 1, op.b = e.src(id + 1, 4);
  if (op.bar == BarKind::Arrive && !op.mode) e.unknown("bar.arrive wants a thread count");
  if (e.in.has("red")) op.q = e.pred(last);
  return true;
}

bool shuffle(Encoder& e) {
  auto& op = e.op;
  e.only({"sync", "up", "down", "bfly", "idx"});
  op.mode2 = e.in.has("sync");
  e.want(op.mode2 ? 5 : 4);
  op.mode = e.in.has("up") ? 0 : e.in.has("down") ? 1 : e.in.has("bfly") ? 2 : 3;
  op.fn = shfl;
  op.d = e.dst(0, 4), op.p = e.pred2(0), op.a = e.src(1, 4), op.b = e.src(2, 4), op.c = e.src(3, 4);
  if (op.mode2) op.imm = e.src(4, 4);
  return true;
}

}  // namespace

bool selectWarp(Encoder& e) {
  const std::string& b = e.in.base();
  auto& op = e.op;
  if (b == "bar" || b == "barrier") return barrier(e);
  if (b == "shfl") return shuffle(e);
  if (b == "vote") {
    e.only({"sync", "all", "any", "uni", "ballot", "pred"});
    op.mode2 = e.in.has("sync");
    e.want(op.mode2 ? 3 : 2);
    op.mode = e.in.has("all") ? 0 : e.in.has("any") ? 1 : e.in.has("uni") ? 2 : 3;
    if (op.mode == 3) op.d = e.dst(0, 4);
    else op.p = e.pred(0);
    op.q = e.pred(1);
    if (op.mode2) op.imm = e.src(2, 4);
    op.fn = vote;
    return true;
  }
  if (b == "match") {
    e.only({"any", "all", "sync"});
    e.want(3);
    bool big = typeBytes(e.type()) == 8;
    op.mode = e.in.has("all");
    op.d = e.dst(0, 4), op.p = e.pred2(0), op.a = e.src(1, big ? 8 : 4), op.imm = e.src(2, 4);
    op.fn = big ? match<uint64_t> : match<uint32_t>;
    return true;
  }
  if (b == "activemask") {
    op.d = e.dst(0, 4), op.fn = activemask;
    return true;
  }
  if (b == "redux") {
    e.only({"sync", "add", "and", "or", "xor", "min", "max"});
    e.want(3);
    static const char* kinds[] = {"add", "and", "or", "xor", "min", "max"};
    for (int i = 0; i < 6; i++)
      if (e.in.has(kinds[i])) op.mode = (uint8_t)i;
    if (typeBytes(e.type()) != 4 || e.type()[0] == 'f') e.unknown();
    op.mode2 = e.type() == "s32";
    op.d = e.dst(0, 4), op.a = e.src(1, 4), op.imm = e.src(2, 4), op.fn = redux;
    return true;
  }
  return false;
}

}  // namespace emu
