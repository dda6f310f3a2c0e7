// What the decoder makes and the interpreter runs. A warp executes one compact Op at a
// time over 32 lanes; divergent lanes wait on a stack until the branch's immediate
// post-dominator, where they join again.
#pragma once
#include <immintrin.h>

#include <atomic>
#include <cstring>
#include <memory>

#include "ptx.h"

namespace emu {

struct Op;
struct Warp;
struct Block;
struct Race;
using Exec = void (*)(Warp&, const Op&, uint32_t mask);

enum class Ctl : uint8_t { Plain, Bra, Brx, Join, Exit, Trap, Bar };
enum class BarKind : uint8_t { Sync, Arrive, And, Or, Popc };

constexpr uint32_t noPc = 0xffffffff;

// Operands (d, a, b, c, list) are byte offsets into the warp's registers, or, with bit 0
// set, into the kernel's constants. Predicate operands (p, q, guard) are indices into the
// warp's predicates times two, plus one if negated; index 0 always holds.
struct Op {
  Exec fn = nullptr;
  int32_t d = 0, a = 0, b = 0, c = 0;
  int64_t imm = 0;
  int32_t p = 0, q = 0, guard = 0;
  uint32_t target = 0, join = noPc;
  const int32_t* list = nullptr;  // registers of vectors and fragments
  uint32_t insn = 0;              // index into Kernel::source
  uint32_t id = 0;                // slot of a memory instruction's cached segment
  Ctl ctl = Ctl::Plain;
  BarKind bar = BarKind::Sync;
  Space space = Space::Generic;
  uint8_t bytes = 0, lanes = 1;   // element size, elements a lane
  uint8_t mode = 0, mode2 = 0;    // by instruction
  bool wide = false;              // the address is in a 64-bit register
};

struct Source {
  int line;
  std::string text;
};

struct Param {
  uint32_t offset, size;
};

struct Kernel {
  std::string name;
  std::vector<Op> code;
  std::vector<Source> source;
  std::vector<std::unique_ptr<int32_t[]>> lists;
  std::vector<std::vector<uint32_t>> tables;  // branch tables: pcs
  uint8_t* consts = nullptr;                  // 64-byte aligned, owned
  size_t constBytes = 0;
  std::vector<std::pair<std::string, int32_t>> specials;  // register offset of each special register used
  uint32_t regBytes = 0, preds = 1, memOps = 0;
  uint32_t sharedStatic = 0, sharedGranule = 4, localBytes = 0;
  uint32_t sharedAlign = 1;
  bool usesLocal = false, atomicsOnly = false;
  std::vector<Param> params;
  uint32_t paramBytes = 0;
  uint32_t maxntid[3] = {0, 0, 0}, reqntid[3] = {0, 0, 0};
  int maxDynamic = 48 << 10;  // cuFuncSetAttribute
  int ptxVersion = 0, binaryVersion = 0;
  ~Kernel() { free(consts); }
};

// Segment is one allocation as a kernel sees it.
struct Segment {
  uint64_t lo = 1, hi = 0;
  uint8_t* host = nullptr;  // address of lo
};

struct Entry {
  uint32_t pc, rpc, mask;
};

struct Pending {  // one lane's cp.async that has not been waited for
  uint32_t group;
  uint8_t lane, size, used;
  uint32_t dst;
  const uint8_t* src;
};

enum class State : uint8_t { Ready, Barrier, Done };

struct Warp {
  uint8_t* base[2];
  uint32_t* pred;
  uint32_t live;  // lanes that exist and have not exited
  uint32_t mask, pc, rpc;
  std::vector<Entry> stack;
  Block* block;
  uint32_t id;
  State state;
  uint32_t barrier;
  const Op* barOp;
  uint8_t* local;
  std::vector<Pending> pending;
  uint32_t committed[32];
  alignas(64) uint64_t scratch[32];
};

struct Barrier {
  uint32_t arrived = 0, expected = 0;  // warps
  uint32_t count = 0, truth = 0;       // for bar.red
  uint32_t who = 0;                    // mask of warps that arrived
  bool all = true;
};

struct Launch {
  std::shared_ptr<Kernel> kernel;
  uint32_t grid[3], block[3];
  uint32_t dynamicShared = 0;
  std::vector<uint8_t> params;
  uint32_t warps = 0, threads = 0;
  uint64_t gridId = 0;
};

// Memory resolves an address of a kernel's thread: the context's view of its device.
struct Memory {
  virtual ~Memory() = default;
  // find returns the allocation around a, or throws Fault 700 saying what lies there.
  virtual Segment find(uint64_t a, uint32_t bytes, bool write) const = 0;
};

struct Block {
  const Launch* launch;
  const Kernel* k;
  const Memory* memory;
  uint32_t ctaid[3];
  uint8_t* shared;
  uint32_t sharedBytes;
  Segment* cache;
  Race* race;  // null: not checked
  std::vector<Warp> warps;
  Barrier barriers[16];
  uint64_t steps = 0;
};

// Windows of the generic address space; none of them is canonical on the host.
constexpr uint64_t sharedWindow = 0x00E0000000000000, localWindow = 0x00F0000000000000, paramWindow = 0x00F8000000000000;
constexpr uint64_t deviceWindow = 0x00D0000000000000;

struct Limits {
  unsigned threads;     // host threads
  bool race;
  uint64_t maxSteps;    // warp instructions of one block before 702
};

// execute runs every block of a launch. Throws the first Fault.
void execute(const Launch& l, const Memory& mem, const Limits& lim);

// fault adds kernel, thread and PTX line to the reason.
[[noreturn]] void fault(const Warp& w, const Op& o, int lane, int code, const std::string& why);

// decode compiles an entry; addresses of module variables are already set.
std::shared_ptr<Kernel> decode(const Module& m, const Function& f);

// race.cpp
std::unique_ptr<Race> newRace();
struct Race {
  virtual ~Race() = default;
  virtual void begin(uint32_t bytes, uint32_t granule, uint32_t warps) = 0;
  // accesses checks every lane of m; at[i] is an address in shared memory.
  virtual void accesses(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t bytes, bool write, bool atomic) = 0;
  virtual void release(uint32_t who) = 0;  // a barrier let these warps go
  virtual void arrive(uint32_t warp) = 0;  // bar.arrive: later accesses are not ordered
};

}  // namespace emu
