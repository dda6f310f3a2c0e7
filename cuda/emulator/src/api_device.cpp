// Entry points: start, devices, contexts, modules, functions, errors.
#include <dlfcn.h>

#include <algorithm>

#include "driver.h"

using namespace emu;

static void start() {
  Driver& d = driver();
  if (d.initialised) return;
  Config& c = config();
  if (c.devices <= 0) throw Fault{NoDevice, ""};
  for (int i = 0; i < c.devices; i++) {
    auto dev = std::make_unique<Device>();
    dev->id = i;
    dev->limit = c.memory[std::min<size_t>(i, c.memory.size() - 1)];
    dev->sm = c.sm[std::min<size_t>(i, c.sm.size() - 1)];
    d.devices.push_back(std::move(dev));
  }
  d.initialised = true;
}
static Device& device(int id) {
  if (!driver().initialised) throw Fault{NotInitialized, ""};
  if (id < 0 || id >= (int)driver().devices.size()) throw Fault{InvalidDevice, "there is no device " + std::to_string(id)};
  return *driver().devices[id];
}
static Context* newContext(Device& d, unsigned flags) {
  auto c = new Context;
  c->device = &d;
  c->flags = flags;
  for (auto s : {&c->null, &c->perThread}) {
    *s = std::make_shared<Stream>();
    (*s)->ctx = c;
    c->streams.push_back(*s);
  }
  driver().contexts.insert(c);
  return c;
}
static Context* context(void* h) {
  auto c = (Context*)h;
  if (!driver().contexts.count(c)) throw Fault{InvalidContext, "no such context"};
  return c;
}

EMU_API(cuInit, unsigned) EMU_CALL("cuInit", { start(); })
EMU_API(cuDriverGetVersion, int* v) EMU_CALL("cuDriverGetVersion", { *v = config().driver; })
EMU_API(cuDeviceGetCount, int* n) EMU_CALL("cuDeviceGetCount", {
  if (!driver().initialised) throw Fault{NotInitialized, ""};
  *n = (int)driver().devices.size();
})
EMU_API(cuDeviceGet, int* d, int i) EMU_CALL("cuDeviceGet", { *d = device(i).id; })
EMU_API(cuDeviceGetName, char* name, int n, int dev) EMU_CALL("cuDeviceGetName", { snprintf(name, (size_t)n, "aimass emulated sm_%d", device(dev).sm); })
EMU_API(cuDeviceGetUuid_v2, char* u, int dev) EMU_CALL("cuDeviceGetUuid", { memcpy(u, uuid(device(dev).id).data(), 16); })
EMU_ALIAS(cuDeviceGetUuid_v2, cuDeviceGetUuid)
EMU_API(cuDeviceTotalMem_v2, size_t* n, int dev) EMU_CALL("cuDeviceTotalMem", { *n = device(dev).limit; })
EMU_ALIAS(cuDeviceTotalMem_v2, cuDeviceTotalMem)
EMU_API(cuDeviceComputeCapability, int* major, int* minor, int dev) EMU_CALL("cuDeviceComputeCapability", {
  *major = device(dev).sm / 10;
  *minor = device(dev).sm % 10;
})
EMU_API(cuDeviceGetPCIBusId, char* s, int n, int dev) EMU_CALL("cuDeviceGetPCIBusId", { snprintf(s, (size_t)n, "0000:%02X:00.0", device(dev).id + 1); })
EMU_API(cuDeviceGetByPCIBusId, int* dev, const char* s) EMU_CALL("cuDeviceGetByPCIBusId", {
  unsigned bus = 0;
  if (sscanf(s, "%*x:%x:", &bus) != 1) throw Fault{InvalidValue, "bad PCI id"};
  *dev = device((int)bus - 1).id;
})

