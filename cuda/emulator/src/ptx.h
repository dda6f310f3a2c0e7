// The PTX text as a tree: what the parser makes and the decoder reads.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace emu {

// Fault is a refusal: a CUDA result code and the reason in words.
struct Fault {
  int code;
  std::string what;
};

enum class Space : uint8_t { Generic, Global, Const, Shared, Local, Param, Reg };

struct Operand {
  enum Kind : uint8_t { None, Reg, Imm, Sym, Special, Vec, Mem, Sink };
  enum Lit : uint8_t { Int, F32, F64 };
  Kind kind = None;
  Lit lit = Int;
  bool neg = false;   // !p
  int reg = -1;       // Reg, or the base of Mem
  int reg2 = -1;      // q of p|q
  uint64_t imm = 0;   // bits of an immediate
  int64_t off = 0;    // offset of Mem and Sym
  std::string name;   // Sym, Special, or the base symbol of Mem
  std::vector<Operand> sub;
};

struct Insn {
  std::string text;                // as written, for messages
  std::string op;                  // full opcode
  std::vector<std::string> parts;  // the opcode split at its dots
  std::vector<Operand> args;
  int guard = -1;
  bool guardNot = false;
  int line = 0;
  const std::string& base() const { return parts[0]; }
  bool has(const char* modifier) const {
    for (size_t i = 1; i < parts.size(); i++)
      if (parts[i] == modifier) return true;
    return false;
  }
};

struct VReg {
  uint8_t bytes;  // 0: a predicate
};

struct Reloc {
  uint64_t at;
  std::string symbol;
  int64_t off;
  bool generic;
};

struct Var {
  Space space = Space::Global;
  std::string name;
  uint64_t size = 0;
  uint32_t align = 1;
  bool isExtern = false;  // extern .shared name[]: dynamic shared memory
  std::vector<uint8_t> init;
  std::vector<Reloc> relocs;
  uint64_t addr = 0;
  int reg = -1;  // a formal parameter in .reg space
};

struct Function {
  std::string name;
  bool entry = false, declared = false;
  int line = 0;
  std::vector<Var> params, rets, vars;
  std::vector<VReg> regs;
  std::vector<Insn> code;
  std::map<std::string, int> labels;
  std::map<std::string, std::vector<std::string>> tables;  // .branchtargets
  uint32_t maxntid[3] = {0, 0, 0}, reqntid[3] = {0, 0, 0};
};

struct Module {
  int version = 0, target = 0;  // 80 is ISA 8.0; sm
  bool exactTarget = false;     // sm_90a
  std::vector<Var> vars;
  std::map<std::string, Function> functions;
};

// parse throws Fault 218 naming the line for text that is not PTX.
Module parse(const std::string& text);

// typeBytes is the size of a fundamental type ("f32", "b16", "f16x2"); 0 if it is none.
int typeBytes(const std::string& type);

}  // namespace emu
