// The decoder's view of one instruction, and the tables of instructions by family.
#pragma once
#include "exec.h"

namespace emu {

struct Assembler;

// Encoder turns one instruction's operands into an Op. A family's selector returns false
// if the instruction is none of its own; combinations it does not know are refused, so
// nothing is ever skipped silently.
struct Encoder {
  Assembler& as;
  const Insn& in;
  Op& op;

  [[noreturn]] void unknown(const std::string& why = "") const;
  const std::string& part(size_t i) const;
  const std::string& type() const { return in.parts.back(); }
  size_t count() const { return in.args.size(); }
  void want(size_t n) const {
    if (in.args.size() != n) unknown("wrong number of operands");
  }
  bool isSink(size_t i) const { return in.args[i].kind == Operand::Sink; }
  bool isPred(size_t i) const;
  int regBytes(size_t i) const;  // of a register operand; 0 for a predicate

  int32_t dst(size_t i, int bytes);                      // a register of at least bytes, or a sink
  int32_t src(size_t i, int bytes) { return src(in.args[i], bytes); }
  int32_t src(const Operand& o, int bytes, bool isFloat = false);
  int32_t fsrc(size_t i, int bytes) { return src(in.args[i], bytes, true); }
  int32_t pred(size_t i) { return pred(in.args[i]); }
  int32_t pred(const Operand& o);
  int32_t pred2(size_t i);                               // q of p|q, 0 if none
  int32_t sink(int bytes);
  int32_t special(const std::string& name);              // a word a lane that the kernel owns
  int32_t* words(size_t n);                              // room that the kernel owns, for op.list
  const int32_t* pointer(const void* p);                 // keeps a pointer where op.list can reach it
  int32_t constant(uint64_t bits, int bytes);
  const int32_t* vector(size_t i, int bytes, bool dest, size_t want);  // a {…} or a single register
  void address(size_t i, Space space);                   // op.a, op.imm, op.wide, op.space
  void shared(uint32_t bytes);                           // the kernel accesses shared memory this finely
  int bytesOf(int reg) const;
  uint32_t table(const std::string& name);
  // only lists the modifiers that are understood; others are refused.
  void only(std::initializer_list<const char*> known) const;
};

bool selectInteger(Encoder& e);
bool selectLogic(Encoder& e);
bool selectFloat(Encoder& e);
bool selectHalf(Encoder& e);
bool selectCompare(Encoder& e);
bool selectConvert(Encoder& e);
bool selectMove(Encoder& e);
bool selectMemory(Encoder& e);
bool selectAtomic(Encoder& e);
bool selectAsync(Encoder& e);
bool selectWarp(Encoder& e);
bool selectMatrix(Encoder& e);

}  // namespace emu