static int sharedOptin(int sm) { return sm >= 90 ? 232448 : sm == 80 || sm == 87 ? 166912 : sm >= 86 ? 101376 : 65536; }
static int attribute(int a, Device& d) {  // cuda.h: CUdevice_attribute
  switch (a) {
    case 1: case 2: case 3: return 1024;      // threads a block, block x, y
    case 4: return 64;
    case 5: return 0x7fffffff;
    case 6: case 7: return 65535;
    case 8: return 49152;
    case 9: return 65536;
    case 10: return 32;
    case 11: return 0x7fffffff;
    case 12: case 82: return 65536;           // registers a block, a multiprocessor
    case 13: return 1410000;
    case 14: return 512;
    case 15: return 1;
    case 16: return 8;                        // multiprocessors
    case 18: case 20: return 0;
    case 19: return 1;
    case 31: return 1;
    case 33: return d.id + 1;                 // PCI bus
    case 34: case 50: return 0;
    case 36: return 1215000;
    case 37: return 5120;
    case 38: return 40 << 20;
    case 39: return 2048;
    case 40: return 3;
    case 41: return 1;
    case 75: return d.sm / 10;
    case 76: return d.sm % 10;
    case 78: case 79: case 80: return 1;
    case 81: return sharedOptin(d.sm) + 1024;
    case 83: return 1;
    case 89: case 91: return 1;
    case 95: return 1;                        // cooperative launch
    case 97: return sharedOptin(d.sm);
    case 106: return 32;                      // blocks a multiprocessor
    case 111: return 1024;                    // reserved shared memory a block
    case 115: return !config().noPools;       // memory pools
    default: return 0;
  }
}
EMU_API(cuDeviceGetAttribute, int* v, int a, int dev) EMU_CALL("cuDeviceGetAttribute", { *v = attribute(a, device(dev)); })

bool emu::peersOf(int a, int b) {
  Config& c = config();
  return a != b && !c.noPeer && !c.noPeerPairs.count({a, b}) && !c.noPeerPairs.count({b, a});
}
EMU_API(cuDeviceCanAccessPeer, int* v, int a, int b) EMU_CALL("cuDeviceCanAccessPeer", { *v = peersOf(device(a).id, device(b).id); })
EMU_API(cuDeviceGetP2PAttribute, int* v, int attr, int a, int b) EMU_CALL("cuDeviceGetP2PAttribute", {
  bool p = peersOf(device(a).id, device(b).id);
  *v = attr == 1 ? 0 : p;
})
EMU_API(cuCtxEnablePeerAccess, void* peer, unsigned) EMU_CALL("cuCtxEnablePeerAccess", {
  Context& c = current();
  Context* o = context(peer);
  if (o->device == c.device) throw Fault{InvalidDevice, "a device is no peer of itself"};
  if (!peersOf(c.device->id, o->device->id)) throw Fault{217, "no peer access from device " + std::to_string(c.device->id) + " to " + std::to_string(o->device->id)};
  if (!c.peers.insert(o).second) throw Fault{PeerAlreadyEnabled, ""};
})
EMU_API(cuCtxDisablePeerAccess, void* peer) EMU_CALL("cuCtxDisablePeerAccess", {
  if (!current().peers.erase(context(peer))) throw Fault{PeerNotEnabled, "peer access was not enabled"};
})

