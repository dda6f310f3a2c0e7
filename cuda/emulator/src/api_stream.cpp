// Entry points: streams, events, launches, host functions, capture.
#include <algorithm>
#include <chrono>

#include "driver.h"

using namespace emu;

static void createStream(void** out, unsigned flags, int priority) {
  Context& c = current();
  injectCall(c.device->id, "stream");
  auto s = std::make_shared<Stream>();
  s->ctx = &c;
  s->blocking = !(flags & 1);
  s->priority = priority;
  c.streams.push_back(s);
  driver().streams[s.get()] = s;
  *out = s.get();
}
EMU_API(cuStreamCreate, void** out, unsigned flags) EMU_CALL("cuStreamCreate", { createStream(out, flags, 0); })
EMU_API(cuStreamCreateWithPriority, void** out, unsigned flags, int p) EMU_CALL("cuStreamCreateWithPriority", { createStream(out, flags, p); })
EMU_API(cuStreamDestroy_v2, void* h) EMU_CALL("cuStreamDestroy", {
  auto s = driver().streams.find(h);
  if (s == driver().streams.end()) throw Fault{InvalidHandle, "no such stream"};
  s->second->destroyed = true;  // what it holds still runs
  driver().streams.erase(s);
})
EMU_ALIAS(cuStreamDestroy_v2, cuStreamDestroy)
EMU_API(cuStreamSynchronize, void* h) EMU_CALL("cuStreamSynchronize", {
  auto s = stream(h);
  forbidCapture(*s->ctx, s);
  injectCall(s->ctx->device->id, "sync");
  if (s == s->ctx->null)
    for (auto& o : s->ctx->streams)
      if (o->blocking) drain(o, o->queued);
  drain(s, s->queued);
  settle(*s->ctx);
})
EMU_ALIAS(cuStreamSynchronize, cuStreamSynchronize_ptsz)
EMU_API(cuStreamQuery, void* h) EMU_CALL("cuStreamQuery", {
  auto s = stream(h);
  forbidCapture(*s->ctx, s);
  if (s->done < s->queued) {
    step(s);  // a poll moves the stream on, or polling would never end
    throw Fault{NotReady, ""};
  }
  settle(*s->ctx);
})
EMU_ALIAS(cuStreamQuery, cuStreamQuery_ptsz)
EMU_API(cuStreamGetFlags, void* h, unsigned* f) EMU_CALL("cuStreamGetFlags", { *f = !stream(h)->blocking; })
EMU_API(cuStreamGetPriority, void* h, int* p) EMU_CALL("cuStreamGetPriority", { *p = stream(h)->priority; })
EMU_API(cuStreamGetCtx, void* h, void** c) EMU_CALL("cuStreamGetCtx", { *c = stream(h)->ctx; })
EMU_API(cuStreamGetId, void* h, unsigned long long* id) EMU_CALL("cuStreamGetId", { *id = (uint64_t)stream(h).get(); })
EMU_API(cuStreamAttachMemAsync, void* h, unsigned long long, size_t, unsigned) EMU_CALL("cuStreamAttachMemAsync", { stream(h); })

