// Stream-ordered memory. A pool reserves memory of its device and gives parts of it out; what is
// given back stays reserved until a synchronisation finds more than the release threshold, or until
// the pool is trimmed. Peer access of contexts says nothing about a pool's memory: a pool has
// its own list of devices.
//
// Two orders are held to: work may use memory only behind its allocation (Allocation::pending), and
// nothing that was enqueued after its free may use it, on whatever stream (Allocation::freedAt).
#include <algorithm>

#include "driver.h"
#include "memory_ops.h"

namespace emu {

static Pool& poolOf(void* h) {
  auto i = driver().pools.find((Pool*)h);
  if (i == driver().pools.end()) throw Fault{InvalidValue, "no such memory pool"};
  return **i;
}

static void reserved(Pool& p, uint64_t bytes) {
  Device& d = *p.device;
  d.used = d.used - p.reserved + bytes;
  p.reserved = bytes;
  p.reservedHigh = std::max(p.reservedHigh, bytes);
  counter("live." + std::to_string(d.id)) = d.used;
  uint64_t& peak = counter("peak." + std::to_string(d.id));
  peak = std::max(peak, d.used);
}

void trimPool(Pool& p, uint64_t keep) {
  if (p.reserved > std::max(p.used, keep)) reserved(p, std::max(p.used, keep));
}

void trimPools(Device& d) {
  for (Pool* p : driver().pools)
    if (p->device == &d) trimPool(*p, p->threshold);
}

Pool* defaultPool(Device& d) {
  if (!d.pool) {
    d.pool = new Pool;
    d.pool->device = &d;
    driver().pools.insert(d.pool);
  }
  return d.pool;
}

void leavePool(Pool& p, uint64_t bytes) {
  p.used -= bytes;
  p.pieces--;
  if (p.destroyed && p.pieces == 0) {
    reserved(p, 0);
    delete &p;
  }
}

static void supported() {
  if (config().noPools) throw Fault{NotSupported, "the device has no memory pools"};
}

// allocate takes from what is reserved, else reserves more.
static uint64_t allocate(Pool& p, uint64_t n, const std::shared_ptr<Stream>& s) {
  Device& d = *p.device;
  if (n == 0) throw Fault{InvalidValue, "allocation of 0 bytes"};
  if (p.used + n > p.reserved && p.used + n - p.reserved > d.limit - d.used) {
    drain(s, s->queued);  // the pool knows the order of this stream: what it frees may be given out again
    for (Pool* o : driver().pools)
      if (o->device == &d && o != &p) trimPool(*o, o->threshold);
  }
  uint64_t grow = p.used + n > p.reserved ? p.used + n - p.reserved : 0;
  if (grow > d.limit - d.used)
    throw Fault{OutOfMemory, "pool of device " + std::to_string(d.id) + ": " + std::to_string(n) + " bytes asked for, " + std::to_string(p.reserved - p.used) + " in the pool and " + std::to_string(d.limit - d.used) + " of " + std::to_string(d.limit) + " outside it free"};
  uint64_t at = d.place(n, s->ctx);
  if (grow) reserved(p, p.reserved + grow);
  p.used += n;
  p.pieces++;
  p.usedHigh = std::max(p.usedHigh, p.used);
  Allocation& a = d.live[at];
  a.pool = &p;
  a.pending = true;
  return at;
}

}  // namespace emu

using namespace emu;
using Ptr = unsigned long long;

static void allocAsync(Ptr* out, size_t n, Pool& pool, void* h) {
  auto s = stream(h);
  Device& d = *pool.device;
  injectCall(d.id, "alloc");
  if (s->capture) throw Fault{NotSupported, "memory nodes of graphs are not modelled"};
  uint64_t p = allocate(pool, n, s);
  Task t;
  t.kind = Task::Alloc;
  t.run = [&d, p](Context&) {
    auto a = d.live.find(p);
    if (a != d.live.end()) a->second.pending = false;
  };
  enqueue(s, std::move(t));
  *out = p;
}
EMU_API(cuMemAllocAsync, Ptr* out, size_t n, void* h) EMU_CALL("cuMemAllocAsync", {
  supported();
  Device& d = *current().device;
  allocAsync(out, n, *(d.current ? d.current : defaultPool(d)), h);
})
EMU_ALIAS(cuMemAllocAsync, cuMemAllocAsync_ptsz)
EMU_API(cuMemAllocFromPoolAsync, Ptr* out, size_t n, void* pool, void* h) EMU_CALL("cuMemAllocFromPoolAsync", { allocAsync(out, n, poolOf(pool), h); })
EMU_ALIAS(cuMemAllocFromPoolAsync, cuMemAllocFromPoolAsync_ptsz)
EMU_API(cuMemFreeAsync, Ptr p, void* h) EMU_CALL("cuMemFreeAsync", {
  supported();
  auto s = stream(h);
  if (s->capture) throw Fault{NotSupported, "memory nodes of graphs are not modelled"};
  Allocation* a = const_cast<Allocation*>(findAllocation(p));
  if (!a || a->lo != p || a->device < 0) throw Fault{InvalidValue, "free of a pointer that is no allocation"};
  if (a->freedAt) throw Fault{InvalidValue, "free of " + hex(p) + ", which cuMemFreeAsync has had before"};
  Task t;
  t.kind = Task::Free;
  Device* d = driver().devices[a->device].get();
  t.run = [d, p](Context&) {
    if (auto a = d->live.find(p); a != d->live.end() && a->second.pending) throw Fault{InvalidValue, "free of " + hex(p) + ", whose allocation its stream has not reached"};
    d->release(p);
  };
  a->freedAt = driver().tickets + 1;  // before the task is there: an eager stream runs it at once
  try {
    enqueue(s, std::move(t));
  } catch (Fault&) {
    a->freedAt = 0;
    throw;
  }
})
EMU_ALIAS(cuMemFreeAsync, cuMemFreeAsync_ptsz)