// Contexts.
EMU_API(cuCtxCreate_v2, void** out, unsigned flags, int dev) EMU_CALL("cuCtxCreate", {
  injectCall(device(dev).id, "context");
  auto c = newContext(device(dev), flags);
  stack().push_back(c);
  *out = c;
})
EMU_ALIAS(cuCtxCreate_v2, cuCtxCreate)
EMU_API(cuCtxCreate_v3, void** out, void*, int, unsigned flags, int dev) { return cuCtxCreate_v2(out, flags, dev); }
EMU_API(cuCtxCreate_v4, void** out, void*, unsigned flags, int dev) { return cuCtxCreate_v2(out, flags, dev); }
EMU_API(cuCtxDestroy_v2, void* h) EMU_CALL("cuCtxDestroy", {
  Context* c = context(h);
  if (c->primary) throw Fault{InvalidContext, "a primary context is released, not destroyed"};
  if (!stack().empty() && stack().back() == c) stack().pop_back();
  destroyContext(c);
})
EMU_ALIAS(cuCtxDestroy_v2, cuCtxDestroy)
EMU_API(cuCtxPushCurrent_v2, void* h) EMU_CALL("cuCtxPushCurrent", { stack().push_back(context(h)); })
EMU_ALIAS(cuCtxPushCurrent_v2, cuCtxPushCurrent)
EMU_API(cuCtxPopCurrent_v2, void** out) EMU_CALL("cuCtxPopCurrent", {
  if (stack().empty()) throw Fault{InvalidContext, "no context to pop"};
  if (out) *out = stack().back();
  stack().pop_back();
})
EMU_ALIAS(cuCtxPopCurrent_v2, cuCtxPopCurrent)
EMU_API(cuCtxSetCurrent, void* h) EMU_CALL("cuCtxSetCurrent", {
  if (!stack().empty()) stack().pop_back();
  if (h) stack().push_back(context(h));
})
EMU_API(cuCtxGetCurrent, void** out) EMU_CALL("cuCtxGetCurrent", { *out = stack().empty() ? nullptr : stack().back(); })
EMU_API(cuCtxGetDevice, int* d) EMU_CALL("cuCtxGetDevice", { *d = current().device->id; })
EMU_API(cuCtxGetFlags, unsigned* f) EMU_CALL("cuCtxGetFlags", { *f = current().flags; })
EMU_API(cuCtxGetId, void* h, unsigned long long* id) EMU_CALL("cuCtxGetId", { *id = h ? (uint64_t)context(h) : (uint64_t)&current(); })
EMU_API(cuCtxGetApiVersion, void*, unsigned* v) EMU_CALL("cuCtxGetApiVersion", { *v = (unsigned)config().driver; })
EMU_API(cuCtxSynchronize) EMU_CALL("cuCtxSynchronize", {
  Context& c = current();
  forbidCapture(c);
  injectCall(c.device->id, "sync");
  drainContext(c);
  settle(c);
})
EMU_API(cuCtxGetLimit, size_t* v, int) EMU_CALL("cuCtxGetLimit", { current(); *v = 1024; })
EMU_API(cuCtxSetLimit, int, size_t) EMU_CALL("cuCtxSetLimit", { current(); })
EMU_API(cuCtxGetCacheConfig, int* v) EMU_CALL("cuCtxGetCacheConfig", { current(); *v = 0; })
EMU_API(cuCtxSetCacheConfig, int) EMU_CALL("cuCtxSetCacheConfig", { current(); })
EMU_API(cuCtxGetSharedMemConfig, int* v) EMU_CALL("cuCtxGetSharedMemConfig", { current(); *v = 1; })
EMU_API(cuCtxSetSharedMemConfig, int) EMU_CALL("cuCtxSetSharedMemConfig", { current(); })
EMU_API(cuCtxGetStreamPriorityRange, int* least, int* greatest) EMU_CALL("cuCtxGetStreamPriorityRange", {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
})
EMU_API(cuCtxResetPersistingL2Cache) EMU_CALL("cuCtxResetPersistingL2Cache", { current(); })

EMU_API(cuDevicePrimaryCtxRetain, void** out, int dev) EMU_CALL("cuDevicePrimaryCtxRetain", {
  Device& d = device(dev);
  injectCall(d.id, "context");
  if (!d.primary) {
    d.primary = newContext(d, 0);
    d.primary->primary = true;
  }
  d.primaryRefs++;
  *out = d.primary;
})
EMU_API(cuDevicePrimaryCtxRelease_v2, int dev) EMU_CALL("cuDevicePrimaryCtxRelease", {
  Device& d = device(dev);
  if (!d.primaryRefs) throw Fault{InvalidContext, "the primary context is not retained"};
  if (--d.primaryRefs == 0) destroyContext(d.primary);
})
EMU_ALIAS(cuDevicePrimaryCtxRelease_v2, cuDevicePrimaryCtxRelease)
EMU_API(cuDevicePrimaryCtxReset_v2, int dev) EMU_CALL("cuDevicePrimaryCtxReset", {
  Device& d = device(dev);
  if (d.primary) destroyContext(d.primary);
  d.primaryRefs = 0;
})
EMU_ALIAS(cuDevicePrimaryCtxReset_v2, cuDevicePrimaryCtxReset)
EMU_API(cuDevicePrimaryCtxSetFlags_v2, int dev, unsigned) EMU_CALL("cuDevicePrimaryCtxSetFlags", { device(dev); })
EMU_ALIAS(cuDevicePrimaryCtxSetFlags_v2, cuDevicePrimaryCtxSetFlags)
EMU_API(cuDevicePrimaryCtxGetState, int dev, unsigned* flags, int* active) EMU_CALL("cuDevicePrimaryCtxGetState", {
  *flags = 0;
  *active = device(dev).primary != nullptr;
})

