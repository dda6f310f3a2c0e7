// cp.async (PTX ISA: Data Movement, non-bulk copy). The bytes move when the thread waits
// for their group, as late as the ISA allows; until then the destination holds poison, so
// that a read without the wait shows.
#include "decode.h"
#include "memory_ops.h"

namespace emu {
namespace {

void copyAsync(Warp& w, const Op& o, uint32_t m) {
  alignas(64) uint64_t dst[32], src[32];
  uint8_t* host[32];
  addresses(w, o, m, dst);
  uint32_t n = o.bytes;
  // The second address is in list: register, wide, offset (two words), cached segment.
  Op from = o;
  from.a = o.list[0];
  from.wide = o.list[1];
  memcpy(&from.imm, o.list + 2, 8);
  from.id = (uint32_t)o.list[4];
  from.space = Space::Global;
  uint32_t used[32];
  uint32_t reads = m;
  const uint32_t* size = o.mode ? slots32(w, o.b) : nullptr;
  EMU_LANES(m) {
    used[i] = size ? size[i] : n;
    if (o.mode2 && predicate(w, o.q) >> i & 1) used[i] = 0;  // ignore-src
    if (used[i] > n) fault(w, o, (int)i, 715, "cp.async reads " + std::to_string(used[i]) + " bytes of " + std::to_string(n));
    if (used[i] == 0) reads &= ~(1u << i);
  }
  sharedBase(w, o, m, dst, n);
  if (w.block->race) raceCheck(w, o, m, dst, n, true, false);
  EMU_LANES(m) memset(w.block->shared + dst[i], 0xCD, n);
  addresses(w, from, m, src);
  EMU_LANES(reads) {
    if (src[i] & (n - 1)) misaligned(w, o, 1u << i, src, n);
    Segment& s = w.block->cache[from.id];
    if (src[i] < s.lo || src[i] >= s.hi || s.hi - src[i] < used[i]) {
      try {
        s = w.block->memory->find(src[i], used[i], false);
      } catch (Fault& f) {
        fault(w, o, (int)i, f.code, f.what);
      }
    }
    host[i] = s.host + (src[i] - s.lo);
  }
  EMU_LANES(m) w.pending.push_back({w.committed[i], (uint8_t)i, (uint8_t)n, (uint8_t)used[i], (uint32_t)dst[i], host[i]});
}

void commit(Warp& w, const Op&, uint32_t m) { EMU_LANES(m) w.committed[i]++; }

// wait completes, for each lane, the groups but the last o.imm; o.mode: those not committed too.
void wait(Warp& w, const Op& o, uint32_t m) {
  size_t keep = 0;
  for (size_t k = 0; k < w.pending.size(); k++) {
    Pending& p = w.pending[k];
    uint32_t done = w.committed[p.lane];
    bool due = m >> p.lane & 1 && (o.mode || (uint64_t)p.group + (uint64_t)o.imm < done);
    if (!due) {
      w.pending[keep++] = p;
      continue;
    }
    uint8_t* d = w.block->shared + p.dst;
    if (p.used) memcpy(d, p.src, p.used);
    memset(d + p.used, 0, (size_t)(p.size - p.used));
    if (w.block->race) {
      uint64_t at[32];
      at[p.lane] = p.dst;
      raceCheck(w, o, 1u << p.lane, at, p.size, true, false);
    }
  }
  w.pending.resize(keep);
}

}  // namespace

bool selectAsync(Encoder& e) {
  if (e.in.base() != "cp" || e.part(1) != "async") return false;
  auto& op = e.op;
  if (e.part(2) == "commit_group") {
    op.fn = commit;
    return true;
  }
  if (e.part(2) == "wait_group" || e.part(2) == "wait_all") {
    op.fn = wait;
    op.mode = e.part(2) == "wait_all";
    if (!op.mode) {
      e.want(1);
      if (e.in.args[0].kind != Operand::Imm) e.unknown("the number of groups must be a constant");
      op.imm = (int64_t)e.in.args[0].imm;
    }
    return true;
  }
  e.only({"async", "ca", "cg", "shared", "shared::cta", "global", "L2::64B", "L2::128B", "L2::256B", "L2::cache_hint"});
  if (e.count() < 3 || e.in.args[2].kind != Operand::Imm) e.unknown();
  uint64_t n = e.in.args[2].imm;
  if (n != 16 && (n != 4 && n != 8)) e.unknown("cp.async copies 4, 8 or 16 bytes");
  if (e.in.has("cg") && n != 16) e.unknown("cp.async.cg copies 16 bytes");
  op.fn = copyAsync;
  op.bytes = (uint8_t)n;
  if (e.count() > 3) {
    if (e.isPred(3)) op.mode2 = 1, op.q = e.pred(3);
    else op.mode = 1, op.b = e.src(3, 4);
  }
  Op from;
  std::swap(op, from);
  e.address(1, Space::Global);
  std::swap(op, from);
  int32_t* list = e.words(5);
  list[0] = from.a;
  list[1] = from.wide;
  memcpy(list + 2, &from.imm, 8);
  list[4] = (int32_t)from.id;
  op.list = list;
  e.address(0, Space::Shared);
  e.shared(4);
  return true;
}

}  // namespace emu
