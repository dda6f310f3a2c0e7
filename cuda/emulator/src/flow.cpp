// Control flow, post-dominators (Cooper, Harvey, Kennedy: A Simple, Fast Dominance
// Algorithm, on the reversed graph), liveness, and a linear scan over live intervals.
#include <algorithm>

#include "assemble.h"

namespace emu {

static bool ends(const Insn& in) {
  return in.guard < 0 && (in.base() == "ret" || in.base() == "exit" || in.base() == "trap");
}

bool isBranch(const Insn& in) { return in.base() == "bra" || in.base() == "brx"; }

static std::vector<std::string> targets(const Function& f, const Insn& in) {
  if (in.base() == "bra") return {in.args.at(0).name};
  auto t = f.tables.find(in.args.at(1).name);
  if (t == f.tables.end()) throw Fault{218, "PTX line " + std::to_string(in.line) + ": " + in.text + ": no such .branchtargets"};
  return t->second;
}

// towards computes the post-dominators of the blocks that reach exit and have none yet.
static void towards(int exit, const std::vector<std::vector<int>>& pred, std::vector<bool>& done, Flow& g) {
  int n = (int)g.first.size();
  std::vector<int> order, number(n, -1), at(n, 0), stack{exit};
  std::vector<bool> seen = done;
  seen[exit] = true;
  while (!stack.empty()) {
    int b = stack.back();
    if (at[b] < (int)pred[b].size()) {
      int p = pred[b][at[b]++];
      if (!seen[p]) seen[p] = true, stack.push_back(p);
    } else {
      number[b] = (int)order.size();
      order.push_back(b);
      stack.pop_back();
    }
  }
  std::vector<int> dom(n, -1);
  dom[exit] = exit;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order.size(); i-- > 0;) {
      int b = order[i];
      if (b == exit) continue;
      int best = -1;
      for (int s : g.succ[b]) {
        if (dom[s] < 0) continue;
        if (best < 0) { best = s; continue; }
        int x = best, y = s;
        while (x != y) {
          while (number[x] < number[y]) x = dom[x];
          while (number[y] < number[x]) y = dom[y];
        }
        best = x;
      }
      if (best != dom[b]) dom[b] = best, changed = true;
    }
  }
  for (int b : order) {
    done[b] = true;
    if (b != exit) g.ipdom[b] = dom[b];
  }
}

static void postDominators(const Function& f, Flow& g) {
  int n = (int)g.first.size();
  g.ipdom.assign(n, -1);
  std::vector<bool> reached(n), done(n);
  std::vector<int> todo{0};
  reached[0] = true;
  while (!todo.empty()) {
    int b = todo.back();
    todo.pop_back();
    for (int s : g.succ[b])
      if (!reached[s]) reached[s] = true, todo.push_back(s);
  }
  std::vector<std::vector<int>> pred(n);
  for (int b = 0; b < n; b++)
    for (int s : g.succ[b]) pred[s].push_back(b);
  // The last block that ends the thread is the exit of all that reach it: lanes that end
  // earlier never come back, so nobody waits for them. What only reaches an earlier one
  // (the compiler gives each side of a kernel its own) meets on the way to that.
  for (int b = n - 1; b >= 0; b--)
    if (reached[b] && g.succ[b].empty()) towards(b, pred, done, g);
}

Flow flow(const Function& f) {
  int n = (int)f.code.size();
  std::vector<bool> leader(n + 1);
  leader[0] = true;
  auto at = [&](const Insn& in, const std::string& l) {
    auto t = f.labels.find(l);
    if (t == f.labels.end()) throw Fault{218, "PTX line " + std::to_string(in.line) + ": " + in.text + ": unknown label " + l};
    return t->second;
  };
  for (int i = 0; i < n; i++) {
    const Insn& in = f.code[i];
    if (isBranch(in))
      for (auto& l : targets(f, in)) leader[at(in, l)] = true;
    if (isBranch(in) || ends(in)) leader[i + 1] = true;
  }
  Flow g;
  g.blockOf.resize(n);
  for (int i = 0; i < n; i++) {
    if (leader[i]) g.first.push_back(i);
    g.blockOf[i] = (int)g.first.size() - 1;
  }
  g.succ.resize(g.first.size());
  for (size_t b = 0; b < g.first.size(); b++) {
    int last = g.blockEnd((int)b) - 1;
    const Insn& in = f.code[last];
    if (isBranch(in))
      for (auto& l : targets(f, in)) g.succ[b].push_back(g.blockOf[at(in, l)]);
    if (!ends(in) && !(isBranch(in) && in.guard < 0) && last + 1 < n) g.succ[b].push_back((int)b + 1);
  }
  postDominators(f, g);
  return g;
}