// Modules and functions.
static void load(void** out, const char* image, unsigned n, int* options, void** values) {
  Context& c = current();
  forbidCapture(c);
  try {
    *out = loadModule(c, image);
  } catch (Fault& f) {
    char* log = nullptr;
    size_t size = 0;
    for (unsigned i = 0; i < n; i++) {  // CU_JIT_ERROR_LOG_BUFFER and its size
      if (options[i] == 5) log = (char*)values[i];
      if (options[i] == 6) size = (size_t)values[i];
    }
    if (log && size) snprintf(log, size, "%s", f.what.c_str());
    throw;
  }
}
EMU_API(cuModuleLoadData, void** out, const void* image) EMU_CALL("cuModuleLoadData", { load(out, (const char*)image, 0, nullptr, nullptr); })
EMU_API(cuModuleLoadDataEx, void** out, const void* image, unsigned n, int* o, void** v) EMU_CALL("cuModuleLoadDataEx", { load(out, (const char*)image, n, o, v); })
EMU_API(cuModuleLoadFatBinary, void** out, const void* image) EMU_CALL("cuModuleLoadFatBinary", { load(out, (const char*)image, 0, nullptr, nullptr); })
EMU_API(cuModuleLoad, void** out, const char* path) EMU_CALL("cuModuleLoad", {
  FILE* f = fopen(path, "rb");
  if (!f) throw Fault{301, "no such file"};
  std::string text;
  char buf[65536];
  for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;) text.append(buf, n);
  fclose(f);
  load(out, text.c_str(), 0, nullptr, nullptr);
})
static ModuleObject* module(void* h) {
  if (!driver().modules.count(h)) throw Fault{InvalidHandle, "no such module"};
  return (ModuleObject*)h;
}
EMU_API(cuModuleUnload, void* h) EMU_CALL("cuModuleUnload", {
  drainContext(*module(h)->ctx);
  unloadModule(module(h));
})
EMU_API(cuModuleGetFunction, void** out, void* h, const char* name) EMU_CALL("cuModuleGetFunction", {
  current();
  auto f = module(h)->functions.find(name);
  if (f == module(h)->functions.end()) throw Fault{NotFound, std::string("the module has no kernel ") + name};
  *out = f->second.get();
})
EMU_API(cuModuleGetGlobal_v2, unsigned long long* p, size_t* n, void* h, const char* name) EMU_CALL("cuModuleGetGlobal", {
  auto g = module(h)->globals.find(name);
  if (g == module(h)->globals.end()) throw Fault{NotFound, std::string("the module has no variable ") + name};
  if (p) *p = g->second.first;
  if (n) *n = g->second.second;
})
EMU_ALIAS(cuModuleGetGlobal_v2, cuModuleGetGlobal)
EMU_API(cuModuleGetLoadingMode, int* mode) EMU_CALL("cuModuleGetLoadingMode", { *mode = 1; })

static FunctionObject* function(void* h) {
  if (!driver().functions.count(h)) throw Fault{InvalidHandle, "no such function"};
  return (FunctionObject*)h;
}
EMU_API(cuFuncGetAttribute, int* v, int a, void* h) EMU_CALL("cuFuncGetAttribute", {
  FunctionObject* f = function(h);
  const Kernel& k = *f->kernel;
  switch (a) {
    case 0: *v = k.maxntid[0] ? (int)(k.maxntid[0] * k.maxntid[1] * k.maxntid[2]) : 1024; break;
    case 1: *v = (int)k.sharedStatic; break;
    case 3: *v = (int)k.localBytes; break;
    case 4: *v = (int)std::min<uint32_t>(k.regBytes / 128, 255); break;
    case 5: *v = k.ptxVersion; break;
    case 6: *v = k.binaryVersion; break;
    case 8: *v = f->maxDynamic; break;
    case 9: *v = -1; break;
    default: *v = 0;
  }
})
EMU_API(cuFuncSetAttribute, void* h, int a, int v) EMU_CALL("cuFuncSetAttribute", {
  FunctionObject* f = function(h);
  if (a == 9) return;  // preferred carve-out
  if (a != 8) throw Fault{InvalidValue, "this attribute can't be set"};
  int most = sharedOptin(f->module->ctx->device->sm) - (int)f->kernel->sharedStatic;
  if (v < 0 || v > most) throw Fault{InvalidValue, std::to_string(v) + " bytes of dynamic shared memory; the device allows " + std::to_string(most)};
  f->maxDynamic = v;
})
EMU_API(cuFuncSetCacheConfig, void* h, int) EMU_CALL("cuFuncSetCacheConfig", { function(h); })
EMU_API(cuFuncSetSharedMemConfig, void* h, int) EMU_CALL("cuFuncSetSharedMemConfig", { function(h); })
EMU_API(cuFuncGetModule, void** out, void* h) EMU_CALL("cuFuncGetModule", { *out = function(h)->module; })
EMU_API(cuFuncGetName, const char** out, void* h) EMU_CALL("cuFuncGetName", { *out = function(h)->kernel->name.c_str(); })

