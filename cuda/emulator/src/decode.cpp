// Encodes a flattened function: addresses, operands, branches and joins.
#include <algorithm>

#include "assemble.h"

namespace emu {

void Encoder::unknown(const std::string& why) const {
  throw Fault{218, "PTX line " + std::to_string(in.line) + ": unsupported instruction " + in.text + (why.empty() ? "" : ": " + why)};
}

const std::string& Encoder::part(size_t i) const {
  static const std::string empty;
  return i < in.parts.size() ? in.parts[i] : empty;
}

void Encoder::only(std::initializer_list<const char*> known) const {
  for (size_t i = 1; i < in.parts.size(); i++) {
    bool ok = typeBytes(in.parts[i]) > 0;
    for (auto k : known) ok = ok || in.parts[i] == k;
    if (!ok) unknown("." + in.parts[i]);
  }
}

bool Encoder::isPred(size_t i) const {
  auto& o = in.args[i];
  return o.kind == Operand::Reg && as.f.regs[o.reg].bytes == 0;
}

int Encoder::regBytes(size_t i) const {
  auto& o = in.args[i];
  if (o.kind != Operand::Reg) unknown("expected a register");
  return as.f.regs[o.reg].bytes;
}

int32_t Encoder::sink(int bytes) {
  int32_t& s = bytes == 8 ? as.sink64 : as.sink32;
  if (s < 0) s = as.newRegister(bytes);
  return s;
}

int32_t Encoder::special(const std::string& name) {
  auto s = as.specials.find(name);
  if (s == as.specials.end()) s = as.specials.emplace(name, as.newRegister(4)).first;
  return s->second;
}

int32_t* Encoder::words(size_t n) {
  as.k.lists.push_back(std::make_unique<int32_t[]>(n));
  return as.k.lists.back().get();
}

const int32_t* Encoder::pointer(const void* p) {
  int32_t* list = words(2);
  memcpy(list, &p, sizeof p);
  return list;
}

int32_t Encoder::dst(size_t i, int bytes) {
  if (i >= in.args.size()) unknown("too few operands");
  auto& o = in.args[i];
  if (o.kind == Operand::Sink) return sink(bytes);
  if (o.kind != Operand::Reg || as.f.regs[o.reg].bytes == 0) unknown("bad destination");
  if ((as.f.regs[o.reg].bytes == 8) != (bytes == 8)) unknown("the destination has another size");
  return as.r.place[o.reg];
}

int32_t Encoder::constant(uint64_t v, int bytes) {
  auto key = std::make_pair(v, bytes == 8 ? 8 : 4);
  auto f = as.constants.find(key);
  if (f != as.constants.end()) return f->second;
  int32_t at = (int32_t)as.constBytes.size() | 1;
  for (int i = 0; i < 32; i++) {
    uint8_t* p = (uint8_t*)&v;
    as.constBytes.insert(as.constBytes.end(), p, p + key.second);
  }
  return as.constants[key] = at;
}

int32_t Encoder::src(const Operand& o, int bytes, bool isFloat) {
  switch (o.kind) {
    case Operand::Reg: {
      int b = as.f.regs[o.reg].bytes;
      if (b == 0 || (b == 8) != (bytes == 8)) unknown("an operand has another size");
      if (o.neg) unknown("! wants a predicate");
      return as.r.place[o.reg];
    }
    case Operand::Imm: {
      uint64_t v = o.imm;
      if (o.lit == Operand::F64 && bytes == 4) {
        float x = (float)__builtin_bit_cast(double, v);
        v = __builtin_bit_cast(uint32_t, x);
      } else if (o.lit == Operand::F32 && bytes == 8) {
        v = __builtin_bit_cast(uint64_t, (double)__builtin_bit_cast(float, (uint32_t)v));
      } else if (o.lit == Operand::Int && isFloat) {
        unknown("a float operand wants a float literal");
      }
      if (bytes < 8) v = (uint32_t)v;
      return constant(v, bytes);
    }
    case Operand::Sym:
      return constant(as.symbol(o.name).addr + (uint64_t)o.off, bytes);
    case Operand::Special: {
      if (o.name == "WARP_SZ") return constant(32, bytes);
      int want = o.name == "%clock64" || o.name == "%globaltimer" || o.name == "%gridid" ? 8 : 4;
      auto s = as.specials.find(o.name);
      if (s == as.specials.end()) s = as.specials.emplace(o.name, as.newRegister(want)).first;
      if (want != (bytes == 8 ? 8 : 4)) unknown("a special register has another size");
      return s->second;
    }
    default:
      unknown("bad operand");
  }
}

int32_t Encoder::pred(const Operand& o) {
  if (o.kind == Operand::Sink) return 2 * (int32_t)as.r.preds;  // a predicate nobody reads
  if (o.kind == Operand::Imm) return o.imm ? 0 : 1;
  if (o.kind != Operand::Reg || as.f.regs[o.reg].bytes != 0) unknown("expected a predicate");
  return as.r.place[o.reg] * 2 + (o.neg ? 1 : 0);
}

int32_t Encoder::pred2(size_t i) {
  auto& o = in.args[i];
  if (o.reg2 < 0) return 0;
  if (as.f.regs[o.reg2].bytes != 0) unknown("expected a predicate");
  return as.r.place[o.reg2] * 2;
}

const int32_t* Encoder::vector(size_t i, int bytes, bool dest, size_t want) {
  auto& o = in.args[i];
  if (o.kind != Operand::Vec && want > 1) unknown("expected a vector");
  std::vector<const Operand*> parts;
  if (o.kind == Operand::Vec)
    for (auto& s : o.sub) parts.push_back(&s);
  else
    parts.push_back(&o);
  if (parts.size() != want) unknown("the vector has another length");
  int32_t* list = words(want);
  for (size_t k = 0; k < want; k++) {
    if (dest && parts[k]->kind == Operand::Sink) list[k] = sink(bytes);
    else if (dest && parts[k]->kind != Operand::Reg) unknown("bad destination");
    else list[k] = src(*parts[k], bytes);
  }
  return list;
}

void Encoder::address(size_t i, Space space) {
  if (i >= in.args.size()) unknown("too few operands");
  auto& o = in.args[i];
  if (o.kind != Operand::Mem) unknown("expected an address");
  op.space = space;
  op.imm = o.off;
  op.id = as.k.memOps++;
  if (o.reg >= 0) {
    int b = as.f.regs[o.reg].bytes;
    if (b != 4 && b != 8) unknown("an address must be in a 32-bit or 64-bit register");
    op.wide = b == 8;
    op.a = as.r.place[o.reg];
    return;
  }
  uint64_t base = 0;
  if (!o.name.empty()) {
    const Var& v = as.symbol(o.name);
    base = v.addr;
    bool entryParam = v.space == Space::Param && v.isExtern;
    if (space == Space::Param && !entryParam) op.space = Space::Local;
  }
  op.wide = true;
  op.a = constant(base, 8);
}

void Encoder::shared(uint32_t bytes) { as.k.sharedGranule = std::min(as.k.sharedGranule, bytes); }
int Encoder::bytesOf(int reg) const { return as.f.regs[reg].bytes; }

uint32_t Encoder::table(const std::string& name) {
  auto t = as.tables.find(name);
  if (t != as.tables.end()) return t->second;
  uint32_t id = (uint32_t)as.tables.size();
  return as.tables[name] = id;
}

const Var& Assembler::symbol(const std::string& name) {
  auto v = vars.find(name);
  if (v != vars.end()) return v->second;
  for (auto& m : mod.vars)
    if (m.name == name) return m;
  throw Fault{218, "unknown symbol " + name + " in " + k.name};
}

static uint64_t up(uint64_t v, uint64_t a) { return (v + a - 1) / a * a; }

static bool mentions(const Operand& o, const std::string& n) {
  if (o.name == n) return true;
  for (auto& s : o.sub)
    if (mentions(s, n)) return true;
  return false;
}

// layout gives shared, local and parameter variables their addresses.
void Assembler::layout() {
  uint64_t shared = 0, local = 0, param = 0;
  std::vector<Var> dynamic;
  auto place = [&](Var v) {
    if (v.space == Space::Shared && v.isExtern) { dynamic.push_back(v); return; }
    uint64_t& at = v.space == Space::Shared ? shared : local;
    at = up(at, v.align);
    v.addr = at;
    at += v.size;
    v.isExtern = false;
    vars[v.name] = v;
  };
  for (auto& v : mod.vars) {
    if (v.space != Space::Shared) continue;
    bool used = std::any_of(f.code.begin(), f.code.end(), [&](const Insn& in) {
      return std::any_of(in.args.begin(), in.args.end(), [&](const Operand& o) { return mentions(o, v.name); });
    });
    if (used) place(v);
  }
  for (auto& v : f.vars) place(v);
  for (auto& v : dynamic) {
    shared = up(shared, std::max<uint32_t>(v.align, 1));
    k.sharedAlign = std::max(k.sharedAlign, v.align);
  }
  for (auto& v : dynamic) v.addr = shared, vars[v.name] = v;
  for (auto v : f.params) {
    param = up(param, v.align);
    v.addr = param;
    v.isExtern = true;  // an entry's parameter, not a local .param variable
    k.params.push_back({(uint32_t)param, (uint32_t)v.size});
    param += v.size;
    vars[v.name] = v;
  }
  k.sharedStatic = (uint32_t)shared;
  k.localBytes = (uint32_t)up(local, 16);
  k.paramBytes = (uint32_t)param;
}

static void encode(Encoder& e) {
  auto& op = e.op;
  const std::string& b = e.in.base();
  if (b == "bra") {
    op.ctl = Ctl::Bra;
  } else if (b == "brx") {
    op.ctl = Ctl::Brx;
    op.a = e.src(0, 4);
    op.id = e.table(e.in.args.at(1).name);
  } else if (b == "ret" || b == "exit") {
    op.ctl = Ctl::Exit;
  } else if (b == "trap" || b == "brkpt") {
    op.ctl = Ctl::Trap;
    op.mode = e.in.has("assert");
  } else if (!(selectInteger(e) || selectLogic(e) || selectFloat(e) || selectHalf(e) || selectCompare(e) || selectConvert(e) ||
               selectMove(e) || selectMemory(e) || selectAtomic(e) || selectAsync(e) || selectWarp(e) || selectMatrix(e))) {
    e.unknown();
  }
}

void Assembler::run() {
  layout();
  std::vector<bool> joins(g.first.size());
  for (size_t b = 0; b < g.first.size(); b++) {
    const Insn& last = f.code[g.blockEnd((int)b) - 1];
    if (isBranch(last) && g.succ[b].size() > 1 && g.ipdom[b] >= 0) joins[g.ipdom[b]] = true;
  }
  std::vector<uint32_t> pc(g.first.size());
  std::vector<size_t> branches;
  std::vector<int> branchBlock;
  for (size_t b = 0; b < g.first.size(); b++) {
    pc[b] = (uint32_t)k.code.size();
    if (joins[b]) {
      Op j;
      j.ctl = Ctl::Join;
      j.insn = (uint32_t)g.first[b];
      k.code.push_back(j);
    }
    for (int i = g.first[b]; i < g.blockEnd((int)b); i++) {
      const Insn& in = f.code[i];
      Op op;
      op.insn = (uint32_t)i;
      Encoder e{*this, in, op};
      if (in.guard >= 0) {
        if (f.regs[in.guard].bytes != 0) e.unknown("the guard is no predicate");
        op.guard = r.place[in.guard] * 2 + in.guardNot;
      }
      encode(e);
      if (op.ctl == Ctl::Bra || op.ctl == Ctl::Brx) branches.push_back(k.code.size()), branchBlock.push_back((int)b);
      k.code.push_back(op);
    }
  }
  for (size_t i = 0; i < branches.size(); i++) {
    Op& op = k.code[branches[i]];
    int b = branchBlock[i];
    if (op.ctl == Ctl::Bra) op.target = pc[g.succ[b][0]];
    if (g.ipdom[b] >= 0) op.join = pc[g.ipdom[b]];
  }
  k.tables.resize(tables.size());
  for (auto& t : tables)
    for (auto& l : f.tables[t.first]) k.tables[t.second].push_back(pc[g.blockOf[f.labels[l]]]);
  for (auto& in : f.code) k.source.push_back({in.line, in.text});
  for (auto& s : specials) k.specials.push_back(s);
  k.regBytes = r.bytes;
  k.preds = r.preds + 1;
  k.constBytes = constBytes.size();
  k.consts = (uint8_t*)aligned_alloc(64, up(std::max<size_t>(constBytes.size(), 64), 64));
  memcpy(k.consts, constBytes.data(), constBytes.size());
}

std::shared_ptr<Kernel> decode(const Module& m, const Function& fn) {
  auto k = std::make_shared<Kernel>();
  k->name = fn.name;
  memcpy(k->maxntid, fn.maxntid, sizeof fn.maxntid);
  memcpy(k->reqntid, fn.reqntid, sizeof fn.reqntid);
  k->ptxVersion = m.target;
  Function f = flatten(m, fn);
  Flow g = flow(f);
  Registers r = allocate(f, g);
  Assembler as{m, std::move(f), *k, std::move(g), std::move(r), {}, {}, {}, {}, {}};
  as.run();
  return k;
}

}  // namespace emu
