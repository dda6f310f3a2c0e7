// Runs blocks: warps in turn until each waits at a barrier or is done; blocks spread over
// host threads.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "lanes.h"

namespace emu {
namespace {

// A warp gives way to the others after this many instructions, so that one that spins on
// another's shared memory can't stop its block.
constexpr uint64_t slice = 1 << 20;

std::string xyz(uint32_t x, uint32_t y, uint32_t z) {
  return "(" + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ")";
}

uint64_t now() { return (uint64_t)std::chrono::steady_clock::now().time_since_epoch().count(); }

void fillSpecial(Warp& w, const std::string& name, int32_t at) {
  const Launch& l = *w.block->launch;
  uint32_t* d = slots32(w, at);
  auto all = [&](auto f) {
    for (uint32_t i = 0; i < 32; i++) d[i] = f(i, w.id * 32 + i);
  };
  auto axis = [&](const std::string& prefix) { return name.compare(0, prefix.size(), prefix) == 0 && name.size() == prefix.size() + 1 ? name.back() - 'x' : -1; };
  int a;
  if ((a = axis("%tid.")) >= 0) {
    uint32_t x = l.block[0], y = l.block[1];
    all([&](uint32_t, uint32_t t) { return a == 0 ? t % x : a == 1 ? t / x % y : t / x / y; });
  } else if ((a = axis("%ntid.")) >= 0) {
    all([&](uint32_t, uint32_t) { return l.block[a]; });
  } else if ((a = axis("%ctaid.")) >= 0) {
    all([&](uint32_t, uint32_t) { return w.block->ctaid[a]; });
  } else if ((a = axis("%nctaid.")) >= 0) {
    all([&](uint32_t, uint32_t) { return l.grid[a]; });
  } else if (name == "carry" || name == "narrow") {
    all([](uint32_t, uint32_t) { return 0u; });
  } else if (name == "%laneid") {
    all([](uint32_t i, uint32_t) { return i; });
  } else if (name == "%warpid") {
    all([&](uint32_t, uint32_t) { return w.id; });
  } else if (name == "%nwarpid") {
    all([&](uint32_t, uint32_t) { return 64u; });
  } else if (name == "%smid") {
    all([&](uint32_t, uint32_t) { return 0u; });
  } else if (name == "%nsmid") {
    all([&](uint32_t, uint32_t) { return 8u; });
  } else if (name == "%lanemask_eq") {
    all([](uint32_t i, uint32_t) { return 1u << i; });
  } else if (name == "%lanemask_le") {
    all([](uint32_t i, uint32_t) { return (2u << i) - 1; });
  } else if (name == "%lanemask_lt") {
    all([](uint32_t i, uint32_t) { return (1u << i) - 1; });
  } else if (name == "%lanemask_ge") {
    all([](uint32_t i, uint32_t) { return ~((1u << i) - 1); });
  } else if (name == "%lanemask_gt") {
    all([](uint32_t i, uint32_t) { return ~((2u << i) - 1); });
  } else if (name == "%dynamic_smem_size") {
    all([&](uint32_t, uint32_t) { return l.dynamicShared; });
  } else if (name == "%total_smem_size") {
    all([&](uint32_t, uint32_t) { return w.block->sharedBytes; });
  } else if (name == "%clock") {
    all([](uint32_t, uint32_t) { return (uint32_t)now(); });
  } else if (name == "%clock64" || name == "%globaltimer" || name == "%gridid") {
    for (int i = 0; i < 32; i++) slots64(w, at)[i] = name == "%gridid" ? l.gridId : now();
  } else {
    throw Fault{218, "kernel " + w.block->k->name + ": unknown special register " + name};
  }
}

// pop goes on with the lanes that wait on the stack; false if the warp is done.
bool pop(Warp& w) {
  while (!w.stack.empty()) {
    Entry e = w.stack.back();
    w.stack.pop_back();
    if (uint32_t m = e.mask & w.live) {
      w.pc = e.pc, w.rpc = e.rpc, w.mask = m;
      return true;
    }
  }
  w.state = State::Done;
  return false;
}

// diverge splits the warp: yes goes to taken, no to other, and they meet at o.join.
bool diverge(Warp& w, const Op& o, uint32_t taken, uint32_t yes, uint32_t other, uint32_t no) {
  uint32_t r = o.join == noPc ? w.rpc : o.join;
  if (r != w.rpc) w.stack.push_back({r, w.rpc, w.mask});
  if (other != r) w.stack.push_back({other, r, no});
  if (taken != r) {
    w.pc = taken, w.rpc = r, w.mask = yes;
    return true;
  }
  return pop(w);
}

bool branchTable(Warp& w, const Op& o, uint32_t m) {
  const uint32_t* index = slots32(w, o.a);
  const auto& table = w.block->k->tables[o.id];
  std::vector<std::pair<uint32_t, uint32_t>> to;  // pc, lanes
  auto add = [&](uint32_t pc, uint32_t lanes) {
    for (auto& t : to)
      if (t.first == pc) { t.second |= lanes; return; }
    to.push_back({pc, lanes});
  };
  EMU_LANES(m) {
    if (index[i] >= table.size()) fault(w, o, (int)i, 718, "branch index " + std::to_string(index[i]) + " is past the table");
    add(table[index[i]], 1u << i);
  }
  if (w.mask & ~m) add(w.pc, w.mask & ~m);
  if (to.size() == 1) {
    w.pc = to[0].first;
    return true;
  }
  uint32_t r = o.join == noPc ? w.rpc : o.join;
  if (r != w.rpc) w.stack.push_back({r, w.rpc, w.mask});
  for (auto& t : to)
    if (t.first != r) w.stack.push_back({t.first, r, t.second});
  return pop(w);
}

void release(Block& b, uint32_t id) {
  Barrier& bar = b.barriers[id];
  if (b.race) b.race->release(bar.who);
  for (auto& w : b.warps) {
    if (w.state != State::Barrier || w.barrier != id) continue;
    const Op& o = *w.barOp;
    uint32_t m = w.live & w.mask;
    if (o.bar == BarKind::Popc) {
      uint32_t* d = slots32(w, o.d);
      EMU_LANES(m) d[i] = bar.truth;
    } else if (o.bar == BarKind::And || o.bar == BarKind::Or) {
      bool v = o.bar == BarKind::And ? bar.truth == bar.count : bar.truth > 0;
      setPredicate(w, o.p, v ? ~0u : 0, m);
    }
    w.state = State::Ready;
  }
  bar = Barrier{};
}

// check releases barrier id if all it waits for have come.
void check(Block& b, uint32_t id) {
  Barrier& bar = b.barriers[id];
  if (bar.arrived == 0) return;
  uint32_t want = bar.expected;
  if (bar.all) {
    want = 0;
    for (auto& w : b.warps) want += w.state != State::Done;
  }
  if (bar.arrived >= want) release(b, id);
}

void arrive(Warp& w, const Op& o, uint32_t m) {
  Block& b = *w.block;
  uint32_t id = o.mode2 ? (uint32_t)o.imm : slots32(w, o.a)[__builtin_ctz(m)];
  if (id > 15) fault(w, o, -1, 715, "barrier " + std::to_string(id) + " does not exist");
  if (m != w.live) {
    uint32_t missing = w.live & ~m;
    fault(w, o, __builtin_ctz(missing), 719, "divergent barrier: this thread is not at the barrier that others of its warp execute");
  }
  Barrier& bar = b.barriers[id];
  if (o.mode) {  // a thread count
    uint32_t n = slots32(w, o.b)[__builtin_ctz(m)];
    if (n == 0 || n % 32) fault(w, o, -1, 715, "barrier count " + std::to_string(n) + " is no multiple of the warp size");
    bar.all = false;
    bar.expected = n / 32;
  }
  if (o.bar == BarKind::And || o.bar == BarKind::Or || o.bar == BarKind::Popc) {
    bar.count += (uint32_t)__builtin_popcount(m);
    bar.truth += (uint32_t)__builtin_popcount(predicate(w, o.q) & m);
  }
  bar.arrived++;
  bar.who |= 1u << w.id;
  if (o.bar == BarKind::Arrive) {
    if (b.race) b.race->arrive(w.id);
  } else {
    w.state = State::Barrier;
    w.barrier = id;
    w.barOp = &o;
  }
  check(b, id);
}

// run executes a warp until it waits, is done, or its slice is over.
void run(Warp& w) {
  const Kernel& k = *w.block->k;
  const Op* code = k.code.data();
  uint64_t steps = 0;
  for (;;) {
    const Op& o = code[w.pc++];
    uint32_t m = w.mask;
    if (o.guard) {
      m &= predicate(w, o.guard);
      if (m == 0 && o.ctl != Ctl::Join) continue;
    }
    steps++;
    switch (o.ctl) {
      case Ctl::Plain:
        o.fn(w, o, m);
        continue;
      case Ctl::Bra:
        if (m == w.mask) {
          w.pc = o.target;
        } else if (!diverge(w, o, o.target, m, w.pc, w.mask & ~m)) {
          w.block->steps += steps;
          return;
        }
        if (steps < slice) continue;
        break;
      case Ctl::Brx:
        if (branchTable(w, o, m)) continue;
        break;
      case Ctl::Join:
        if (w.pc - 1 == w.rpc) {
          w.pc--;
          pop(w);
        }
        continue;
      case Ctl::Exit:
        w.live &= ~m;
        w.mask &= ~m;
        if (w.mask || pop(w)) continue;
        break;
      case Ctl::Trap:
        fault(w, o, __builtin_ctz(m), o.mode ? 710 : 719, o.mode ? "assertion failed" : "trap");
      case Ctl::Bar:
        arrive(w, o, m);
        if (w.state == State::Ready) continue;
        break;
    }
    w.block->steps += steps;
    return;
  }
}

// Worker holds what one host thread reuses from block to block.
struct Worker {
  std::vector<Segment> cache;
  std::unique_ptr<Race> race;
  uint8_t* memory = nullptr;
  size_t bytes = 0;
  ~Worker() { free(memory); }
  uint8_t* need(size_t n) {
    if (n > bytes) {
      free(memory);
      bytes = (n + 4095) & ~size_t(4095);
      memory = (uint8_t*)aligned_alloc(64, bytes);
    }
    return memory;
  }
};

void prepare(Worker& me, Block& b, const Launch& l, const Memory& mem, const Limits& lim) {
  const Kernel& k = *l.kernel;
  b.launch = &l;
  b.k = &k;
  b.memory = &mem;
  b.sharedBytes = k.sharedStatic + l.dynamicShared;
  me.cache.assign(k.memOps, Segment{});
  b.cache = me.cache.data();
  b.race = nullptr;
  if (lim.race && b.sharedBytes && l.warps > 1) {
    if (!me.race) me.race = newRace();
    b.race = me.race.get();
  }
  auto round = [](size_t n) { return (n + 63) & ~size_t(63); };
  size_t preds = round(k.preds * 4), local = round((size_t)k.localBytes * 32), shared = round(b.sharedBytes + 64);
  uint8_t* at = me.need(shared + l.warps * (k.regBytes + preds + local));
  b.shared = at;
  at += shared;
  b.warps.resize(l.warps);
  for (uint32_t i = 0; i < l.warps; i++) {
    Warp& w = b.warps[i];
    w.block = &b;
    w.id = i;
    w.base[0] = at;
    at += k.regBytes;
    w.base[1] = k.consts;
    w.pred = (uint32_t*)at;
    at += preds;
    w.local = at;
    at += local;
  }
}

void runBlock(Block& b, uint64_t index, const Limits& lim) {
  const Launch& l = *b.launch;
  const Kernel& k = *b.k;
  b.ctaid[0] = (uint32_t)(index % l.grid[0]);
  b.ctaid[1] = (uint32_t)(index / l.grid[0] % l.grid[1]);
  b.ctaid[2] = (uint32_t)(index / l.grid[0] / l.grid[1]);
  b.steps = 0;
  memset(b.shared, 0xCD, b.sharedBytes);
  if (b.race) b.race->begin(b.sharedBytes, k.sharedGranule, l.warps);
  for (auto& bar : b.barriers) bar = Barrier{};
  for (uint32_t i = 0; i < l.warps; i++) {
    Warp& w = b.warps[i];
    memset(w.base[0], 0xCD, k.regBytes);
    memset(w.local, 0xCD, (size_t)k.localBytes * 32);
    memset(w.pred, 0, k.preds * 4);
    w.pred[0] = ~0u;
    uint32_t n = std::min(32u, l.threads - i * 32);
    w.live = w.mask = n == 32 ? ~0u : (1u << n) - 1;
    w.pc = 0;
    w.rpc = noPc;
    w.state = State::Ready;
    w.stack.clear();
    w.pending.clear();
    memset(w.committed, 0, sizeof w.committed);
    for (auto& s : k.specials) fillSpecial(w, s.first, s.second);
  }
  for (;;) {
    bool ran = false, left = false;
    for (auto& w : b.warps) {
      if (w.state == State::Done) continue;
      left = true;
      if (w.state != State::Ready) continue;
      ran = true;
      run(w);
      if (w.state == State::Done)
        for (uint32_t i = 0; i < 16; i++) check(b, i);
      if (b.steps > lim.maxSteps) {
        const Op& o = k.code[w.pc];
        fault(w, o, -1, 702, "no end after " + std::to_string(b.steps) + " warp instructions of one block");
      }
    }
    if (!left) return;
    if (!ran) {
      for (auto& w : b.warps)
        if (w.state == State::Barrier)
          fault(w, *w.barOp, -1, 719, "barrier deadlock: this warp waits at barrier " + std::to_string(w.barrier) + " for warps that never come");
    }
  }
}

// Pool keeps host threads between launches.
class Pool {
 public:
  static Pool& get() {
    static Pool* p = new Pool;  // never destroyed: its threads may outlive main
    return *p;
  }
  void run(unsigned n, const std::function<void()>& f) {
    std::unique_lock<std::mutex> l(mu_);
    while (threads_.size() + 1 < n) threads_.emplace_back([this] { loop(); });
    job_ = &f;
    open_ = busy_ = n - 1;
    l.unlock();
    go_.notify_all();
    f();
    l.lock();
    busy_ -= open_;  // threads that have not begun need not
    open_ = 0;
    done_.wait(l, [this] { return busy_ == 0; });
    job_ = nullptr;
  }