static int blocksPerSM(const FunctionObject& f, int threads, size_t shared) {
  if (threads <= 0) return 0;
  int warps = (threads + 31) / 32, n = std::min(64 / warps, 32);
  size_t bytes = f.kernel->sharedStatic + shared;
  if (bytes) n = std::min<int>(n, (int)((sharedOptin(f.module->ctx->device->sm) + 1024) / (bytes + 1024)));
  return n;
}
EMU_API(cuOccupancyMaxActiveBlocksPerMultiprocessor, int* n, void* h, int threads, size_t shared) EMU_CALL("cuOccupancyMaxActiveBlocksPerMultiprocessor", { *n = blocksPerSM(*function(h), threads, shared); })
EMU_API(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, int* n, void* h, int threads, size_t shared, unsigned) EMU_CALL("cuOccupancyMaxActiveBlocksPerMultiprocessor", { *n = blocksPerSM(*function(h), threads, shared); })
EMU_API(cuOccupancyMaxPotentialBlockSize, int* grid, int* block, void* h, void*, size_t, int) EMU_CALL("cuOccupancyMaxPotentialBlockSize", {
  auto k = function(h)->kernel;
  *block = k->maxntid[0] ? (int)k->maxntid[0] : 1024;
  *grid = 16;
})

// Errors.
struct ErrorName { int code; const char *name, *text; };
static const ErrorName errorNames[] = {
    {0, "CUDA_SUCCESS", "no error"}, {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"}, {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"}, {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}, {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}, {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"}, {217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "peer access is not supported between these two devices"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"}, {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
    {301, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"}, {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"}, {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}, {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"}, {704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    {705, "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED", "peer access has not been enabled"}, {710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"}, {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", "operation not supported on global/shared address space"}, {718, "CUDA_ERROR_INVALID_PC", "invalid program counter"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}, {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "operation failed because the capture was not started in this stream"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};
static const ErrorName* errorName(int code) {
  for (auto& e : errorNames)
    if (e.code == code) return &e;
  return nullptr;
}
EMU_API(cuGetErrorName, int code, const char** out) {
  const ErrorName* e = errorName(code);
  *out = e ? e->name : nullptr;
  return e ? Ok : InvalidValue;
}
EMU_API(cuGetErrorString, int code, const char** out) {
  const ErrorName* e = errorName(code);
  *out = e ? e->text : nullptr;
  return e ? Ok : InvalidValue;
}

EMU_API(cuGetProcAddress_v2, const char* name, void** out, int, uint64_t, int* status) {
  static void* self = [] {
    Dl_info i;
    return dladdr((void*)&cuInit, &i) ? dlopen(i.dli_fname, RTLD_NOW | RTLD_NOLOAD) : nullptr;
  }();
  *out = self ? dlsym(self, (std::string(name) + "_v2").c_str()) : nullptr;
  if (self && !*out) *out = dlsym(self, name);
  if (status) *status = *out ? 0 : 1;
  return *out ? Ok : NotFound;
}
EMU_API(cuGetProcAddress, const char* name, void** out, int version, uint64_t flags) { return cuGetProcAddress_v2(name, out, version, flags, nullptr); }