// Events.
static Event* event(void* h) {
  if (!driver().events.count(h)) throw Fault{InvalidHandle, "no such event"};
  auto e = (Event*)h;
  if (driver().contexts.count(e->ctx) && e->ctx->sticky) throw Fault{e->ctx->sticky, ""};
  return e;
}
EMU_API(cuEventCreate, void** out, unsigned flags) EMU_CALL("cuEventCreate", {
  Context& c = current();
  injectCall(c.device->id, "event");
  auto e = new Event;
  e->ctx = &c;
  e->timed = !(flags & 2);
  driver().events.insert(e);
  *out = e;
})
EMU_API(cuEventDestroy_v2, void* h) EMU_CALL("cuEventDestroy", {
  if (!driver().events.erase(h)) throw Fault{InvalidHandle, "no such event"};
  delete (Event*)h;
})
EMU_ALIAS(cuEventDestroy_v2, cuEventDestroy)
EMU_API(cuEventRecord, void* h, void* sh) EMU_CALL("cuEventRecord", {
  Event* e = event(h);
  auto s = stream(sh);
  if (s->ctx != e->ctx) throw Fault{InvalidHandle, "event and stream belong to different contexts"};
  if (s->capture) {
    e->capture = s->capture;
    e->captureDeps = s->captureDeps;
    e->stream = nullptr;
    return;
  }
  e->capture = nullptr;
  Task t;
  t.kind = Task::Mark;
  t.run = [e](Context&) {
    if (driver().events.count(e)) e->ms = (double)std::chrono::steady_clock::now().time_since_epoch().count() * 1e-6;
  };
  e->stream = s;
  e->seq = s->queued + 1;
  enqueue(s, std::move(t));
})
EMU_ALIAS(cuEventRecord, cuEventRecord_ptsz)
EMU_API(cuEventRecordWithFlags, void* h, void* s, unsigned) { return cuEventRecord(h, s); }
EMU_API(cuEventQuery, void* h) EMU_CALL("cuEventQuery", {
  Event* e = event(h);
  if (!e->stream) return;
  if (e->stream->done < e->seq) {
    step(e->stream);
    throw Fault{NotReady, ""};
  }
  settle(*e->ctx);
})
EMU_API(cuEventSynchronize, void* h) EMU_CALL("cuEventSynchronize", {
  Event* e = event(h);
  if (e->capture) throw Fault{CaptureUnsupported, "the event was recorded while capturing"};
  injectCall(e->ctx->device->id, "sync");
  if (e->stream) drain(e->stream, e->seq);
  settle(*e->ctx);
})
EMU_API(cuEventElapsedTime, float* ms, void* a, void* b) EMU_CALL("cuEventElapsedTime", {
  Event *x = event(a), *y = event(b);
  if (!x->timed || !y->timed || !x->stream || !y->stream) throw Fault{InvalidHandle, "the event has no time"};
  if (x->stream->done < x->seq || y->stream->done < y->seq) throw Fault{NotReady, ""};
  *ms = (float)(y->ms - x->ms);
})
EMU_ALIAS(cuEventElapsedTime, cuEventElapsedTime_v2)
EMU_API(cuStreamWaitEvent, void* sh, void* h, unsigned) EMU_CALL("cuStreamWaitEvent", {
  auto s = stream(sh);
  Event* e = event(h);
  if (e->capture) {
    if (s->capture && s->capture != e->capture) throw Fault{CaptureIsolation, "the event belongs to another capture"};
    if (!s->capture) {
      s->capture = e->capture;
      s->captureDeps.clear();
      e->capture->joined.insert(s);
    }
    for (int d : e->captureDeps)
      if (std::find(s->captureDeps.begin(), s->captureDeps.end(), d) == s->captureDeps.end()) s->captureDeps.push_back(d);
    return;
  }
  if (s->capture) throw Fault{CaptureIsolation, "the event was recorded outside the capture"};
  if (!e->stream) return;
  Task t;
  t.kind = Task::Mark;
  t.deps.push_back({e->stream, e->seq});
  enqueue(s, std::move(t));
})
EMU_ALIAS(cuStreamWaitEvent, cuStreamWaitEvent_ptsz)

