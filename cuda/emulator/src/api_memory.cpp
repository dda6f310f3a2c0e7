// Entry points: memory, copies, pointers.
#include <algorithm>

#include "driver.h"

using namespace emu;
using Ptr = unsigned long long;

EMU_API(cuMemAlloc_v2, Ptr* out, size_t n) EMU_CALL("cuMemAlloc", {
  Context& c = current();
  forbidCapture(c);
  injectCall(c.device->id, "alloc");
  *out = c.device->allocate(n, &c);
})
EMU_ALIAS(cuMemAlloc_v2, cuMemAlloc)
EMU_API(cuMemAllocPitch_v2, Ptr* out, size_t* pitch, size_t width, size_t height, unsigned) EMU_CALL("cuMemAllocPitch", {
  Context& c = current();
  injectCall(c.device->id, "alloc");
  *pitch = (width + 511) / 512 * 512;
  *out = c.device->allocate(*pitch * height, &c);
})
EMU_ALIAS(cuMemAllocPitch_v2, cuMemAllocPitch)
static void freeDevice(Context& c, Ptr p) {
  if (p == 0) return;
  forbidCapture(c);
  const Allocation* a = findAllocation(p);
  if (a && a->managed) {
    drainContext(c);
    free(a->host);
    driver().host.erase(a->lo);
    return;
  }
  if (!isDevice(p) || deviceOf(p) >= (int)driver().devices.size()) throw Fault{InvalidValue, "free of a pointer that is no device address"};
  Device& d = *driver().devices[deviceOf(p)];
  for (auto o : driver().contexts)  // a free waits for the device
    if (o->device == &d) drainContext(*o);
  d.release(p);
}
EMU_API(cuMemFree_v2, Ptr p) EMU_CALL("cuMemFree", { freeDevice(current(), p); })
EMU_ALIAS(cuMemFree_v2, cuMemFree)
EMU_API(cuMemGetInfo_v2, size_t* free, size_t* total) EMU_CALL("cuMemGetInfo", {
  Device& d = *current().device;
  *free = d.limit - d.used;
  *total = d.limit;
})
EMU_ALIAS(cuMemGetInfo_v2, cuMemGetInfo)
EMU_API(cuMemGetAddressRange_v2, Ptr* base, size_t* size, Ptr p) EMU_CALL("cuMemGetAddressRange", {
  const Allocation* a = findAllocation(p);
  if (!a) throw Fault{InvalidValue, "no allocation there"};
  if (base) *base = a->lo;
  if (size) *size = a->size;
})
EMU_ALIAS(cuMemGetAddressRange_v2, cuMemGetAddressRange)

