// The NVML double: the same devices as the driver's, and what a test says of their health.
// Settings beside the driver's (AIMASS_EMU_ in the environment, or State.Set later):
//   NVML_ORDER     reverse: NVML counts the devices from the other end than CUDA
//   NVML_LOST      devices (CUDA's numbers, commas between) that have fallen off the bus
//   NVML_XID       device:code, commas between: critical XID events, delivered once
//   NVML_ECC       device:count: uncorrected memory errors
//   NVML_MIG       devices in MIG mode
//   NVML_INSTANCES how many instances each of them has (2)
//   NVML_DEVICES   number of devices, where it is not CUDA's
//   NVML_TEMP, NVML_POWER, NVML_UTIL   degrees C, mW, % (40, 60000, 0); or device:value
//   NVML_TOPOLOGY  common ancestor of two devices (10: one PCI switch)
//   NVML_FAIL      result code of nvmlInit
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

enum : int { Ok = 0, Uninitialized = 1, InvalidArgument = 2, NotSupported = 3, NotFound = 6, InsufficientSize = 7, Timeout = 10, GpuIsLost = 15 };

struct Dev {
  int id;         // CUDA's number
  int mig = -1;   // instance of a MIG device, -1: a whole GPU
};
struct EventSet {
  std::map<int, uint64_t> wants;  // types by device
};
struct Event {
  int device;
  uint64_t type, data;
};

struct Nvml {
  std::mutex mu;
  int inits = 0;
  std::map<std::string, std::string> set;
  std::vector<Dev> devices;              // in NVML's order
  std::map<std::pair<int, int>, Dev> mig;
  std::deque<Event> events;
  uint8_t* state = nullptr;
  uint64_t generation = 0;

  Nvml() {
    for (const char* n : {"DEVICES", "MEM_MB", "SM", "NOPEER", "DRIVER", "NVML_ORDER", "NVML_LOST", "NVML_XID", "NVML_ECC", "NVML_MIG", "NVML_INSTANCES", "NVML_DEVICES", "NVML_TEMP", "NVML_POWER",
                          "NVML_UTIL", "NVML_TOPOLOGY", "NVML_FAIL"})
      if (const char* v = getenv((std::string("AIMASS_EMU_") + n).c_str())) apply(n, v);
    if (const char* path = getenv("AIMASS_EMU_STATE")) {
      int fd = open(path, O_RDWR | O_CREAT, 0600);
      if (fd >= 0 && ftruncate(fd, 256 << 10) == 0) {
        void* p = mmap(nullptr, 256 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) state = (uint8_t*)p;
      }
      if (fd >= 0) close(fd);
    }
    int n = set.count("NVML_DEVICES") ? atoi(set["NVML_DEVICES"].c_str()) : set.count("DEVICES") ? atoi(set["DEVICES"].c_str()) : 1;
    for (int i = 0; i < n; i++) devices.push_back({set["NVML_ORDER"] == "reverse" ? n - 1 - i : i});
    for (int i = 0; i < n; i++)
      for (int k = 0; k < 2; k++) mig[{i, k}] = {i, k};
  }