namespace {

struct Bits {
  std::vector<uint64_t> w;
  explicit Bits(size_t n) : w((n + 63) / 64) {}
  void set(int i) { w[i / 64] |= 1ull << (i % 64); }
  bool has(int i) const { return w[i / 64] >> (i % 64) & 1; }
};

// Stores, branches and barriers read their first operand; everything else writes it.
bool writes(const Insn& in) {
  static const char* none[] = {"st", "stmatrix", "red", "bra", "brx", "ret", "exit", "trap", "cp", "membar", "fence",
                               "prefetch", "prefetchu", "nanosleep", "discard", "applypriority", "brkpt", "griddepcontrol"};
  for (auto s : none)
    if (in.base() == s) return false;
  if (in.base() == "bar" || in.base() == "barrier") return in.has("red");
  return true;
}

template <class F>
void each(const Operand& o, F f) {
  if (o.reg >= 0) f(o.reg);
  if (o.reg2 >= 0) f(o.reg2);
  for (auto& s : o.sub) each(s, f);
}

}  // namespace

Registers allocate(const Function& f, const Flow& g) {
  size_t nr = f.regs.size(), nb = g.first.size();
  std::vector<Bits> use(nb, Bits(nr)), def(nb, Bits(nr)), in(nb, Bits(nr)), out(nb, Bits(nr));
  auto visit = [&](const Insn& i, auto onUse, auto onDef) {
    if (i.guard >= 0) onUse(i.guard);
    bool w = writes(i);
    for (size_t k = w ? 1 : 0; k < i.args.size(); k++) each(i.args[k], onUse);
    if (w && !i.args.empty()) {
      if (i.args[0].kind == Operand::Mem || i.guard >= 0) each(i.args[0], onUse);
      if (i.args[0].kind != Operand::Mem) each(i.args[0], onDef);
    }
  };
  for (size_t b = 0; b < nb; b++)
    for (int i = g.first[b]; i < g.blockEnd((int)b); i++)
      visit(f.code[i], [&](int r) { if (!def[b].has(r)) use[b].set(r); }, [&](int r) { def[b].set(r); });
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = nb; b-- > 0;)
      for (size_t w = 0; w < in[b].w.size(); w++) {
        uint64_t o = 0;
        for (int s : g.succ[b]) o |= in[s].w[w];
        uint64_t i = use[b].w[w] | (o & ~def[b].w[w]);
        changed |= i != in[b].w[w];
        out[b].w[w] = o;
        in[b].w[w] = i;
      }
  }
  std::vector<int> lo(nr, INT32_MAX), hi(nr, -1);
  auto touch = [&](int r, int at) {
    lo[r] = std::min(lo[r], at);
    hi[r] = std::max(hi[r], at);
  };
  for (size_t b = 0; b < nb; b++) {
    int first = g.first[b], last = g.blockEnd((int)b) - 1;
    for (size_t w = 0; w < in[b].w.size(); w++) {
      for (uint64_t s = in[b].w[w]; s; s &= s - 1) touch((int)w * 64 + __builtin_ctzll(s), first);
      for (uint64_t s = out[b].w[w]; s; s &= s - 1) touch((int)w * 64 + __builtin_ctzll(s), last);
    }
    for (int i = first; i <= last; i++)
      visit(f.code[i], [&](int r) { touch(r, i); }, [&](int r) { touch(r, i); });
  }
  Registers out_;
  out_.place.assign(nr, 0);
  std::vector<int> order;
  for (size_t r = 0; r < nr; r++) {
    if (f.regs[r].bytes == 0) out_.place[r] = (int32_t)out_.preds++;
    else if (hi[r] >= 0) order.push_back((int)r);
  }
  std::sort(order.begin(), order.end(), [&](int a, int b) { return lo[a] != lo[b] ? lo[a] < lo[b] : a < b; });
  // An interval's place is free one instruction after its end, so that no instruction
  // writes a register that it still reads.
  std::vector<int> active;
  std::vector<int32_t> spare[2];
  for (int r : order) {
    for (size_t k = 0; k < active.size();) {
      int a = active[k];
      if (hi[a] < lo[r]) {
        spare[f.regs[a].bytes == 8].push_back(out_.place[a]);
        active[k] = active.back();
        active.pop_back();
      } else {
        k++;
      }
    }
    bool big = f.regs[r].bytes == 8;
    if (spare[big].empty()) {
      out_.place[r] = (int32_t)out_.bytes;
      out_.bytes += big ? 256 : 128;
    } else {
      out_.place[r] = spare[big].back();
      spare[big].pop_back();
    }
    active.push_back(r);
  }
  return out_;
}

}  // namespace emu