// Host memory.
EMU_API(cuMemHostAlloc, void** out, size_t n, unsigned) EMU_CALL("cuMemHostAlloc", {
  Context& c = current();
  injectCall(c.device->id, "hostalloc");
  *out = allocateHost(n, false);
})
EMU_API(cuMemAllocHost_v2, void** out, size_t n) EMU_CALL("cuMemHostAlloc", {
  Context& c = current();
  injectCall(c.device->id, "hostalloc");
  *out = allocateHost(n, false);
})
EMU_ALIAS(cuMemAllocHost_v2, cuMemAllocHost)
EMU_API(cuMemFreeHost, void* p) EMU_CALL("cuMemFreeHost", {
  auto a = driver().host.find((uint64_t)p);
  if (a == driver().host.end() || a->second.managed || a->second.registered) throw Fault{InvalidValue, "free of a pointer that is no pinned memory"};
  if (!stack().empty())
    for (auto c : driver().contexts) drainContext(*c);
  counter("live.host") -= a->second.size;
  free(a->second.host);
  driver().host.erase(a);
})
EMU_API(cuMemHostRegister_v2, void* p, size_t n, unsigned) EMU_CALL("cuMemHostRegister", {
  current();
  if (!p || !n) throw Fault{InvalidValue, "nothing to register"};
  if (hostAllocation(p, 1)) throw Fault{712, "the memory is registered already"};
  Allocation a;
  a.lo = (uint64_t)p;
  a.size = n;
  a.host = (uint8_t*)p;
  a.registered = true;
  driver().host[a.lo] = a;
})
EMU_ALIAS(cuMemHostRegister_v2, cuMemHostRegister)
EMU_API(cuMemHostUnregister, void* p) EMU_CALL("cuMemHostUnregister", {
  auto a = driver().host.find((uint64_t)p);
  if (a == driver().host.end() || !a->second.registered) throw Fault{713, "the memory is not registered"};
  for (auto c : driver().contexts) drainContext(*c);
  driver().host.erase(a);
})
EMU_API(cuMemHostGetDevicePointer_v2, Ptr* out, void* p, unsigned) EMU_CALL("cuMemHostGetDevicePointer", {
  current();
  if (!hostAllocation(p, 1)) throw Fault{InvalidValue, "no pinned memory there"};
  *out = (Ptr)p;
})
EMU_ALIAS(cuMemHostGetDevicePointer_v2, cuMemHostGetDevicePointer)
EMU_API(cuMemHostGetFlags, unsigned* f, void* p) EMU_CALL("cuMemHostGetFlags", {
  if (!hostAllocation(p, 1)) throw Fault{InvalidValue, "no pinned memory there"};
  *f = 0;
})
EMU_API(cuMemAllocManaged, Ptr* out, size_t n, unsigned) EMU_CALL("cuMemAllocManaged", {
  Context& c = current();
  injectCall(c.device->id, "alloc");
  *out = (Ptr)allocateHost(n, true);
})
EMU_API(cuMemAdvise, Ptr, size_t, int, int) EMU_CALL("cuMemAdvise", { current(); })
EMU_API(cuMemPrefetchAsync, Ptr, size_t, int, void* s) EMU_CALL("cuMemPrefetchAsync", { stream(s); })

