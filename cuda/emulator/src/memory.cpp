// Device memory: exact bounds, poison, limits. Addresses are never used again, so that a
// use after free never meets another allocation.
#include <algorithm>

#include "driver.h"
#include "memory_ops.h"

namespace emu {

constexpr uint64_t granule = 512, gap = 512;

uint64_t Device::place(uint64_t size, Context* owner) {
  uint8_t* host = (uint8_t*)aligned_alloc(granule, (size + granule - 1) / granule * granule);
  if (!host) throw Fault{OutOfMemory, "the machine has no memory left"};
  memset(host, 0xCD, size);
  Allocation a;
  a.lo = deviceWindow | (uint64_t)id << 40 | next;
  a.size = size;
  a.host = host;
  a.device = id;
  a.ctx = owner;
  next += (size + gap + granule - 1) / granule * granule;
  if (next >> 40) throw Fault{OutOfMemory, "the device's addresses are used up"};
  live[a.lo] = a;
  return a.lo;
}

uint64_t Device::allocate(uint64_t size, Context* owner) {
  if (size == 0) throw Fault{InvalidValue, "allocation of 0 bytes"};
  if (size > limit || used > limit - size)
    throw Fault{OutOfMemory, "device " + std::to_string(id) + ": " + std::to_string(size) + " bytes asked for, " + std::to_string(limit - used) + " of " + std::to_string(limit) + " free"};
  uint64_t lo = place(size, owner);
  used += size;
  counter("live." + std::to_string(id)) = used;
  uint64_t& peak = counter("peak." + std::to_string(id));
  peak = std::max(peak, used);
  return lo;
}

void Device::release(uint64_t lo) {
  auto a = live.find(lo);
  if (a == live.end()) throw Fault{InvalidValue, "free of " + hex(lo) + ", which is no allocation of device " + std::to_string(id)};
  memset(a->second.host, 0xDD, a->second.size);
  free(a->second.host);
  if (a->second.pool) {
    leavePool(*a->second.pool, a->second.size);
  } else {
    used -= a->second.size;
    counter("live." + std::to_string(id)) = used;
  }
  freed.push_back({lo, a->second.size});
  if (freed.size() > 4096) freed.pop_front();
  live.erase(a);
}

template <class M>
static const Allocation* around(const M& m, uint64_t p) {
  auto i = m.upper_bound(p);
  if (i == m.begin()) return nullptr;
  --i;
  return p - i->second.lo < i->second.size ? &i->second : nullptr;
}

const Allocation* findAllocation(uint64_t p) {
  Driver& d = driver();
  if (!isDevice(p)) return around(d.host, p);
  int id = deviceOf(p);
  return id < (int)d.devices.size() ? around(d.devices[id]->live, p) : nullptr;
}

// describe says what lies at an address that is in no allocation.
static std::string describe(uint64_t p) {
  Driver& d = driver();
  if (!isDevice(p)) return hex(p) + " is no device address";
  int id = deviceOf(p);
  if (id >= (int)d.devices.size()) return hex(p) + " is of a device that does not exist";
  Device& dev = *d.devices[id];
  for (auto& f : dev.freed)
    if (p - f.first < f.second) return hex(p) + " lies in " + std::to_string(f.second) + " bytes of device " + std::to_string(id) + " that were freed";
  auto i = dev.live.upper_bound(p);
  if (i != dev.live.begin()) {
    --i;
    uint64_t past = p - i->second.lo - i->second.size;
    return hex(p) + " lies " + std::to_string(past) + " bytes past the end of an allocation of " + std::to_string(i->second.size) + " bytes";
  }
  return hex(p) + " lies in no allocation";
}

// ordered says what is wrong with a use of stream-ordered memory by the task that runs now, if anything is.
static std::string ordered(const Allocation& a, uint64_t p) {
  if (a.pending) return hex(p) + " is of cuMemAllocAsync on a stream that has not reached it";
  if (a.freedAt && driver().running > a.freedAt) return hex(p) + " was given to cuMemFreeAsync before this was enqueued";
  return "";
}

Segment View::find(uint64_t p, uint32_t bytes, bool) const {
  const Allocation* a = findAllocation(p);
  if (!a) throw Fault{IllegalAddress, std::to_string(bytes) + " bytes: " + describe(p)};
  if (a->size - (p - a->lo) < bytes) throw Fault{IllegalAddress, std::to_string(bytes) + " bytes at " + hex(p) + " reach past the end of an allocation of " + std::to_string(a->size) + " bytes"};
  if (auto why = ordered(*a, p); !why.empty()) throw Fault{IllegalAddress, why};
  if (a->device >= 0 && a->device != c.device->id) {
    if (a->pool && !a->pool->access.count(c.device->id)) throw Fault{IllegalAddress, hex(p) + " is of a memory pool of device " + std::to_string(a->device) + " to which cuMemPoolSetAccess gave device " + std::to_string(c.device->id) + " no access"};
    bool ok = a->pool || std::any_of(c.peers.begin(), c.peers.end(), [&](Context* o) { return o->device->id == a->device; });
    if (!ok) throw Fault{IllegalAddress, hex(p) + " is memory of device " + std::to_string(a->device) + ", to which device " + std::to_string(c.device->id) + " has no peer access"};
  }
  return {a->lo, a->lo + a->size, a->host};
}

uint8_t* deviceBytes(Context&, uint64_t p, uint64_t n, const char* what, bool atRun) {
  const Allocation* a = findAllocation(p);
  int code = atRun ? IllegalAddress : InvalidValue;
  if (!a) throw Fault{code, std::string(what) + " of " + std::to_string(n) + " bytes: " + describe(p)};
  if (a->size - (p - a->lo) < n) throw Fault{code, std::string(what) + " of " + std::to_string(n) + " bytes at " + hex(p) + " reaches past the end of an allocation of " + std::to_string(a->size) + " bytes"};
  if (auto why = ordered(*a, p); atRun && !why.empty()) throw Fault{code, std::string(what) + ": " + why};
  return a->host + (p - a->lo);
}

const Allocation* hostAllocation(const void* p, uint64_t n) {
  const Allocation* a = around(driver().host, (uint64_t)p);
  return a && a->size - ((uint64_t)p - a->lo) >= n ? a : nullptr;
}

uint8_t* allocateHost(uint64_t n, bool managed) {
  if (n == 0) throw Fault{InvalidValue, "allocation of 0 bytes"};
  uint8_t* p = (uint8_t*)aligned_alloc(4096, (n + 4095) / 4096 * 4096);
  if (!p) throw Fault{OutOfMemory, "the machine has no memory left"};
  memset(p, 0xCD, n);
  Allocation a;
  a.lo = (uint64_t)p;
  a.size = n;
  a.host = p;
  a.managed = managed;
  driver().host[a.lo] = a;
  counter("live.host") += n;
  return p;
}

}  // namespace emu
