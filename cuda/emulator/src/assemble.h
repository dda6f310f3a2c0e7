// From a flattened function to a Kernel: control flow, registers, encoding.
#pragma once
#include "decode.h"

namespace emu {

Function flatten(const Module& m, const Function& f);

// Flow is the control-flow graph. join is, for a conditional branch, the instruction at
// which its lanes meet again (the immediate post-dominator), or -1.
struct Flow {
  std::vector<int> first;              // first instruction of each block
  std::vector<std::vector<int>> succ;  // blocks
  std::vector<int> blockOf;            // by instruction
  std::vector<int> ipdom;              // block, or -1
  int blockEnd(int b) const { return b + 1 < (int)first.size() ? first[b + 1] : (int)blockOf.size(); }
};
Flow flow(const Function& f);

// Registers places virtual registers: many share a place if they are never live at once.
struct Registers {
  std::vector<int32_t> place;  // byte offset, or predicate index
  uint32_t bytes = 0, preds = 1;
};
Registers allocate(const Function& f, const Flow& g);

bool isBranch(const Insn& in);

struct Assembler {
  const Module& mod;
  Function f;
  Kernel& k;
  Flow g;
  Registers r;
  std::map<std::pair<uint64_t, int>, int32_t> constants;
  std::vector<uint8_t> constBytes;
  std::map<std::string, Var> vars;  // shared, local and .param variables with addresses
  std::map<std::string, int32_t> specials;
  std::map<std::string, uint32_t> tables;
  int32_t sink32 = -1, sink64 = -1;

  int32_t newRegister(int bytes) {
    int32_t at = (int32_t)r.bytes;
    r.bytes += bytes == 8 ? 256 : 128;
    return at;
  }
  const Var& symbol(const std::string& name);
  void layout();
  void run();
};

}  // namespace emu