// Copies. A place is device memory, or host memory by its address.
namespace {

struct Place {
  Ptr device = 0;
  uint8_t* host = nullptr;
};
Place onDevice(Ptr p) { return {p, nullptr}; }
Place onHost(const void* p) { return {0, (uint8_t*)p}; }
Place any(Ptr p) { return isDevice(p) ? onDevice(p) : onHost((void*)p); }

uint8_t* at(Context& c, const Place& p, size_t n, bool run) {
  if (p.host) return p.host;
  return deviceBytes(c, p.device, n, "copy", run);
}
const char* copyClass(const Place& dst, const Place& src) {
  if (dst.device && src.device) return deviceOf(dst.device) == deviceOf(src.device) ? "d2d" : "peer";
  return dst.device ? "h2d" : src.device ? "d2h" : "h2h";
}

// copyTask moves rows of width bytes; a plain copy is one row.
Task copyTask(Context& c, Place dst, size_t dpitch, Place src, size_t spitch, size_t width, size_t rows) {
  Task t;
  t.kind = Task::Copy;
  t.op = copyClass(dst, src);
  if (width && rows) {
    at(c, dst, (rows - 1) * dpitch + width, false);
    at(c, src, (rows - 1) * spitch + width, false);
  }
  uint64_t& bytes = counter(std::string("bytes.") + t.op);
  uint64_t& times = counter(std::string("copies.") + t.op);
  t.run = [=, &bytes, &times](Context& x) {
    if (width && rows) {
      uint8_t* d = at(x, dst, (rows - 1) * dpitch + width, true);
      const uint8_t* s = at(x, src, (rows - 1) * spitch + width, true);
      for (size_t r = 0; r < rows; r++) memmove(d + r * dpitch, s + r * spitch, width);
    }
    bytes += width * rows;
    times++;
  };
  return t;
}

bool pageable(const Place& p, size_t n) { return p.host && !hostAllocation(p.host, n); }

// sync waits for the legacy stream's work and for the copy itself.
void copySync(Place dst, Place src, size_t n) {
  Context& c = current();
  forbidCapture(c);
  Task t = copyTask(c, dst, 0, src, 0, n, n ? 1 : 0);
  injectTask(c.device->id, t);
  uint64_t seq = enqueue(c.null, std::move(t));
  drain(c.null, seq);
  settle(c);
}

void copyAsync(Place dst, Place src, size_t n, void* h) {
  auto s = stream(h);
  Context& c = *s->ctx;
  bool toHost = pageable(dst, n);
  Task t = copyTask(c, dst, 0, src, 0, n, n ? 1 : 0);
  if (s->capture) {
    if (toHost || pageable(src, n)) throw Fault{CaptureUnsupported, "a copy of pageable memory can't be captured"};
    enqueue(s, std::move(t));
    return;
  }
  if (pageable(src, n) && n) {
    // The driver stages pageable memory before it returns: the caller may reuse it.
    auto staged = std::make_shared<std::vector<uint8_t>>(src.host, src.host + n);
    t = copyTask(c, dst, 0, onHost(staged->data()), 0, n, 1);
    auto run = std::move(t.run);
    t.run = [staged, run](Context& x) { run(x); };
  }
  injectTask(c.device->id, t);
  uint64_t seq = enqueue(s, std::move(t));
  if (toHost) {  // and it returns after a copy to pageable memory has been done
    drain(s, seq);
    settle(c);
  }
}

struct Copy2D {  // CUDA_MEMCPY2D
  size_t srcX, srcY;
  int srcType;
  const void* srcHost;
  Ptr srcDevice;
  void* srcArray;
  size_t srcPitch, dstX, dstY;
  int dstType;
  void* dstHost;
  Ptr dstDevice;
  void* dstArray;
  size_t dstPitch, width, height;
};
Task copy2D(Context& c, const Copy2D& p) {
  auto place = [](int type, const void* h, Ptr d, size_t off) {
    if (type == 1) return onHost((const uint8_t*)h + off);
    if (type == 2) return onDevice(d + off);
    if (type == 4) return any(d + off);
    throw Fault{NotSupported, "arrays are not modelled"};
  };
  size_t sp = p.srcPitch ? p.srcPitch : p.width, dp = p.dstPitch ? p.dstPitch : p.width;
  return copyTask(c, place(p.dstType, p.dstHost, p.dstDevice, p.dstY * dp + p.dstX), dp, place(p.srcType, p.srcHost, p.srcDevice, p.srcY * sp + p.srcX), sp, p.width, p.height);
}

}  // namespace