  static std::vector<std::string> split(const std::string& s, char sep) {
    std::vector<std::string> out(1);
    for (char c : s)
      if (c == sep) out.emplace_back();
      else out.back() += c;
    return out;
  }
  void apply(const std::string& name, const std::string& value) {
    set[name] = value;
    if (name != "NVML_XID") return;
    for (auto& x : split(value, ',')) {
      auto p = split(x, ':');
      if (p.size() == 2) events.push_back({atoi(p[0].c_str()), 8, strtoull(p[1].c_str(), nullptr, 0)});
    }
  }
  // poll takes settings from the state file (control.cpp has its layout).
  void poll() {
    if (!state) return;
    uint64_t g = __atomic_load_n((uint64_t*)(state + 64), __ATOMIC_ACQUIRE);
    if (g == generation) return;
    generation = g;
    for (auto& line : split(std::string((char*)state + 128, strnlen((char*)state + 128, 3968)), '\n')) {
      size_t eq = line.find('=');
      if (eq != std::string::npos) apply(line.substr(0, eq), line.substr(eq + 1));
    }
  }
  bool listed(const char* name, int id) {
    for (auto& s : split(set[name], ','))
      if (!s.empty() && atoi(s.c_str()) == id) return true;
    return false;
  }
  // value of a setting for a device: a number for all, or device:number.
  uint64_t value(const char* name, int id, uint64_t otherwise) {
    for (auto& s : split(set[name], ',')) {
      auto p = split(s, ':');
      if (p.size() == 2 && atoi(p[0].c_str()) == id) return strtoull(p[1].c_str(), nullptr, 0);
      if (p.size() == 1 && !p[0].empty()) otherwise = strtoull(p[0].c_str(), nullptr, 0);
    }
    return otherwise;
  }
  uint64_t nth(const char* name, int id, uint64_t otherwise) {
    auto v = split(set[name], ',');
    if (v[0].empty()) return otherwise;
    return (uint64_t)(atof(v[std::min<size_t>((size_t)id, v.size() - 1)].c_str()) * 1.0);
  }
  uint64_t total(int id) { return nth("MEM_MB", id, 4096) << 20; }
  uint64_t used(int id) {
    if (!state) return 0;
    std::string name = "live." + std::to_string(id);
    uint64_t n = *(uint64_t*)(state + 8192);
    for (uint64_t i = 0; i < n && i < 3900; i++)
      if (name == (char*)state + 8256 + i * 64) return *(uint64_t*)(state + 8256 + i * 64 + 56);
    return 0;
  }
};

Nvml& nvml() {
  static Nvml* n = new Nvml;
  return *n;
}

std::string uuid(const Dev& d) {
  char t[64];
  if (d.mig < 0) snprintf(t, sizeof t, "GPU-a13a55e0-0c0d-4e0f-8011-2233445566%02x", d.id);
  else snprintf(t, sizeof t, "MIG-a13a55e0-0c0d-4e0f-8011-22334455%02x%02x", d.mig + 1, d.id);
  return t;
}
std::string bus(const Dev& d) {
  char t[32];
  snprintf(t, sizeof t, "00000000:%02X:00.0", d.id + 1);
  return t;
}

template <class F>
int call(F f) {
  Nvml& n = nvml();
  std::lock_guard<std::mutex> l(n.mu);
  n.poll();
  return n.inits ? f(n) : Uninitialized;
}
// onDevice refuses handles that are none, and devices that are lost.
template <class F>
int onDevice(void* h, F f) {
  return call([&](Nvml& n) {
    const Dev* d = nullptr;
    for (auto& x : n.devices)
      if (&x == h) d = &x;
    for (auto& x : n.mig)
      if (&x.second == h) d = &x.second;
    if (!d) return (int)InvalidArgument;
    return n.listed("NVML_LOST", d->id) ? (int)GpuIsLost : f(n, *d);
  });
}
int text(const std::string& s, char* out, unsigned n) {
  if (n <= s.size()) return InsufficientSize;
  memcpy(out, s.c_str(), s.size() + 1);
  return Ok;
}

struct MemoryV1 { uint64_t total, free, used; };
struct MemoryV2 { unsigned version; uint64_t total, reserved, free, used; };
struct Utilization { unsigned gpu, memory; };
struct Pci { char legacy[16]; unsigned domain, bus, device, pciDevice, subsystem; char busId[32]; };
struct EventData { void* device; uint64_t type, data; unsigned gpuInstance, computeInstance; };

}  // namespace

#define API(name, ...) extern "C" __attribute__((visibility("default"))) int name(__VA_ARGS__)
#define ALIAS(to, name) asm(".globl " #name "\n.type " #name ", @function\n.set " #name ", " #to "\n");

