// Streams are queues that nothing empties but a synchronisation (unless EAGER): a missing
// one shows. Tasks wait for tasks of other streams through sequence numbers.
#include <algorithm>

#include "driver.h"

namespace emu {

Driver& driver() {
  static Driver* d = new Driver;
  return *d;
}
std::vector<Context*>& stack() {
  static thread_local std::vector<Context*> s;
  return s;
}

bool stickyCode(int c) { return c == 700 || c == 702 || c == 710 || (c >= 714 && c <= 720) || c == 214 || c == 46 || c == 999; }

Context& current() {
  if (!driver().initialised) throw Fault{NotInitialized, ""};
  if (stack().empty() || !driver().contexts.count(stack().back())) throw Fault{InvalidContext, "no context is current on this thread"};
  Context& c = *stack().back();
  if (c.sticky) throw Fault{c.sticky, ""};
  return c;
}

std::shared_ptr<Stream> stream(void* h) {
  Context& c = current();
  if (h == nullptr || h == (void*)1) return c.null;
  if (h == (void*)2) return c.perThread;
  auto s = driver().streams.find(h);
  if (s == driver().streams.end()) throw Fault{InvalidHandle, "no such stream"};
  if (s->second->ctx->sticky) throw Fault{s->second->ctx->sticky, ""};
  return s->second;
}

void injectCall(int device, const char* op) {
  if (int code = injected(device, op)) {
    if (stickyCode(code)) {
      for (Context* c : driver().contexts)
        if (c->device->id == device) c->sticky = code;
    }
    throw Fault{code, std::string("injected fault: ") + op + " on device " + std::to_string(device)};
  }
}

void injectTask(int device, Task& t) {
  int code = injected(device, t.op);
  if (!code) return;
  Fault f{code, std::string("injected fault: ") + t.op + " on device " + std::to_string(device)};
  if (!stickyCode(code)) throw f;
  t.run = [f](Context&) { throw f; };
}

void forbidCapture(Context& c, const std::shared_ptr<Stream>& s) {
  for (auto& t : c.streams) {
    if (!t->capture) continue;
    if (s ? t == s : t->capture->mode != 2) {
      t->capture->invalid = true;
      throw Fault{CaptureUnsupported, "the call is not permitted while a stream captures"};
    }
  }
}

static uint64_t captureNode(const std::shared_ptr<Stream>& s, Task t) {
  Capture& cap = *s->capture;
  if (cap.invalid) throw Fault{CaptureInvalidated, ""};
  if (t.kind == Task::Free || t.kind == Task::Alloc) throw Fault{NotSupported, "memory nodes of graphs are not modelled"};
  auto n = std::make_unique<Node>();
  static const int types[] = {0, 1, 2, 5, 3, 11, 10, 5};  // CUgraphNodeType by Task::Kind
  n->type = types[t.kind];
  n->task = std::move(t);
  n->deps = s->captureDeps;
  n->owner = cap.graph;
  n->index = (int)cap.graph->nodes.size();
  driver().nodes.insert(n.get());
  s->captureDeps = {n->index};
  cap.graph->nodes.push_back(std::move(n));
  return 0;
}

uint64_t enqueue(const std::shared_ptr<Stream>& s, Task t) {
  Context& c = *s->ctx;
  if (c.sticky) throw Fault{c.sticky, ""};
  if (s->capture) return captureNode(s, std::move(t));
  t.ticket = ++driver().tickets;
  auto after = [&](const std::shared_ptr<Stream>& o) {
    if (o->done < o->queued) t.deps.push_back({o, o->queued});
  };
  if (s == c.null) {
    for (auto& o : c.streams) {
      if (o == s || !o->blocking) continue;
      if (o->capture && o->capture->mode != 2) {
        o->capture->invalid = true;
        throw Fault{CaptureImplicit, "the legacy stream would wait for a stream that captures"};
      }
      after(o);
    }
  } else if (s->blocking) {
    after(c.null);
  }
  s->queue.push_back(std::move(t));
  uint64_t seq = ++s->queued;
  if (config().eager) drain(s, seq);
  return seq;
}

// perform runs one task; an error goes to the context, not to the caller.
static void perform(Context& c, Task& t) {
  if (c.sticky) return;
  driver().running = t.ticket;
  try {
    if (t.run) t.run(c);
  } catch (Fault& f) {
    refusal(f);
    if (stickyCode(f.code)) c.sticky = f.code;
    else if (!c.pending) c.pending = f.code;
  }
}

void drain(const std::shared_ptr<Stream>& s, uint64_t upto) {
  Driver& d = driver();
  while (s->done < upto) {
    if (s->busy) {  // another thread runs a host function of this stream
      d.idle.wait(d.mu);
      continue;
    }
    bool waited = false;
    for (size_t i = 0; i < s->queue.front().deps.size(); i++) {
      Dep dep = s->queue.front().deps[i];
      if (dep.first->done >= dep.second) continue;
      drain(dep.first, dep.second);
      waited = true;
      break;
    }
    if (waited) continue;
    s->busy = true;
    Task t = std::move(s->queue.front());
    s->queue.pop_front();
    if (t.kind == Task::Host && !s->ctx->sticky) {
      d.mu.unlock();  // its own code may wait for a thread that wants the driver
      t.run(*s->ctx);
      d.mu.lock();
    } else {
      perform(*s->ctx, t);
    }
    s->busy = false;
    s->done++;
    d.idle.notify_all();
  }
}

void step(const std::shared_ptr<Stream>& s) {
  if (s->done < s->queued) drain(s, s->done + 1);
}

void drainContext(Context& c) {
  for (size_t i = 0; i < c.streams.size(); i++) {
    auto s = c.streams[i];
    drain(s, s->queued);
  }
  c.streams.erase(std::remove_if(c.streams.begin(), c.streams.end(), [](auto& s) { return s->destroyed && s->done == s->queued; }), c.streams.end());
}

void settle(Context& c) {
  trimPools(*c.device);
  if (c.sticky) throw Fault{c.sticky, ""};
  if (int p = c.pending) {
    c.pending = 0;
    throw Fault{p, ""};
  }
}

void destroyContext(Context* c) {
  Driver& d = driver();
  drainContext(*c);
  while (!c->modules.empty()) unloadModule(*c->modules.begin());
  for (auto it = d.streams.begin(); it != d.streams.end();) it = it->second->ctx == c ? d.streams.erase(it) : std::next(it);
  for (auto o : d.contexts) o->peers.erase(c);
  d.contexts.erase(c);
  for (auto it = c->device->live.begin(); it != c->device->live.end();) {
    uint64_t lo = it->first;
    bool mine = it->second.ctx == c;
    ++it;
    if (mine) c->device->release(lo);
  }
  for (Pool* p : d.pools)
    if (p->device == c->device) trimPool(*p, 0);
  if (c->device->primary == c) c->device->primary = nullptr;
  for (auto& s : c->streams) s->ctx = nullptr;
  delete c;
}

}  // namespace emu
