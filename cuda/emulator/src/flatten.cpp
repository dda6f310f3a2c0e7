// Calls are inlined before anything else is done: a callee's registers, labels and
// variables become the caller's, its formal .param variables the caller's actual ones.
#include "assemble.h"

namespace emu {
namespace {

[[noreturn]] void bad(const Insn& in, const std::string& why) {
  throw Fault{218, "PTX line " + std::to_string(in.line) + ": " + in.text + ": " + why};
}

struct Inliner {
  const Module& m;
  Function out;
  int calls = 0;

  struct Frame {
    int regBase = 0;
    std::string suffix;
    std::map<std::string, std::string> vars;  // names that are the caller's
    std::string end;                          // where ret goes; empty in the kernel itself
  };

  void rename(Operand& o, const Frame& f) {
    if (o.reg >= 0) o.reg += f.regBase;
    if (o.reg2 >= 0) o.reg2 += f.regBase;
    if (!o.name.empty() && o.kind != Operand::Special) {
      auto v = f.vars.find(o.name);
      if (v != f.vars.end()) o.name = v->second;
    }
    for (auto& s : o.sub) rename(s, f);
  }

  void add(const Function& f, Frame frame, int depth) {
    std::map<int, std::vector<std::string>> at;
    for (auto& l : f.labels) {
      at[l.second].push_back(l.first + frame.suffix);
      frame.vars[l.first] = l.first + frame.suffix;
    }
    for (auto v : f.vars) {
      if (!frame.suffix.empty()) {
        frame.vars[v.name] = v.name + frame.suffix;
        v.name += frame.suffix;
      }
      out.vars.push_back(v);
    }
    for (auto& t : f.tables) {
      frame.vars[t.first] = t.first + frame.suffix;
      auto& labels = out.tables[t.first + frame.suffix];
      for (auto& l : t.second) labels.push_back(l + frame.suffix);
    }
    for (size_t i = 0; i <= f.code.size(); i++) {
      auto here = at.find((int)i);
      if (here != at.end())
        for (auto& l : here->second) out.labels[l] = (int)out.code.size();
      if (i == f.code.size()) break;
      Insn in = f.code[i];
      if (in.guard >= 0) in.guard += frame.regBase;
      for (auto& o : in.args) rename(o, frame);
      if (in.base() == "call") {
        call(in, depth);
      } else if (in.base() == "ret" && !frame.end.empty()) {
        in.op = "bra";
        in.parts = {"bra"};
        Operand to;
        to.kind = Operand::Sym;
        to.name = frame.end;
        in.args = {to};
        out.code.push_back(std::move(in));
      } else {
        out.code.push_back(std::move(in));
      }
    }
  }

  void call(const Insn& in, int depth) {
    if (in.guard >= 0) bad(in, "a predicated call is not supported");
    std::vector<Operand> rets, args;
    size_t k = 0;
    if (k < in.args.size() && in.args[k].kind == Operand::Vec) rets = in.args[k++].sub;
    if (k >= in.args.size() || in.args[k].kind != Operand::Sym) bad(in, "indirect calls are not supported");
    std::string name = in.args[k++].name;
    if (k < in.args.size() && in.args[k].kind == Operand::Vec) args = in.args[k++].sub;
    if (name == "vprintf") return;  // prints nothing
    if (name == "__assertfail") {
      Insn t = in;
      t.op = "trap.assert";
      t.parts = {"trap", "assert"};
      t.args.clear();
      out.code.push_back(t);
      return;
    }
    auto f = m.functions.find(name);
    if (f == m.functions.end() || f->second.declared) bad(in, "unknown function " + name);
    if (depth > 32) bad(in, "recursion is not supported");
    const Function& callee = f->second;
    if (args.size() != callee.params.size() || rets.size() != callee.rets.size()) bad(in, "wrong number of arguments");
    Frame frame;
    frame.regBase = (int)out.regs.size();
    frame.suffix = "@" + std::to_string(++calls);
    frame.end = "end" + frame.suffix;
    out.regs.insert(out.regs.end(), callee.regs.begin(), callee.regs.end());
    for (size_t i = 0; i < args.size(); i++) bind(in, frame, callee.params[i], args[i], true);
    for (size_t i = 0; i < rets.size(); i++) bind(in, frame, callee.rets[i], rets[i], false);
    add(callee, frame, depth + 1);
    for (size_t i = 0; i < rets.size(); i++)
      if (callee.rets[i].space == Space::Reg) move(in, rets[i].reg, regOperand(frame.regBase + callee.rets[i].reg), callee.rets[i].size);
    out.labels[frame.end] = (int)out.code.size();
  }

  static Operand regOperand(int r) {
    Operand o;
    o.kind = Operand::Reg;
    o.reg = r;
    return o;
  }
  void move(const Insn& in, int to, Operand from, uint64_t bytes) {
    Insn mv;
    mv.text = in.text;
    mv.line = in.line;
    std::string type = bytes == 0 ? "pred" : "b" + std::to_string(bytes * 8);
    mv.op = "mov." + type;
    mv.parts = {"mov", type};
    mv.args = {regOperand(to), std::move(from)};
    out.code.push_back(mv);
  }
  void bind(const Insn& in, Frame& frame, const Var& formal, const Operand& actual, bool value) {
    if (formal.space == Space::Reg) {
      if (value) move(in, frame.regBase + formal.reg, actual, formal.size);
    } else {
      if (actual.kind != Operand::Sym) bad(in, "a .param argument must be a .param variable");
      frame.vars[formal.name] = actual.name;
    }
  }
};

}  // namespace

Function flatten(const Module& m, const Function& f) {
  Inliner in{m, {}, 0};
  in.out.name = f.name;
  in.out.entry = true;
  in.out.params = f.params;
  in.out.regs = f.regs;
  in.out.line = f.line;
  memcpy(in.out.maxntid, f.maxntid, sizeof f.maxntid);
  memcpy(in.out.reqntid, f.reqntid, sizeof f.reqntid);
  in.add(f, {}, 0);
  Function& g = in.out;
  Insn last;
  last.text = last.op = "ret";
  last.parts = {"ret"};
  last.line = g.code.empty() ? f.line : g.code.back().line;
  g.code.push_back(last);
  // A branch to a bare ret is an exit of those lanes: the others have nobody to wait for.
  for (auto& b : g.code) {
    if (b.base() != "bra" || b.args.size() != 1) continue;
    auto to = g.labels.find(b.args[0].name);
    if (to == g.labels.end()) bad(b, "unknown label");
    const Insn& t = g.code[to->second];
    if ((t.base() == "ret" || t.base() == "exit") && t.guard < 0) {
      b.op = "exit";
      b.parts = {"exit"};
      b.args.clear();
    }
  }
  return std::move(in.out);
}

}  // namespace emu
