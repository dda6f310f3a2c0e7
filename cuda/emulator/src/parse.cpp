// PTX text to tree (PTX ISA 8/9, chapter 4: syntax). What it does not know is refused.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "ptx.h"

namespace emu {
namespace {

struct Token {
  std::string s;
  int line;
  size_t at;
};

bool identChar(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.'; }

struct Parser {
  const std::string& text;
  std::vector<Token> toks;
  size_t p = 0;
  Module mod;
  Function* fn = nullptr;
  std::vector<std::map<std::string, int>> scopes;               // registers
  std::vector<std::map<std::string, std::string>> renamed;      // variables of inner scopes
  int unique = 0;

  explicit Parser(const std::string& t) : text(t) {}

  [[noreturn]] void bad(const std::string& why) {
    int line = p < toks.size() ? toks[p].line : toks.empty() ? 0 : toks.back().line;
    throw Fault{218, "PTX line " + std::to_string(line) + ": " + why};
  }

  void lex() {
    size_t i = 0, n = text.size();
    int line = 1;
    while (i < n) {
      char c = text[i];
      if (c == '\n') { line++; i++; continue; }
      if (c == 0) break;
      if (isspace((unsigned char)c)) { i++; continue; }
      if (c == '/' && i + 1 < n && text[i + 1] == '/') {
        while (i < n && text[i] != '\n') i++;
        continue;
      }
      if (c == '/' && i + 1 < n && text[i + 1] == '*') {
        for (i += 2; i + 1 < n && !(text[i] == '*' && text[i + 1] == '/'); i++) line += text[i] == '\n';
        i += 2;
        continue;
      }
      size_t b = i;
      if (c == '"') {
        for (i++; i < n && text[i] != '"'; i++) {}
        toks.push_back({text.substr(b, ++i - b), line, b});
      } else if (identChar(c)) {
        while (i < n && (identChar(text[i]) || (text[i] == ':' && i + 2 < n && text[i + 1] == ':' && isalnum((unsigned char)text[i + 2]))))
          i += text[i] == ':' ? 2 : 1;
        toks.push_back({text.substr(b, i - b), line, b});
      } else if (strchr("{}[](),;:+-!@|<>=*&~", c)) {
        toks.push_back({std::string(1, c), line, i++});
      } else {
        throw Fault{218, "PTX line " + std::to_string(line) + ": unexpected character"};
      }
    }
  }

  bool end() const { return p >= toks.size(); }
  const std::string& cur() {
    if (end()) bad("unexpected end of text");
    return toks[p].s;
  }
  bool is(const char* s) { return !end() && toks[p].s == s; }
  bool take(const char* s) {
    if (!is(s)) return false;
    p++;
    return true;
  }
  void expect(const char* s) {
    if (!take(s)) bad(std::string("expected ") + s + ", got " + (end() ? "the end" : cur()));
  }
  std::string next() {
    std::string s = cur();
    p++;
    return s;
  }
  void skipTo(const char* s) {
    while (!take(s)) next();
  }

  Operand number(bool minus) {
    Operand o;
    o.kind = Operand::Imm;
    std::string s = next();
    char* e = nullptr;
    if (s.size() == 10 && s[0] == '0' && (s[1] == 'f' || s[1] == 'F')) {
      o.lit = Operand::F32;
      o.imm = strtoul(s.c_str() + 2, &e, 16);
      if (minus) o.imm ^= 0x80000000u;
    } else if (s.size() == 18 && s[0] == '0' && (s[1] == 'd' || s[1] == 'D')) {
      o.lit = Operand::F64;
      o.imm = strtoull(s.c_str() + 2, &e, 16);
      if (minus) o.imm ^= 1ull << 63;
    } else if (s.find('.') != std::string::npos || (s.find_first_of("eE") != std::string::npos && s[1] != 'x' && s[1] != 'X')) {
      o.lit = Operand::F64;
      double d = strtod(s.c_str(), &e);
      if (minus) d = -d;
      memcpy(&o.imm, &d, 8);
    } else {
      bool bin = s.size() > 2 && s[0] == '0' && (s[1] == 'b' || s[1] == 'B');
      o.imm = bin ? strtoull(s.c_str() + 2, &e, 2) : strtoull(s.c_str(), &e, 0);
      if (*e == 'U') e++;
      if (minus) o.imm = -o.imm;
    }
    if (*e) { p--; bad("bad number " + s); }
    return o;
  }

  int findReg(const std::string& name) {
    for (size_t i = scopes.size(); i-- > 0;) {
      auto f = scopes[i].find(name);
      if (f != scopes[i].end()) return f->second;
    }
    return -1;
  }
  std::string varName(const std::string& name) {
    for (size_t i = renamed.size(); i-- > 0;) {
      auto f = renamed[i].find(name);
      if (f != renamed[i].end()) return f->second;
    }
    return name;
  }

  Operand operand() {
    Operand o;
    if (take("{") || is("(")) {
      const char* close = toks[p].s == "(" ? ")" : "}";
      if (*close == ')') p++;
      o.kind = Operand::Vec;
      while (!take(close)) {
        o.sub.push_back(operand());
        take(",");
      }
      return o;
    }
    if (take("[")) {
      o.kind = Operand::Mem;
      if (isdigit((unsigned char)cur()[0])) {
        o.off = (int64_t)number(false).imm;
      } else {
        std::string s = next();
        o.reg = findReg(s);
        if (o.reg < 0) o.name = varName(s);
      }
      while (!take("]")) {
        if (take(",")) { skipTo("]"); break; }
        bool minus = false;
        if (take("+")) minus = take("-");
        else if (take("-")) minus = true;
        else bad("bad address");
        o.off += (int64_t)number(minus).imm;
      }
      return o;
    }
    if (take("!")) {
      o = operand();
      o.neg = true;
      return o;
    }
    if (take("-")) return number(true);
    if (isdigit((unsigned char)cur()[0])) return number(false);
    std::string s = next();
    if (s == "_") {
      o.kind = Operand::Sink;
    } else if ((o.reg = findReg(s)) >= 0) {
      o.kind = Operand::Reg;
    } else if (s[0] == '%' || s == "WARP_SZ") {
      o.kind = Operand::Special;
      o.name = s;
    } else if (isalpha((unsigned char)s[0]) || s[0] == '_' || s[0] == '$') {
      o.kind = Operand::Sym;
      o.name = varName(s);
      if (take("+")) o.off = (int64_t)number(take("-")).imm;
    } else {
      p--;
      bad("unexpected " + s);
    }
    if (take("|")) {
      std::string q = next();
      if (q != "_" && (o.reg2 = findReg(q)) < 0) bad("unknown register " + q);
    }
    return o;
  }

  void instruction() {
    Insn in;
    size_t first = p;
    in.line = toks[p].line;
    if (take("@")) {
      in.guardNot = take("!");
      std::string g = next();
      if ((in.guard = findReg(g)) < 0) bad("unknown predicate " + g);
    }
    in.op = next();
    if (!isalpha((unsigned char)in.op[0])) { p--; bad("expected an instruction, got " + in.op); }
    for (size_t b = 0; b <= in.op.size();) {
      size_t e = in.op.find('.', b);
      if (e == std::string::npos) e = in.op.size();
      in.parts.push_back(in.op.substr(b, e - b));
      b = e + 1;
    }
    while (!take(";")) {
      in.args.push_back(operand());
      if (!is(";")) expect(",");
    }
    in.text = text.substr(toks[first].at, toks[p - 1].at - toks[first].at);
    fn->code.push_back(std::move(in));
  }

  void registers() {
    std::string type = next();
    int bytes = type == ".pred" ? 0 : typeBytes(type.substr(1));
    if (bytes == 0 && type != ".pred") bad("unknown register type " + type);
    if (bytes > 8) bad("128-bit registers are not supported");
    do {
      std::string name = next();
      int count = -1;
      if (take("<")) {
        count = (int)number(false).imm;
        expect(">");
      }
      for (int i = 0; i < (count < 0 ? 1 : count); i++) {
        scopes.back()[count < 0 ? name : name + std::to_string(i)] = (int)fn->regs.size();
        fn->regs.push_back({(uint8_t)bytes});
      }
    } while (take(","));
  }

  void initialiser(Var& v, int elem) {
    if (take("{")) {
      while (!take("}")) {
        initialiser(v, elem);
        take(",");
      }
      return;
    }
    uint64_t bits = 0;
    bool minus = take("-");
    if (isdigit((unsigned char)cur()[0])) {
      Operand o = number(minus);
      bits = o.imm;
      if (o.lit == Operand::F64 && elem == 4) {
        double d;
        memcpy(&d, &o.imm, 8);
        float f = (float)d;
        bits = 0;
        memcpy(&bits, &f, 4);
      }
    } else {
      Reloc r{v.init.size(), next(), 0, false};
      if (r.symbol == "generic") {
        expect("(");
        r.symbol = next();
        r.generic = true;
        expect(")");
      }
      if (take("+")) r.off = (int64_t)number(false).imm;
      v.relocs.push_back(r);
    }
    for (int i = 0; i < elem; i++) v.init.push_back((uint8_t)(bits >> (8 * i)));
  }

  // variable parses what follows a state space: [.align n] [.v2|.v4] .type name[dims] [= init].
  Var variable(Space space) {
    Var v;
    v.space = space;
    int lanes = 1;
    std::string type;
    for (;;) {
      type = next();
      if (type == ".align") v.align = (uint32_t)number(false).imm;
      else if (type == ".v2") lanes = 2;
      else if (type == ".v4") lanes = 4;
      else if (type == ".ptr" || type == ".attribute") bad("unsupported " + type);
      else break;
    }
    int elem = typeBytes(type.substr(1));
    if (elem == 0) bad("unknown type " + type);
    while (is(".ptr") || is(".align") || is(".global") || is(".const") || is(".shared") || is(".local"))
      if (next() == ".align") number(false);
    v.name = next();
    v.align = std::max(v.align, (uint32_t)(elem * lanes));
    v.size = (uint64_t)elem * lanes;
    while (take("[")) {
      if (take("]")) { v.size = 0; v.isExtern = space == Space::Shared; continue; }
      v.size *= number(false).imm;
      expect("]");
    }
    if (take("=")) {
      initialiser(v, elem);
      if (v.size == 0) v.size = v.init.size();
      if (v.init.size() > v.size) bad("too many initial values for " + v.name);
    }
    return v;
  }

  static bool spaceOf(const std::string& s, Space& out) {
    if (s == ".global") out = Space::Global;
    else if (s == ".const") out = Space::Const;
    else if (s == ".shared") out = Space::Shared;
    else if (s == ".local") out = Space::Local;
    else if (s == ".param") out = Space::Param;
    else return false;
    return true;
  }

  std::vector<Var> formals() {
    std::vector<Var> out;
    if (!take("(")) return out;
    while (!take(")")) {
      if (take(".reg")) {
        std::string type = next();
        int bytes = type == ".pred" ? 0 : typeBytes(type.substr(1));
        Var v;
        v.space = Space::Reg;
        v.name = next();
        v.size = bytes;
        v.reg = (int)fn->regs.size();
        scopes.back()[v.name] = v.reg;
        fn->regs.push_back({(uint8_t)bytes});
        out.push_back(v);
      } else {
        expect(".param");
        out.push_back(variable(Space::Param));
      }
      take(",");
    }
    return out;
  }

  void function(bool entry) {
    Function f;
    fn = &f;
    scopes.assign(1, {});
    renamed.assign(1, {});
    f.entry = entry;
    f.line = toks[p].line;
    if (!entry && is("(")) f.rets = formals();
    f.name = next();
    f.params = formals();
    while (!is("{") && !is(";")) {
      std::string d = next();
      uint32_t* to = d == ".maxntid" ? f.maxntid : d == ".reqntid" ? f.reqntid : nullptr;
      if (to) {
        to[0] = to[1] = to[2] = 1;
        for (int i = 0; i < 3; i++) {
          to[i] = (uint32_t)number(false).imm;
          if (!take(",")) break;
        }
      } else if (d == ".minnctapersm" || d == ".maxnctapersm" || d == ".maxnreg") {
        number(false);
      } else if (d == ".pragma") {
        skipTo(";");
      } else if (d != ".noreturn" && d != ".unified") {
        p--;
        bad("unknown directive " + d);
      }
    }
    if (take(";")) {
      f.declared = true;
      if (!mod.functions.count(f.name)) mod.functions[f.name] = f;
      return;
    }
    expect("{");
    body();
    mod.functions[f.name] = std::move(f);
    fn = nullptr;
  }

  void body() {
    int depth = 0;
    for (;;) {
      Space space;
      const std::string s = cur();
      if (s == "{") {
        p++;
        depth++;
        scopes.emplace_back();
        renamed.emplace_back();
      } else if (s == "}") {
        p++;
        if (depth-- == 0) return;
        scopes.pop_back();
        renamed.pop_back();
      } else if (s == ".reg") {
        p++;
        registers();
        expect(";");
      } else if (spaceOf(s, space)) {
        p++;
        do {
          Var v = variable(space);
          if (depth > 0) {
            std::string own = v.name + "#" + std::to_string(unique++);
            renamed.back()[v.name] = own;
            v.name = own;
          }
          fn->vars.push_back(v);
        } while (take(","));
        expect(";");
      } else if (s == ".loc") {
        for (int line = toks[p].line; !end() && toks[p].line == line;) p++;
      } else if (s == ".pragma") {
        skipTo(";");
      } else if (p + 1 < toks.size() && toks[p + 1].s == ":") {
        p += 2;
        if (take(".branchtargets")) {
          auto& t = fn->tables[s];
          do t.push_back(next());
          while (take(","));
          expect(";");
        } else if (is(".callprototype") || is(".calltargets")) {
          bad("indirect calls are not supported");
        } else {
          if (fn->labels.count(s)) bad("label " + s + " appears twice");
          fn->labels[s] = (int)fn->code.size();
        }
      } else {
        instruction();
      }
    }
  }

  Module run() {
    lex();
    if (!is(".version")) bad("no .version: this is not PTX");
    while (!end()) {
      Space space;
      std::string s = next();
      if (s == ".version") {
        std::string v = next();
        size_t dot = v.find('.');
        if (dot == std::string::npos) bad("bad .version");
        mod.version = atoi(v.c_str()) * 10 + atoi(v.c_str() + dot + 1);
      } else if (s == ".target") {
        std::string t = next();
        if (t.compare(0, 3, "sm_") != 0) bad("unknown target " + t);
        mod.target = atoi(t.c_str() + 3);
        mod.exactTarget = t.back() == 'a';
        while (take(",")) next();
      } else if (s == ".address_size") {
        if (number(false).imm != 64) bad("only 64-bit addresses are supported");
      } else if (s == ".visible" || s == ".extern" || s == ".weak" || s == ".common") {
        continue;
      } else if (s == ".entry" || s == ".func") {
        if (mod.target == 0) bad("no .target");
        function(s == ".entry");
      } else if (spaceOf(s, space)) {
        do mod.vars.push_back(variable(space));
        while (take(","));
        expect(";");
      } else if (s == ".file") {
        for (int line = toks[p - 1].line; !end() && toks[p].line == line;) p++;
      } else if (s == ".section") {
        skipTo("}");
      } else if (s == ".pragma" || s == ".alias") {
        skipTo(";");
      } else {
        p--;
        bad("unexpected " + s);
      }
    }
    return std::move(mod);
  }
};

}  // namespace

int typeBytes(const std::string& t) {
  static const std::map<std::string, int> sizes = {
      {"b8", 1}, {"u8", 1}, {"s8", 1}, {"b16", 2}, {"u16", 2}, {"s16", 2}, {"f16", 2}, {"bf16", 2},
      {"b32", 4}, {"u32", 4}, {"s32", 4}, {"f32", 4}, {"f16x2", 4}, {"bf16x2", 4}, {"tf32", 4},
      {"b64", 8}, {"u64", 8}, {"s64", 8}, {"f64", 8}, {"b128", 16}};
  auto f = sizes.find(t);
  return f == sizes.end() ? 0 : f->second;
}

Module parse(const std::string& text) { return Parser(text).run(); }

}  // namespace emu
