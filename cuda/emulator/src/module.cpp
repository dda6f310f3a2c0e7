// Modules and launches.
#include <algorithm>

#include "driver.h"
#include "ptx.h"

namespace emu {
namespace {

std::shared_ptr<Decoded> compile(Module& m) {
  auto d = std::make_shared<Decoded>();
  d->target = m.target;
  d->version = m.version;
  for (auto& f : m.functions)
    if (f.second.entry && !f.second.declared) {
      d->kernels[f.first] = decode(m, f.second);
      d->kernels[f.first]->binaryVersion = m.target;
    }
  return d;
}

bool isVariable(const Var& v) { return v.space == Space::Global || v.space == Space::Const; }

}  // namespace

ModuleObject* loadModule(Context& c, const std::string& text) {
  Driver& d = driver();
  injectCall(c.device->id, "module");
  if (text.size() < 4 || text.compare(0, 4, "\x7f" "ELF") == 0 || text.compare(0, 4, "\x50\xed\x55\xba") == 0)
    throw Fault{NoBinary, "the emulator loads PTX only, not cubins"};
  uint64_t key = std::hash<std::string>()(text);
  auto mod = std::make_unique<ModuleObject>();
  mod->ctx = &c;
  auto cached = d.decoded.find(key);
  if (cached != d.decoded.end()) {
    mod->code = cached->second;
  } else {
    Module m = parse(text);
    if (m.version > (config().driver >= 13000 ? 90 : 80 + (config().driver - 12000) / 10)) throw Fault{UnsupportedPtx, "PTX version " + std::to_string(m.version) + " is newer than the driver"};
    if (m.target > c.device->sm || (m.exactTarget && m.target != c.device->sm))
      throw Fault{NoBinary, "PTX for sm_" + std::to_string(m.target) + " does not run on sm_" + std::to_string(c.device->sm)};
    bool own = false;
    for (auto& v : m.vars) {
      if (!isVariable(v)) continue;
      if (v.isExtern || v.size == 0) throw Fault{InvalidPtx, "variable " + v.name + " is not defined"};
      own = true;
      v.addr = c.device->allocate(v.size, &c);
      mod->globals[v.name] = {v.addr, v.size};
    }
    for (auto& v : m.vars) {
      if (!isVariable(v)) continue;
      uint8_t* p = deviceBytes(c, v.addr, v.size, "initialise", false);
      memset(p, 0, v.size);
      memcpy(p, v.init.data(), v.init.size());
      for (auto& r : v.relocs) {
        auto to = mod->globals.find(r.symbol);
        if (to == mod->globals.end()) throw Fault{InvalidPtx, "unknown symbol " + r.symbol + " in the value of " + v.name};
        uint64_t a = to->second.first + (uint64_t)r.off;
        memcpy(p + r.at, &a, 8);
      }
    }
    try {
      mod->code = compile(m);
    } catch (Fault&) {
      for (auto& g : mod->globals) c.device->release(g.second.first);
      throw;
    }
    if (!own) d.decoded[key] = mod->code;  // code that holds addresses belongs to one module
  }
  if (mod->code->target > c.device->sm)
    throw Fault{NoBinary, "PTX for sm_" + std::to_string(mod->code->target) + " does not run on sm_" + std::to_string(c.device->sm)};
  for (auto& k : mod->code->kernels) {
    auto f = std::make_unique<FunctionObject>();
    f->module = mod.get();
    f->kernel = k.second;
    d.functions.insert(f.get());
    mod->functions[k.first] = std::move(f);
  }
  d.modules.insert(mod.get());
  c.modules.insert(mod.get());
  return mod.release();
}

void unloadModule(ModuleObject* m) {
  Driver& d = driver();
  for (auto& f : m->functions) d.functions.erase(f.second.get());
  for (auto& g : m->globals)
    if (findAllocation(g.second.first)) m->ctx->device->release(g.second.first);
  d.modules.erase(m);
  m->ctx->modules.erase(m);
  delete m;
}

std::shared_ptr<Launch> prepareLaunch(Context& c, FunctionObject* f, const unsigned grid[3], const unsigned block[3], unsigned shared, void** params, void** extra) {
  if (!driver().functions.count(f)) throw Fault{InvalidHandle, "no such function"};
  if (f->module->ctx != &c) throw Fault{InvalidHandle, "the function belongs to another context"};
  const Kernel& k = *f->kernel;
  auto l = std::make_shared<Launch>();
  l->kernel = f->kernel;
  uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
  static const unsigned maxGrid[3] = {0x7fffffff, 65535, 65535}, maxBlock[3] = {1024, 1024, 64};
  auto refuse = [&](int code, const std::string& why) { throw Fault{code, "launch of " + k.name + ": " + why}; };
  for (int i = 0; i < 3; i++) {
    if (grid[i] == 0 || grid[i] > maxGrid[i]) refuse(InvalidValue, "grid dimension " + std::to_string(i) + " is " + std::to_string(grid[i]));
    if (block[i] == 0 || block[i] > maxBlock[i]) refuse(InvalidValue, "block dimension " + std::to_string(i) + " is " + std::to_string(block[i]));
    l->grid[i] = grid[i];
    l->block[i] = block[i];
    if (k.reqntid[0] && block[i] != k.reqntid[i]) refuse(InvalidValue, "the block is not the one that .reqntid asks for");
  }
  if (threads > 1024) refuse(InvalidValue, std::to_string(threads) + " threads a block");
  if (k.maxntid[0] && threads > (uint64_t)k.maxntid[0] * k.maxntid[1] * k.maxntid[2]) refuse(OutOfResources, std::to_string(threads) + " threads a block are more than .maxntid allows");
  if (shared > (unsigned)f->maxDynamic || (uint64_t)k.sharedStatic + shared > std::max<uint64_t>(48 << 10, (uint64_t)f->maxDynamic + k.sharedStatic))
    refuse(InvalidValue, std::to_string(shared) + " bytes of dynamic shared memory; the function allows " + std::to_string(f->maxDynamic));
  if (f->maxDynamic <= 48 << 10 && k.sharedStatic + shared > 48 << 10) refuse(InvalidValue, "more than 48 KiB of shared memory");
  l->dynamicShared = shared;
  l->threads = (uint32_t)threads;
  l->warps = (uint32_t)((threads + 31) / 32);
  l->params.assign(k.paramBytes, 0);
  l->gridId = ++driver().grids;
  if (params) {
    for (size_t i = 0; i < k.params.size(); i++) {
      if (!params[i]) refuse(InvalidValue, "parameter " + std::to_string(i) + " is null");
      memcpy(l->params.data() + k.params[i].offset, params[i], k.params[i].size);
    }
  } else if (extra) {
    const void* buf = nullptr;
    size_t size = 0;
    for (void** e = extra; *e; e += 2) {
      if (*e == (void*)1) buf = e[1];
      else if (*e == (void*)2) size = *(size_t*)e[1];
      else refuse(InvalidValue, "unknown extra option");
    }
    if (!buf || size < k.paramBytes) refuse(InvalidValue, "the parameter buffer is too small");
    memcpy(l->params.data(), buf, k.paramBytes);
  } else if (k.paramBytes) {
    refuse(InvalidValue, "no parameters");
  }
  return l;
}

Task kernelTask(std::shared_ptr<Launch> l) {
  Task t;
  t.kind = Task::Kernel;
  t.op = "launch";
  t.launch = l;
  uint64_t& ran = counter("kernel." + l->kernel->name);
  t.run = [l, &ran](Context& c) {
    ran++;
    View v(c);
    execute(*l, v, {config().threads, config().race, config().maxSteps});
  };
  return t;
}

}  // namespace emu