 private:
  void loop() {
    std::unique_lock<std::mutex> l(mu_);
    for (;;) {
      go_.wait(l, [this] { return open_ > 0; });
      open_--;
      auto f = job_;
      l.unlock();
      (*f)();
      l.lock();
      if (--busy_ == 0) done_.notify_all();
    }
  }
  std::mutex mu_;
  std::condition_variable go_, done_;
  std::vector<std::thread> threads_;
  const std::function<void()>* job_ = nullptr;
  unsigned open_ = 0, busy_ = 0;
};

}  // namespace

void fault(const Warp& w, const Op& o, int lane, int code, const std::string& why) {
  const Block& b = *w.block;
  const Launch& l = *b.launch;
  const Source& s = b.k->source[o.insn];
  std::string at = "kernel " + b.k->name + ", block " + xyz(b.ctaid[0], b.ctaid[1], b.ctaid[2]);
  if (lane >= 0) {
    uint32_t t = w.id * 32 + (uint32_t)lane;
    at += ", thread " + xyz(t % l.block[0], t / l.block[0] % l.block[1], t / l.block[0] / l.block[1]);
  } else {
    at += ", warp " + std::to_string(w.id);
  }
  throw Fault{code, at + ", PTX line " + std::to_string(s.line) + " [" + s.text + "]: " + why};
}

void execute(const Launch& l, const Memory& mem, const Limits& lim) {
  uint64_t blocks = (uint64_t)l.grid[0] * l.grid[1] * l.grid[2];
  std::atomic<uint64_t> next{0};
  std::mutex mu;
  std::unique_ptr<Fault> first;
  auto work = [&] {
    static thread_local Worker me;
    Block b;
    try {
      bool ready = false;
      for (uint64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
        if (!ready) prepare(me, b, l, mem, lim);
        ready = true;
        runBlock(b, i, lim);
      }
    } catch (Fault& f) {
      next.store(blocks, std::memory_order_relaxed);
      std::lock_guard<std::mutex> g(mu);
      if (!first) first.reset(new Fault(f));
    }
  };
  unsigned n = (unsigned)std::min<uint64_t>(std::max(1u, lim.threads), blocks);
  if (n > 1) Pool::get().run(n, work);
  else work();
  if (first) throw *first;
}

}  // namespace emu