static Device& device(int dev) {
  if (dev < 0 || dev >= (int)driver().devices.size()) throw Fault{InvalidDevice, "no such device"};
  return *driver().devices[dev];
}
EMU_API(cuDeviceGetDefaultMemPool, void** out, int dev) EMU_CALL("cuDeviceGetDefaultMemPool", {
  supported();
  *out = defaultPool(device(dev));
})
EMU_API(cuDeviceGetMemPool, void** out, int dev) EMU_CALL("cuDeviceGetMemPool", {
  supported();
  Device& d = device(dev);
  *out = d.current ? d.current : defaultPool(d);
})
EMU_API(cuDeviceSetMemPool, int dev, void* pool) EMU_CALL("cuDeviceSetMemPool", {
  Pool& p = poolOf(pool);
  if (p.device != &device(dev)) throw Fault{InvalidValue, "the pool is of another device"};
  p.device->current = &p;
})
EMU_API(cuMemPoolCreate, void** out, const int* props) EMU_CALL("cuMemPoolCreate", {
  supported();
  auto p = new Pool;
  p->device = &device(props[3]);  // CUmemPoolProps: allocType, handleTypes, location.type, location.id
  driver().pools.insert(p);
  *out = p;
})
EMU_API(cuMemPoolDestroy, void* pool) EMU_CALL("cuMemPoolDestroy", {
  Pool& p = poolOf(pool);
  if (p.device->pool == &p) throw Fault{InvalidValue, "a device's own pool can't be destroyed"};
  if (p.device->current == &p) p.device->current = nullptr;
  driver().pools.erase(&p);
  p.destroyed = true;
  p.pieces++;
  leavePool(p, 0);
})
// CUmemPool_attribute: 1 to 3 what may be used again when, 4 the threshold, 5 to 8 reserved and used, now and at most.
EMU_API(cuMemPoolSetAttribute, void* pool, int a, void* v) EMU_CALL("cuMemPoolSetAttribute", {
  Pool& p = poolOf(pool);
  if (a >= 1 && a <= 3) return;
  uint64_t to = *(uint64_t*)v;
  if (a == 4) p.threshold = to;
  else if (a == 6 && to == 0) p.reservedHigh = p.reserved;
  else if (a == 8 && to == 0) p.usedHigh = p.used;
  else throw Fault{InvalidValue, "this attribute of a pool can't be set so"};
})
EMU_API(cuMemPoolGetAttribute, void* pool, int a, void* v) EMU_CALL("cuMemPoolGetAttribute", {
  Pool& p = poolOf(pool);
  if (a >= 1 && a <= 3) {
    *(int*)v = 1;
    return;
  }
  const uint64_t values[] = {p.threshold, p.reserved, p.reservedHigh, p.used, p.usedHigh};
  if (a < 4 || a > 8) throw Fault{InvalidValue, "unknown attribute of a pool"};
  *(uint64_t*)v = values[a - 4];
})
EMU_API(cuMemPoolTrimTo, void* pool, size_t keep) EMU_CALL("cuMemPoolTrimTo", { trimPool(poolOf(pool), keep); })
// CUmemAccessDesc: location.type, location.id, flags.
EMU_API(cuMemPoolSetAccess, void* pool, const int* list, size_t n) EMU_CALL("cuMemPoolSetAccess", {
  Pool& p = poolOf(pool);
  for (size_t i = 0; i < n; i++) {
    const int* x = list + 3 * i;
    if (x[0] != 1) throw Fault{InvalidValue, "access to a pool is given to devices alone"};
    Device& d = device(x[1]);
    if (&d == p.device) {
      if (x[2] != 3) throw Fault{InvalidValue, "a pool's own device keeps its access"};
    } else if (!peersOf(d.id, p.device->id)) {
      throw Fault{InvalidValue, "device " + std::to_string(d.id) + " has no peer access to device " + std::to_string(p.device->id)};
    } else if (x[2] == 0) {
      p.access.erase(d.id);
    } else {
      p.access.insert(d.id);
    }
  }
})
