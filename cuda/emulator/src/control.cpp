// Settings come from the environment (AIMASS_EMU_…), and, while the process runs, from the
// state file that AIMASS_EMU_STATE names. Its layout is read by the Go side (state.go):
//   0     "AIMASSEMU1"
//   64    u64 generation of the command, written by the test
//   72    u64 generation last taken
//   128   command text: NAME=value lines, NUL-terminated
//   4096  reason of the last refusal, NUL-terminated; at 8184 a u64 count of refusals
//   8192  u64 number of counters, then from 8256 records of 64 bytes: name[56], u64 value
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "driver.h"

namespace emu {
namespace {

constexpr size_t stateBytes = 256 << 10, firstRecord = 8256, recordBytes = 64;

struct Injection {
  int device;  // -1: any
  std::string op;
  uint64_t n;  // counts down
  int code;
  bool forever;
};

struct Control {
  Config cfg;
  std::vector<Injection> faults;
  uint8_t* state = nullptr;
  uint64_t generation = 0;
  std::map<std::string, uint64_t*> counters;

  std::vector<std::string> split(const std::string& s, const char* seps) {
    std::vector<std::string> out(1);
    for (char c : s) {
      if (strchr(seps, c)) out.emplace_back();
      else out.back() += c;
    }
    return out;
  }

  void set(const std::string& name, const std::string& v) {
    auto number = [&] { return strtoull(v.c_str(), nullptr, 0); };
    if (name == "DEVICES") {
      cfg.devices = (int)number();
    } else if (name == "MEM_MB") {
      cfg.memory.clear();
      for (auto& p : split(v, ",")) cfg.memory.push_back((uint64_t)(atof(p.c_str()) * 1048576));
    } else if (name == "SM") {
      cfg.sm.clear();
      for (auto& p : split(v, ",")) cfg.sm.push_back(atoi(p.c_str()));
    } else if (name == "DRIVER") {
      cfg.driver = (int)number();
    } else if (name == "EAGER") {
      cfg.eager = number();
    } else if (name == "RACECHECK") {
      cfg.race = number();
    } else if (name == "LOG") {
      cfg.log = number();
    } else if (name == "QUIET") {
      cfg.quiet = number();
    } else if (name == "THREADS") {
      cfg.threads = std::max(1u, (unsigned)number());
    } else if (name == "MAX_STEPS") {
      cfg.maxSteps = number();
    } else if (name == "POOLS") {
      cfg.noPools = v == "0";
    } else if (name == "NOPEER") {
      cfg.noPeer = v == "1";
      cfg.noPeerPairs.clear();
      for (auto& p : split(v, ",")) {
        auto ab = split(p, "-");
        if (ab.size() == 2) cfg.noPeerPairs.insert({atoi(ab[0].c_str()), atoi(ab[1].c_str())});
      }
    } else if (name == "FAIL") {
      faults.clear();
      for (auto& spec : split(v, ",;")) {
        auto f = split(spec, ":");
        if (f.size() < 4) continue;
        faults.push_back({f[0] == "*" ? -1 : atoi(f[0].c_str()), f[1], strtoull(f[2].c_str(), nullptr, 0), atoi(f[3].c_str()), f.size() > 4});
      }
    }
  }

  Control() {
    cfg.memory = {4096ull << 20};
    cfg.sm = {80};
    cfg.threads = std::max(1u, std::thread::hardware_concurrency());
    for (const char* name : {"DEVICES", "MEM_MB", "SM", "DRIVER", "EAGER", "RACECHECK", "LOG", "QUIET", "THREADS", "MAX_STEPS", "NOPEER", "POOLS", "FAIL"})
      if (const char* v = getenv((std::string("AIMASS_EMU_") + name).c_str())) set(name, v);
    if (const char* path = getenv("AIMASS_EMU_STATE")) open(path);
  }

  void open(const char* path) {
    int fd = ::open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, stateBytes) != 0) {
      fprintf(stderr, "emulator: can't open the state file\n");
      if (fd >= 0) close(fd);
      return;
    }
    void* p = mmap(nullptr, stateBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED) return;
    state = (uint8_t*)p;
    memcpy(state, "AIMASSEMU1", 11);
  }

  uint64_t* slot(const std::string& name) {
    auto f = counters.find(name);
    if (f != counters.end()) return f->second;
    uint64_t* v = nullptr;
    if (state) {
      uint64_t& n = *(uint64_t*)(state + 8192);
      for (uint64_t i = 0; i < n && !v; i++) {  // a file may outlive a process
        uint8_t* r = state + firstRecord + i * recordBytes;
        if (strncmp((char*)r, name.c_str(), 55) == 0) v = (uint64_t*)(r + 56);
      }
      if (!v && firstRecord + (n + 1) * recordBytes <= stateBytes) {
        uint8_t* r = state + firstRecord + n * recordBytes;
        snprintf((char*)r, 56, "%s", name.c_str());
        v = (uint64_t*)(r + 56);
        __atomic_store_n(&n, n + 1, __ATOMIC_RELEASE);
      }
    }
    if (!v) v = new uint64_t(0);
    return counters[name] = v;
  }
};

Control& control() {
  static Control* c = new Control;
  return *c;
}

}  // namespace

Config& config() { return control().cfg; }

uint64_t& counter(const std::string& name) {
  static std::mutex mu;
  std::lock_guard<std::mutex> l(mu);
  return *control().slot(name);
}

void poll() {
  Control& c = control();
  if (!c.state) return;
  uint64_t g = __atomic_load_n((uint64_t*)(c.state + 64), __ATOMIC_ACQUIRE);
  if (g == c.generation) return;
  c.generation = g;
  std::string text((char*)c.state + 128, strnlen((char*)c.state + 128, 4096 - 128));
  for (auto& line : c.split(text, "\n")) {
    size_t eq = line.find('=');
    if (eq != std::string::npos) c.set(line.substr(0, eq), line.substr(eq + 1));
  }
  __atomic_store_n((uint64_t*)(c.state + 72), g, __ATOMIC_RELEASE);
}

void refusal(const Fault& f) {
  Control& c = control();
  std::string text = "error " + std::to_string(f.code) + ": " + f.what;
  if (!c.cfg.quiet) fprintf(stderr, "emulator: %s\n", text.c_str());
  if (!c.state) return;
  snprintf((char*)c.state + 4096, 4000, "%s", text.c_str());
  (*(uint64_t*)(c.state + 8184))++;
}

int injected(int device, const char* op) {
  for (auto& f : control().faults) {
    if (f.op != op || (f.device >= 0 && f.device != device) || f.n == 0) continue;
    if (f.n > 1) { f.n--; continue; }
    if (!f.forever) f.n = 0;
    counter("injected")++;
    return f.code;
  }
  return 0;
}

void logCall(const char* name, int rc) {
  if (control().cfg.log) fprintf(stderr, "emulator: %s = %d\n", name, rc);
}

std::string uuid(int device) {
  std::string u = "\xA1\x3A\x55\xE0\x0C\x0D\x4E\x0F\x80\x11\x22\x33\x44\x55\x66";
  u.resize(15);
  return u + (char)device;
}

}  // namespace emu

// For callers that load the library themselves; the state file says the same.
extern "C" __attribute__((visibility("default"))) uint64_t aimass_emu_counter(const char* name) { return emu::counter(name); }
