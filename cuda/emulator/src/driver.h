// The driver's objects. One lock guards them all; kernels run under it, spread over host
// threads that only read what it guards.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "exec.h"

namespace emu {

// Result codes that are used by name (cuda.h: CUresult).
enum : int { Ok = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, NoDevice = 100, InvalidDevice = 101, InvalidContext = 201, NoBinary = 209,
             InvalidPtx = 218, UnsupportedPtx = 222, InvalidHandle = 400, NotFound = 500, NotReady = 600, IllegalAddress = 700, OutOfResources = 701,
             PeerAlreadyEnabled = 704, PeerNotEnabled = 705, NotSupported = 801, CaptureUnsupported = 900, CaptureInvalidated = 901,
             CaptureUnmatched = 903, CaptureUnjoined = 904, CaptureIsolation = 905, CaptureImplicit = 906 };

struct Config {
  int devices = 1;
  std::vector<uint64_t> memory;  // bytes, by device; the last counts for the rest
  std::vector<int> sm;
  int driver = 13000;
  bool eager = false, race = false, log = false, quiet = false;
  bool noPeer = false, noPools = false;
  std::set<std::pair<int, int>> noPeerPairs;
  unsigned threads = 2;
  uint64_t maxSteps = 4ull << 30;
};

// control.cpp: settings, counters, faults, and the file that a test watches and writes.
Config& config();
uint64_t& counter(const std::string& name);
void poll();                                   // takes new settings from the state file
void refusal(const Fault& f);                  // logs the reason
int injected(int device, const char* op);      // code of a fault that is due, or 0
void logCall(const char* name, int rc);
std::string uuid(int device);                  // 16 bytes

struct Context;
struct Pool;
struct Allocation {
  uint64_t lo = 0, size = 0;
  uint8_t* host = nullptr;
  int device = -1;        // -1: host memory
  bool pending = false;   // cuMemAllocAsync that its stream has not reached
  uint64_t freedAt = 0;   // ticket of the cuMemFreeAsync that its stream has not reached
  Pool* pool = nullptr;   // of cuMemAllocAsync
  bool managed = false, registered = false;
  Context* ctx = nullptr; // whose end frees it
};

struct Stream;
struct Graph;

struct Device {
  int id = 0, sm = 80;
  uint64_t limit = 0, used = 0, next = 0x10000;
  std::map<uint64_t, Allocation> live;       // by lo
  std::deque<std::pair<uint64_t, uint64_t>> freed;  // lo, size: for messages
  Context* primary = nullptr;
  int primaryRefs = 0;
  Pool *pool = nullptr, *current = nullptr;  // its own; the one that cuDeviceSetMemPool names
  uint64_t place(uint64_t size, Context* owner);     // addresses and bytes; accounts are the caller's
  uint64_t allocate(uint64_t size, Context* owner);  // throws OutOfMemory
  void release(uint64_t lo);                 // throws InvalidValue
};

struct Pool {
  Device* device;
  uint64_t threshold = 0, reserved = 0, reservedHigh = 0, used = 0, usedHigh = 0, pieces = 0;
  std::set<int> access;  // other devices
  bool destroyed = false;  // it goes with its last piece
};

using Dep = std::pair<std::shared_ptr<Stream>, uint64_t>;

struct Task {
  enum Kind : uint8_t { Kernel, Copy, Set, Mark, Host, Free, Alloc, Empty };
  Kind kind = Empty;
  const char* op = "";                 // fault class
  std::function<void(Context&)> run;
  std::vector<Dep> deps;
  uint64_t ticket = 0;                 // when it was enqueued, among all tasks
  std::shared_ptr<Launch> launch;      // of a kernel, so that a graph can change it
};

struct Capture;

struct Stream : std::enable_shared_from_this<Stream> {
  Context* ctx = nullptr;
  bool blocking = true, destroyed = false, busy = false;
  int priority = 0;
  std::deque<Task> queue;
  uint64_t queued = 0, done = 0;       // sequence numbers
  std::shared_ptr<Capture> capture;
  std::vector<int> captureDeps;        // nodes that the next captured one follows
};

struct Event {
  Context* ctx;
  std::shared_ptr<Stream> stream;      // null: never recorded
  uint64_t seq = 0;
  double ms = 0;
  bool timed = true;
  std::shared_ptr<Capture> capture;
  std::vector<int> captureDeps;
};

struct Node {
  Task task;
  std::vector<int> deps;
  Graph* child = nullptr;
  Graph* owner = nullptr;
  int index = 0;
  int type = 0;  // CUgraphNodeType
};
struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;
};
struct GraphExec {
  Context* ctx;
  std::vector<Task> tasks;   // in an order that respects every edge
  std::vector<const Node*> from;
  std::unique_ptr<Graph> graph;
};
struct Capture {
  Graph* graph;
  std::shared_ptr<Stream> origin;
  int mode;                  // 0 global, 1 thread local, 2 relaxed
  bool invalid = false;
  std::set<std::shared_ptr<Stream>> joined;
};