API(nvmlInitWithFlags, unsigned) {
  Nvml& n = nvml();
  std::lock_guard<std::mutex> l(n.mu);
  n.poll();
  if (int code = (int)n.value("NVML_FAIL", -1, 0)) return code;
  n.inits++;
  return Ok;
}
API(nvmlInit_v2) { return nvmlInitWithFlags(0); }
ALIAS(nvmlInit_v2, nvmlInit)
API(nvmlShutdown) { return call([](Nvml& n) { n.inits--; return (int)Ok; }); }
extern "C" __attribute__((visibility("default"))) const char* nvmlErrorString(int code) {
  switch (code) {
    case Ok: return "The operation was successful";
    case Uninitialized: return "NVML was not first initialized with nvmlInit()";
    case InvalidArgument: return "A supplied argument is invalid";
    case NotSupported: return "The requested operation is not available on target device";
    case 9: return "NVIDIA driver is not loaded";
    case Timeout: return "User provided timeout passed";
    case GpuIsLost: return "The GPU has fallen off the bus or has otherwise become inaccessible";
    default: return "Unknown error";
  }
}
API(nvmlSystemGetDriverVersion, char* s, unsigned n) { return call([&](Nvml&) { return text("580.00", s, n); }); }
API(nvmlSystemGetNVMLVersion, char* s, unsigned n) { return call([&](Nvml&) { return text("13.580.00", s, n); }); }
API(nvmlSystemGetCudaDriverVersion_v2, int* v) { return call([&](Nvml& n) { *v = (int)n.value("DRIVER", -1, 13000); return (int)Ok; }); }
ALIAS(nvmlSystemGetCudaDriverVersion_v2, nvmlSystemGetCudaDriverVersion)