EMU_API(cuMemcpyHtoD_v2, Ptr d, const void* s, size_t n) EMU_CALL("cuMemcpyHtoD", { copySync(onDevice(d), onHost(s), n); })
EMU_ALIAS(cuMemcpyHtoD_v2, cuMemcpyHtoD) EMU_ALIAS(cuMemcpyHtoD_v2, cuMemcpyHtoD_v2_ptds)
EMU_API(cuMemcpyDtoH_v2, void* d, Ptr s, size_t n) EMU_CALL("cuMemcpyDtoH", { copySync(onHost(d), onDevice(s), n); })
EMU_ALIAS(cuMemcpyDtoH_v2, cuMemcpyDtoH) EMU_ALIAS(cuMemcpyDtoH_v2, cuMemcpyDtoH_v2_ptds)
EMU_API(cuMemcpyDtoD_v2, Ptr d, Ptr s, size_t n) EMU_CALL("cuMemcpyDtoD", { copySync(onDevice(d), onDevice(s), n); })
EMU_ALIAS(cuMemcpyDtoD_v2, cuMemcpyDtoD) EMU_ALIAS(cuMemcpyDtoD_v2, cuMemcpyDtoD_v2_ptds)
EMU_API(cuMemcpy, Ptr d, Ptr s, size_t n) EMU_CALL("cuMemcpy", { copySync(any(d), any(s), n); })
EMU_ALIAS(cuMemcpy, cuMemcpy_ptds)
EMU_API(cuMemcpyPeer, Ptr d, void*, Ptr s, void*, size_t n) EMU_CALL("cuMemcpyPeer", { copySync(onDevice(d), onDevice(s), n); })
EMU_ALIAS(cuMemcpyPeer, cuMemcpyPeer_ptds)
EMU_API(cuMemcpyHtoDAsync_v2, Ptr d, const void* s, size_t n, void* h) EMU_CALL("cuMemcpyHtoDAsync", { copyAsync(onDevice(d), onHost(s), n, h); })
EMU_ALIAS(cuMemcpyHtoDAsync_v2, cuMemcpyHtoDAsync) EMU_ALIAS(cuMemcpyHtoDAsync_v2, cuMemcpyHtoDAsync_v2_ptsz)
EMU_API(cuMemcpyDtoHAsync_v2, void* d, Ptr s, size_t n, void* h) EMU_CALL("cuMemcpyDtoHAsync", { copyAsync(onHost(d), onDevice(s), n, h); })
EMU_ALIAS(cuMemcpyDtoHAsync_v2, cuMemcpyDtoHAsync) EMU_ALIAS(cuMemcpyDtoHAsync_v2, cuMemcpyDtoHAsync_v2_ptsz)
EMU_API(cuMemcpyDtoDAsync_v2, Ptr d, Ptr s, size_t n, void* h) EMU_CALL("cuMemcpyDtoDAsync", { copyAsync(onDevice(d), onDevice(s), n, h); })
EMU_ALIAS(cuMemcpyDtoDAsync_v2, cuMemcpyDtoDAsync) EMU_ALIAS(cuMemcpyDtoDAsync_v2, cuMemcpyDtoDAsync_v2_ptsz)
EMU_API(cuMemcpyAsync, Ptr d, Ptr s, size_t n, void* h) EMU_CALL("cuMemcpyAsync", { copyAsync(any(d), any(s), n, h); })
EMU_ALIAS(cuMemcpyAsync, cuMemcpyAsync_ptsz)
EMU_API(cuMemcpyPeerAsync, Ptr d, void*, Ptr s, void*, size_t n, void* h) EMU_CALL("cuMemcpyPeerAsync", { copyAsync(onDevice(d), onDevice(s), n, h); })
EMU_ALIAS(cuMemcpyPeerAsync, cuMemcpyPeerAsync_ptsz)
EMU_API(cuMemcpy2D_v2, const Copy2D* p) EMU_CALL("cuMemcpy2D", {
  Context& c = current();
  forbidCapture(c);
  Task t = copy2D(c, *p);
  injectTask(c.device->id, t);
  uint64_t seq = enqueue(c.null, std::move(t));
  drain(c.null, seq);
  settle(c);
})
EMU_ALIAS(cuMemcpy2D_v2, cuMemcpy2D) EMU_ALIAS(cuMemcpy2D_v2, cuMemcpy2DUnaligned_v2) EMU_ALIAS(cuMemcpy2D_v2, cuMemcpy2DUnaligned)
EMU_API(cuMemcpy2DAsync_v2, const Copy2D* p, void* h) EMU_CALL("cuMemcpy2DAsync", {
  auto s = stream(h);
  Task t = copy2D(*s->ctx, *p);
  injectTask(s->ctx->device->id, t);
  enqueue(s, std::move(t));
})
EMU_ALIAS(cuMemcpy2DAsync_v2, cuMemcpy2DAsync)