// Launches and host functions.
static void launch(void* f, const unsigned grid[3], const unsigned block[3], unsigned shared, void* h, void** params, void** extra) {
  auto s = stream(h);
  Task t = kernelTask(prepareLaunch(*s->ctx, (FunctionObject*)f, grid, block, shared, params, extra));
  if (!s->capture) injectTask(s->ctx->device->id, t);
  enqueue(s, std::move(t));
}
EMU_API(cuLaunchKernel, void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* h, void** params, void** extra)
EMU_CALL("cuLaunchKernel", {
  const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
  launch(f, grid, block, shared, h, params, extra);
})
EMU_ALIAS(cuLaunchKernel, cuLaunchKernel_ptsz)
struct LaunchConfig {  // CUlaunchConfig
  unsigned gx, gy, gz, bx, by, bz, shared;
  void* stream;
  void* attrs;
  unsigned count;
};
EMU_API(cuLaunchKernelEx, const LaunchConfig* c, void* f, void** params, void** extra) EMU_CALL("cuLaunchKernelEx", {
  const unsigned grid[3] = {c->gx, c->gy, c->gz}, block[3] = {c->bx, c->by, c->bz};
  launch(f, grid, block, c->shared, c->stream, params, extra);
})
EMU_ALIAS(cuLaunchKernelEx, cuLaunchKernelEx_ptsz)
static void hostFunction(void* h, std::function<void()> f) {
  auto s = stream(h);
  Task t;
  t.kind = Task::Host;
  t.run = [f](Context&) { f(); };
  enqueue(s, std::move(t));
}
EMU_API(cuLaunchHostFunc, void* h, void (*fn)(void*), void* data) EMU_CALL("cuLaunchHostFunc", { hostFunction(h, [=] { fn(data); }); })
EMU_ALIAS(cuLaunchHostFunc, cuLaunchHostFunc_ptsz)
EMU_API(cuStreamAddCallback, void* h, void (*fn)(void*, int, void*), void* data, unsigned) EMU_CALL("cuStreamAddCallback", { hostFunction(h, [=] { fn(h, Ok, data); }); })

// Capture.
EMU_API(cuStreamBeginCapture_v2, void* h, int mode) EMU_CALL("cuStreamBeginCapture", {
  auto s = stream(h);
  if (s == s->ctx->null) throw Fault{CaptureUnsupported, "the legacy stream can't capture"};
  if (s->capture) throw Fault{InvalidValue, "the stream captures already"};
  s->capture = std::make_shared<Capture>();
  s->capture->graph = new Graph;
  s->capture->origin = s;
  s->capture->mode = mode;
  s->captureDeps.clear();
})
EMU_ALIAS(cuStreamBeginCapture_v2, cuStreamBeginCapture) EMU_ALIAS(cuStreamBeginCapture_v2, cuStreamBeginCapture_v2_ptsz)
EMU_API(cuStreamEndCapture, void* h, void** out) EMU_CALL("cuStreamEndCapture", {
  auto s = stream(h);
  *out = nullptr;
  if (!s->capture) throw Fault{InvalidValue, "the stream does not capture"};
  if (s->capture->origin != s) throw Fault{CaptureUnmatched, "the capture was begun on another stream"};
  auto cap = s->capture;
  // Every node must come before the end of the stream that began the capture.
  std::vector<bool> seen(cap->graph->nodes.size());
  std::vector<int> todo = s->captureDeps;
  while (!todo.empty()) {
    int n = todo.back();
    todo.pop_back();
    if (seen[n]) continue;
    seen[n] = true;
    for (int d : cap->graph->nodes[n]->deps) todo.push_back(d);
  }
  bool joined = std::all_of(seen.begin(), seen.end(), [](bool b) { return b; });
  for (auto& o : cap->joined) o->capture = nullptr;
  s->capture = nullptr;
  if (cap->invalid || !joined) {
    for (auto& n : cap->graph->nodes) driver().nodes.erase(n.get());
    delete cap->graph;
    if (cap->invalid) throw Fault{CaptureInvalidated, "a call that is not permitted while capturing invalidated the capture"};
    throw Fault{CaptureUnjoined, "a stream that joined the capture was not joined back"};
  }
  driver().graphs.insert(cap->graph);
  *out = cap->graph;
})
EMU_ALIAS(cuStreamEndCapture, cuStreamEndCapture_ptsz)
EMU_API(cuStreamIsCapturing, void* h, int* status) EMU_CALL("cuStreamIsCapturing", {
  auto s = stream(h);
  *status = !s->capture ? 0 : s->capture->invalid ? 2 : 1;
})
EMU_API(cuThreadExchangeStreamCaptureMode, int* mode) EMU_CALL("cuThreadExchangeStreamCaptureMode", { (void)mode; })