API(nvmlDeviceGetCount_v2, unsigned* c) { return call([&](Nvml& n) { *c = (unsigned)n.devices.size(); return (int)Ok; }); }
ALIAS(nvmlDeviceGetCount_v2, nvmlDeviceGetCount)
API(nvmlDeviceGetHandleByIndex_v2, unsigned i, void** out) {
  return call([&](Nvml& n) {
    if (i >= n.devices.size()) return (int)InvalidArgument;
    *out = &n.devices[i];
    return n.listed("NVML_LOST", n.devices[i].id) ? (int)GpuIsLost : (int)Ok;
  });
}
ALIAS(nvmlDeviceGetHandleByIndex_v2, nvmlDeviceGetHandleByIndex)
API(nvmlDeviceGetHandleByUUID, const char* u, void** out) {
  return call([&](Nvml& n) {
    for (auto& d : n.devices)
      if (uuid(d) == u) { *out = &d; return (int)Ok; }
    for (auto& d : n.mig)
      if (uuid(d.second) == u) { *out = &d.second; return (int)Ok; }
    return (int)NotFound;
  });
}
API(nvmlDeviceGetHandleByPciBusId_v2, const char* b, void** out) {
  return call([&](Nvml& n) {
    for (auto& d : n.devices)
      if (bus(d).find(b) != std::string::npos) { *out = &d; return (int)Ok; }
    return (int)NotFound;
  });
}
ALIAS(nvmlDeviceGetHandleByPciBusId_v2, nvmlDeviceGetHandleByPciBusId)
API(nvmlDeviceGetUUID, void* h, char* s, unsigned n) { return onDevice(h, [&](Nvml&, const Dev& d) { return text(uuid(d), s, n); }); }
API(nvmlDeviceGetName, void* h, char* s, unsigned n) {
  return onDevice(h, [&](Nvml& x, const Dev& d) { return text("aimass emulated sm_" + std::to_string(x.nth("SM", d.id, 80)) + (d.mig < 0 ? "" : " MIG"), s, n); });
}
API(nvmlDeviceGetIndex, void* h, unsigned* i) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    if (d.mig >= 0) *i = (unsigned)d.mig;
    else *i = (unsigned)(&d - n.devices.data());
    return (int)Ok;
  });
}
API(nvmlDeviceGetMinorNumber, void* h, unsigned* i) { return onDevice(h, [&](Nvml&, const Dev& d) { *i = (unsigned)d.id; return (int)Ok; }); }
API(nvmlDeviceGetPciInfo_v3, void* h, Pci* p) {
  return onDevice(h, [&](Nvml&, const Dev& d) {
    memset(p, 0, sizeof *p);
    p->bus = (unsigned)d.id + 1;
    snprintf(p->busId, sizeof p->busId, "%s", bus(d).c_str());
    snprintf(p->legacy, sizeof p->legacy, "%s", bus(d).c_str() + 4);
    return (int)Ok;
  });
}
ALIAS(nvmlDeviceGetPciInfo_v3, nvmlDeviceGetPciInfo_v2) ALIAS(nvmlDeviceGetPciInfo_v3, nvmlDeviceGetPciInfo)
API(nvmlDeviceGetCudaComputeCapability, void* h, int* major, int* minor) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    int sm = (int)n.nth("SM", d.id, 80);
    *major = sm / 10;
    *minor = sm % 10;
    return (int)Ok;
  });
}
API(nvmlDeviceGetMemoryInfo, void* h, MemoryV1* m) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    uint64_t part = d.mig < 0 ? 1 : 2;
    *m = {n.total(d.id) / part, (n.total(d.id) - n.used(d.id)) / part, n.used(d.id) / part};
    return (int)Ok;
  });
}
API(nvmlDeviceGetMemoryInfo_v2, void* h, MemoryV2* m) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    uint64_t part = d.mig < 0 ? 1 : 2;
    m->total = n.total(d.id) / part;
    m->reserved = 0;
    m->used = n.used(d.id) / part;
    m->free = m->total - m->used;
    return (int)Ok;
  });
}
API(nvmlDeviceGetUtilizationRates, void* h, Utilization* u) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    u->gpu = (unsigned)n.value("NVML_UTIL", d.id, 0);
    u->memory = (unsigned)(n.used(d.id) * 100 / n.total(d.id));
    return (int)Ok;
  });
}
API(nvmlDeviceGetTemperature, void* h, int, unsigned* t) { return onDevice(h, [&](Nvml& n, const Dev& d) { *t = (unsigned)n.value("NVML_TEMP", d.id, 40); return (int)Ok; }); }
API(nvmlDeviceGetPowerUsage, void* h, unsigned* p) { return onDevice(h, [&](Nvml& n, const Dev& d) { *p = (unsigned)n.value("NVML_POWER", d.id, 60000); return (int)Ok; }); }
API(nvmlDeviceGetEnforcedPowerLimit, void* h, unsigned* p) { return onDevice(h, [&](Nvml&, const Dev&) { *p = 400000; return (int)Ok; }); }
ALIAS(nvmlDeviceGetEnforcedPowerLimit, nvmlDeviceGetPowerManagementLimit)
API(nvmlDeviceGetTotalEnergyConsumption, void* h, unsigned long long* mj) { return onDevice(h, [&](Nvml&, const Dev&) { *mj = 1000; return (int)Ok; }); }
API(nvmlDeviceGetTotalEccErrors, void* h, int kind, int, unsigned long long* c) {
  return onDevice(h, [&](Nvml& n, const Dev& d) { *c = kind == 1 ? n.value("NVML_ECC", d.id, 0) : 0; return (int)Ok; });
}
API(nvmlDeviceGetMemoryErrorCounter, void* h, int kind, int, int, unsigned long long* c) {
  return onDevice(h, [&](Nvml& n, const Dev& d) { *c = kind == 1 ? n.value("NVML_ECC", d.id, 0) : 0; return (int)Ok; });
}
API(nvmlDeviceGetEccMode, void* h, int* now, int* next) { return onDevice(h, [&](Nvml&, const Dev&) { *now = *next = 1; return (int)Ok; }); }
API(nvmlDeviceGetPersistenceMode, void* h, int* v) { return onDevice(h, [&](Nvml&, const Dev&) { *v = 1; return (int)Ok; }); }
API(nvmlDeviceGetClockInfo, void* h, int, unsigned* mhz) { return onDevice(h, [&](Nvml&, const Dev&) { *mhz = 1410; return (int)Ok; }); }
ALIAS(nvmlDeviceGetClockInfo, nvmlDeviceGetMaxClockInfo)
API(nvmlDeviceGetComputeRunningProcesses_v3, void* h, unsigned* n, void*) { return onDevice(h, [&](Nvml&, const Dev&) { *n = 0; return (int)Ok; }); }