// Memset of rows of width elements.
static Task setTask(Context& c, Ptr d, size_t pitch, uint32_t v, int bytes, size_t width, size_t rows) {
  Task t;
  t.kind = Task::Set;
  t.op = "memset";
  if (d % (uint64_t)bytes) throw Fault{InvalidValue, "memset of a misaligned address"};
  size_t span = width && rows ? (rows - 1) * pitch + width * (size_t)bytes : 0;
  if (span) deviceBytes(c, d, span, "memset", false);
  t.run = [=](Context& x) {
    if (!span) return;
    uint8_t* p = deviceBytes(x, d, span, "memset", true);
    for (size_t r = 0; r < rows; r++)
      for (size_t i = 0; i < width; i++) memcpy(p + r * pitch + i * (size_t)bytes, &v, (size_t)bytes);
  };
  return t;
}
static void setSync(Ptr d, size_t pitch, uint32_t v, int bytes, size_t width, size_t rows) {
  Context& c = current();
  Task t = setTask(c, d, pitch, v, bytes, width, rows);
  injectTask(c.device->id, t);
  enqueue(c.null, std::move(t));  // asynchronous to the host, as on the driver
}
static void setAsync(Ptr d, size_t pitch, uint32_t v, int bytes, size_t width, size_t rows, void* h) {
  auto s = stream(h);
  Task t = setTask(*s->ctx, d, pitch, v, bytes, width, rows);
  if (!s->capture) injectTask(s->ctx->device->id, t);
  enqueue(s, std::move(t));
}
#define EMU_SET(bits, type)                                                                                                               \
  EMU_API(cuMemsetD##bits##_v2, Ptr d, type v, size_t n) EMU_CALL("cuMemsetD" #bits, { setSync(d, 0, v, bits / 8, n, 1); })               \
  EMU_ALIAS(cuMemsetD##bits##_v2, cuMemsetD##bits)                                                                                        \
  EMU_API(cuMemsetD##bits##Async, Ptr d, type v, size_t n, void* h) EMU_CALL("cuMemsetD" #bits "Async", { setAsync(d, 0, v, bits / 8, n, 1, h); })  \
  EMU_ALIAS(cuMemsetD##bits##Async, cuMemsetD##bits##Async_ptsz)                                                                          \
  EMU_API(cuMemsetD2D##bits##_v2, Ptr d, size_t pitch, type v, size_t w, size_t rows) EMU_CALL("cuMemsetD2D" #bits, { setSync(d, pitch, v, bits / 8, w, rows); })  \
  EMU_ALIAS(cuMemsetD2D##bits##_v2, cuMemsetD2D##bits)                                                                                    \
  EMU_API(cuMemsetD2D##bits##Async, Ptr d, size_t pitch, type v, size_t w, size_t rows, void* h) EMU_CALL("cuMemsetD2D" #bits "Async", { setAsync(d, pitch, v, bits / 8, w, rows, h); })
EMU_SET(8, unsigned char)
EMU_SET(16, unsigned short)
EMU_SET(32, unsigned)

// Pointers (cuda.h: CUpointer_attribute).
EMU_API(cuPointerGetAttribute, void* v, int a, Ptr p) EMU_CALL("cuPointerGetAttribute", {
  const Allocation* x = findAllocation(p);
  if (!x) throw Fault{InvalidValue, ""};
  switch (a) {
    case 1: *(void**)v = x->ctx; break;
    case 2: *(unsigned*)v = x->device < 0 && !x->managed ? 1 : 2; break;
    case 3: *(Ptr*)v = p; break;
    case 4:
      if (x->device >= 0) throw Fault{InvalidValue, ""};
      *(void**)v = (void*)p;
      break;
    case 8: *(unsigned*)v = x->managed; break;
    case 9: *(int*)v = std::max(0, x->device); break;
    case 11: *(Ptr*)v = x->lo; break;
    case 12: *(size_t*)v = x->size; break;
    case 13: *(unsigned*)v = 1; break;
    default: throw Fault{InvalidValue, "unknown pointer attribute"};
  }
})
EMU_API(cuPointerSetAttribute, const void*, int, Ptr p) EMU_CALL("cuPointerSetAttribute", {
  if (!findAllocation(p)) throw Fault{InvalidValue, ""};
})