struct Decoded {
  int target = 0, version = 0;
  std::map<std::string, std::shared_ptr<Kernel>> kernels;
};
struct ModuleObject;
struct FunctionObject {
  ModuleObject* module;
  std::shared_ptr<Kernel> kernel;
  int maxDynamic = 48 << 10;
};
struct ModuleObject {
  Context* ctx;
  std::shared_ptr<Decoded> code;
  std::map<std::string, std::unique_ptr<FunctionObject>> functions;
  std::map<std::string, std::pair<uint64_t, uint64_t>> globals;  // address, size
};

struct Context {
  Device* device;
  bool primary = false;
  unsigned flags = 0;
  int sticky = 0, pending = 0;        // an error that poisons; one that the next synchronisation reports
  std::shared_ptr<Stream> null, perThread;
  std::vector<std::shared_ptr<Stream>> streams;
  std::set<Context*> peers;
  std::set<ModuleObject*> modules;
};

struct Driver {
  std::recursive_mutex mu;
  std::condition_variable_any idle;
  bool initialised = false;
  std::vector<std::unique_ptr<Device>> devices;
  std::map<uint64_t, Allocation> host;         // pinned, registered and managed memory
  std::set<Context*> contexts;
  std::unordered_map<void*, std::shared_ptr<Stream>> streams;
  std::set<void*> events, modules, functions, graphs, execs, nodes;
  std::unordered_map<uint64_t, std::shared_ptr<Decoded>> decoded;  // by hash of the text
  std::set<Pool*> pools;
  uint64_t grids = 0;
  uint64_t tickets = 0, running = 0;           // the last given; that of the task which runs
};
Driver& driver();
std::vector<Context*>& stack();                // this thread's contexts

// memory.cpp
uint8_t* deviceBytes(Context& c, uint64_t p, uint64_t n, const char* what, bool atRun);  // throws
const Allocation* hostAllocation(const void* p, uint64_t n);
const Allocation* findAllocation(uint64_t p);
inline bool isDevice(uint64_t p) { return (p & 0xFFFF000000000000) == deviceWindow; }
inline int deviceOf(uint64_t p) { return (int)(p >> 40 & 0xff); }
struct View : Memory {                         // what a kernel of a context may touch
  Context& c;
  explicit View(Context& ctx) : c(ctx) {}
  Segment find(uint64_t a, uint32_t bytes, bool write) const override;
};
uint8_t* allocateHost(uint64_t n, bool managed);

// pool.cpp
Pool* defaultPool(Device& d);
void trimPool(Pool& p, uint64_t keep);         // gives back what is reserved, not used and more than keep
void trimPools(Device& d);                     // what a synchronisation does
void leavePool(Pool& p, uint64_t bytes);       // a piece was freed
bool peersOf(int a, int b);                    // api_device.cpp: the hardware has peer access

// stream.cpp
Context& current();                            // throws InvalidContext, or the sticky error
std::shared_ptr<Stream> stream(void* handle);  // throws InvalidHandle
uint64_t enqueue(const std::shared_ptr<Stream>& s, Task t);
void drain(const std::shared_ptr<Stream>& s, uint64_t upto);
void drainContext(Context& c);
void settle(Context& c);                       // throws what execution has left behind
void step(const std::shared_ptr<Stream>& s);   // runs one task
void forbidCapture(Context& c, const std::shared_ptr<Stream>& s = nullptr);  // 900 while capturing
void injectCall(int device, const char* op);   // throws a fault that is due
void injectTask(int device, Task& t);          // the same; one that poisons happens when the task runs
bool stickyCode(int code);
void destroyContext(Context* c);
std::vector<Task> order(const Graph& g, std::vector<const Node*>* from);

// module.cpp
ModuleObject* loadModule(Context& c, const std::string& text);
void unloadModule(ModuleObject* m);
std::shared_ptr<Launch> prepareLaunch(Context& c, FunctionObject* f, const unsigned grid[3], const unsigned block[3], unsigned shared, void** params, void** extra);
Task kernelTask(std::shared_ptr<Launch> l);

// call wraps every entry point: lock, count, settings, faults, reasons.
template <class F>
int call(const char* name, uint64_t& count, F f) {
  std::unique_lock<std::recursive_mutex> l(driver().mu);
  count++;
  int rc = Ok;
  try {
    poll();
    if (int code = injected(stack().empty() ? -1 : stack().back()->device->id, "any")) throw Fault{code, std::string("injected into ") + name};
    f();
  } catch (Fault& e) {
    rc = e.code;
    if (!e.what.empty()) refusal(e);
  }
  logCall(name, rc);
  return rc;
}

}  // namespace emu

#define EMU_API(name, ...) extern "C" __attribute__((visibility("default"))) int name(__VA_ARGS__)
#define EMU_CALL(name, ...)                                       \
  {                                                               \
    static uint64_t& count_ = emu::counter("call." name);         \
    return emu::call(name, count_, [&]() -> void __VA_ARGS__);           \
  }
// Another spelling of an entry point of the same file.
#define EMU_ALIAS(to, name) asm(".globl " #name "\n.type " #name ", @function\n.set " #name ", " #to "\n");