// Multi-instance GPUs.
API(nvmlDeviceGetMigMode, void* h, unsigned* now, unsigned* next) { return onDevice(h, [&](Nvml& n, const Dev& d) { *now = *next = n.listed("NVML_MIG", d.id); return (int)Ok; }); }
API(nvmlDeviceGetMaxMigDeviceCount, void* h, unsigned* c) { return onDevice(h, [&](Nvml& n, const Dev& d) { *c = n.listed("NVML_MIG", d.id) ? 7 : 0; return (int)Ok; }); }
API(nvmlDeviceGetMigDeviceHandleByIndex, void* h, unsigned i, void** out) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    if (!n.listed("NVML_MIG", d.id) || i >= n.value("NVML_INSTANCES", d.id, 2)) return (int)NotFound;
    *out = &n.mig[{d.id, (int)i}];
    return (int)Ok;
  });
}
API(nvmlDeviceIsMigDeviceHandle, void* h, unsigned* v) { return onDevice(h, [&](Nvml&, const Dev& d) { *v = d.mig >= 0; return (int)Ok; }); }
API(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, void* h, void** out) {
  return onDevice(h, [&](Nvml& n, const Dev& d) {
    for (auto& x : n.devices)
      if (x.id == d.id) *out = &x;
    return (int)Ok;
  });
}
API(nvmlDeviceGetGpuInstanceId, void* h, unsigned* v) { return onDevice(h, [&](Nvml&, const Dev& d) { *v = (unsigned)d.mig + 1; return d.mig < 0 ? (int)NotSupported : (int)Ok; }); }
API(nvmlDeviceGetComputeInstanceId, void* h, unsigned* v) { return onDevice(h, [&](Nvml&, const Dev& d) { *v = 0; return d.mig < 0 ? (int)NotSupported : (int)Ok; }); }

// Links between devices.
API(nvmlDeviceGetP2PStatus, void* a, void* b, int, int* status) {
  return onDevice(a, [&](Nvml& n, const Dev& x) {
    const Dev& y = *(const Dev*)b;
    std::string p = n.set["NOPEER"], xy = std::to_string(x.id) + "-" + std::to_string(y.id), yx = std::to_string(y.id) + "-" + std::to_string(x.id);
    bool no = p == "1" || n.listed("NVML_MIG", x.id) || n.listed("NVML_MIG", y.id);
    for (auto& s : Nvml::split(p, ',')) no = no || s == xy || s == yx;
    *status = no ? 1 : 0;  // 1: chipset not supported
    return (int)Ok;
  });
}
API(nvmlDeviceGetTopologyCommonAncestor, void* a, void* b, int* level) {
  return onDevice(a, [&](Nvml& n, const Dev& d) { *level = a == b ? 0 : (int)n.value("NVML_TOPOLOGY", d.id, 10); return (int)Ok; });
}
API(nvmlDeviceGetNvLinkState, void* h, unsigned, int* active) { return onDevice(h, [&](Nvml&, const Dev&) { *active = 0; return (int)Ok; }); }

// Events.
API(nvmlEventSetCreate, void** out) { return call([&](Nvml&) { *out = new EventSet; return (int)Ok; }); }
API(nvmlEventSetFree, void* s) { return call([&](Nvml&) { delete (EventSet*)s; return (int)Ok; }); }
API(nvmlDeviceGetSupportedEventTypes, void* h, unsigned long long* t) { return onDevice(h, [&](Nvml&, const Dev&) { *t = 1 | 2 | 8; return (int)Ok; }); }
API(nvmlDeviceRegisterEvents, void* h, unsigned long long types, void* s) {
  return onDevice(h, [&](Nvml&, const Dev& d) { ((EventSet*)s)->wants[d.id] |= types; return (int)Ok; });
}
API(nvmlEventSetWait_v2, void* s, EventData* out, unsigned ms) {
  auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  for (;;) {
    int rc = call([&](Nvml& n) {
      auto& wants = ((EventSet*)s)->wants;
      for (auto e = n.events.begin(); e != n.events.end(); ++e) {
        if (!wants.count(e->device) || !(wants[e->device] & e->type)) continue;
        *out = {nullptr, e->type, e->data, ~0u, ~0u};
        for (auto& d : n.devices)
          if (d.id == e->device) out->device = &d;
        n.events.erase(e);
        return (int)Ok;
      }
      return (int)Timeout;
    });
    if (rc != Timeout || std::chrono::steady_clock::now() >= until) return rc;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}
ALIAS(nvmlEventSetWait_v2, nvmlEventSetWait)

// Everything else is not supported by these devices.
API(aimass_nvml_unsupported) { return NotSupported; }
#define STUB(name) asm(".weak " #name "\n.type " #name ", @function\n.set " #name ", aimass_nvml_unsupported\n");
#include "nvml_stubs.h"
