// Entry points: graphs.
#include <algorithm>

#include "driver.h"

using namespace emu;

static Graph* graph(void* h) {
  if (!driver().graphs.count(h)) throw Fault{InvalidValue, "no such graph"};
  return (Graph*)h;
}
static Node* node(void* h) {
  if (!driver().nodes.count(h)) throw Fault{InvalidValue, "no such graph node"};
  return (Node*)h;
}

// order flattens a graph. Of the nodes that could come next it takes the one that was
// added last, so that a missing edge shows.
std::vector<Task> emu::order(const Graph& g, std::vector<const Node*>* from) {
  size_t n = g.nodes.size();
  std::vector<int> waits(n);
  std::vector<std::vector<int>> next(n);
  for (size_t i = 0; i < n; i++)
    for (int d : g.nodes[i]->deps) waits[i]++, next[d].push_back((int)i);
  std::set<int> ready;
  for (size_t i = 0; i < n; i++)
    if (!waits[i]) ready.insert((int)i);
  std::vector<Task> out;
  size_t taken = 0;
  while (!ready.empty()) {
    int i = *ready.rbegin();
    ready.erase(i);
    taken++;
    const Node& x = *g.nodes[i];
    if (x.child) {
      for (auto& t : order(*x.child, from)) out.push_back(t);
    } else {
      out.push_back(x.task);
      if (from) from->push_back(&x);
    }
    for (int k : next[i])
      if (--waits[k] == 0) ready.insert(k);
  }
  if (taken != n) throw Fault{InvalidValue, "the graph has a cycle"};
  return out;
}

static void dropGraph(Graph* g) {
  for (auto& n : g->nodes) {
    if (n->child) dropGraph(n->child);
    driver().nodes.erase(n.get());
  }
  driver().graphs.erase(g);
  delete g;
}
static Graph* clone(const Graph& g) {
  auto c = new Graph;
  for (auto& n : g.nodes) {
    auto m = std::make_unique<Node>();
    m->task = n->task;
    m->deps = n->deps;
    m->type = n->type;
    m->index = n->index;
    m->owner = c;
    if (n->child) m->child = clone(*n->child);
    driver().nodes.insert(m.get());
    c->nodes.push_back(std::move(m));
  }
  driver().graphs.insert(c);
  return c;
}
static Node* addNode(void* g, void** deps, size_t n, int type) {
  auto x = std::make_unique<Node>();
  x->owner = graph(g);
  x->index = (int)x->owner->nodes.size();
  x->type = type;
  for (size_t i = 0; i < n; i++) {
    if (node(deps[i])->owner != x->owner) throw Fault{InvalidValue, "a dependency is of another graph"};
    x->deps.push_back(node(deps[i])->index);
  }
  driver().nodes.insert(x.get());
  x->owner->nodes.push_back(std::move(x));
  return ((Graph*)g)->nodes.back().get();
}

EMU_API(cuGraphCreate, void** out, unsigned) EMU_CALL("cuGraphCreate", {
  auto g = new Graph;
  driver().graphs.insert(g);
  *out = g;
})
EMU_API(cuGraphDestroy, void* g) EMU_CALL("cuGraphDestroy", { dropGraph(graph(g)); })
EMU_API(cuGraphClone, void** out, void* g) EMU_CALL("cuGraphClone", { *out = clone(*graph(g)); })

struct KernelParams {  // CUDA_KERNEL_NODE_PARAMS; _v2 adds a kernel and a context
  void* func;
  unsigned gx, gy, gz, bx, by, bz, shared;
  void **params, **extra;
};
static Task kernelOf(Context& c, const KernelParams* p) {
  const unsigned grid[3] = {p->gx, p->gy, p->gz}, block[3] = {p->bx, p->by, p->bz};
  return kernelTask(prepareLaunch(c, (FunctionObject*)p->func, grid, block, p->shared, p->params, p->extra));
}
EMU_API(cuGraphAddKernelNode_v2, void** out, void* g, void** deps, size_t n, const KernelParams* p) EMU_CALL("cuGraphAddKernelNode", {
  Task t = kernelOf(current(), p);
  Node* x = addNode(g, deps, n, 0);
  x->task = std::move(t);
  *out = x;
})
EMU_ALIAS(cuGraphAddKernelNode_v2, cuGraphAddKernelNode)
EMU_API(cuGraphKernelNodeSetParams_v2, void* n, const KernelParams* p) EMU_CALL("cuGraphKernelNodeSetParams", { node(n)->task = kernelOf(current(), p); })
EMU_ALIAS(cuGraphKernelNodeSetParams_v2, cuGraphKernelNodeSetParams)
EMU_API(cuGraphAddEmptyNode, void** out, void* g, void** deps, size_t n) EMU_CALL("cuGraphAddEmptyNode", { *out = addNode(g, deps, n, 5); })
struct HostParams {
  void (*fn)(void*);
  void* data;
};
EMU_API(cuGraphAddHostNode, void** out, void* g, void** deps, size_t n, const HostParams* p) EMU_CALL("cuGraphAddHostNode", {
  Node* x = addNode(g, deps, n, 3);
  HostParams h = *p;
  x->task.kind = Task::Host;
  x->task.run = [h](Context&) { h.fn(h.data); };
  *out = x;
})
EMU_API(cuGraphAddChildGraphNode, void** out, void* g, void** deps, size_t n, void* child) EMU_CALL("cuGraphAddChildGraphNode", {
  Graph* c = clone(*graph(child));
  Node* x = addNode(g, deps, n, 4);
  x->child = c;
  *out = x;
})
struct SetParams {  // CUDA_MEMSET_NODE_PARAMS
  unsigned long long dst;
  size_t pitch;
  unsigned value, elementSize;
  size_t width, height;
};
EMU_API(cuGraphAddMemsetNode, void** out, void* g, void** deps, size_t n, const SetParams* p, void*) EMU_CALL("cuGraphAddMemsetNode", {
  SetParams s = *p;
  size_t span = s.height ? (s.height - 1) * s.pitch + s.width * s.elementSize : 0;
  deviceBytes(current(), s.dst, span, "memset", false);
  Node* x = addNode(g, deps, n, 2);
  x->task.kind = Task::Set;
  x->task.op = "memset";
  x->task.run = [s, span](Context& c) {
    uint8_t* d = deviceBytes(c, s.dst, span, "memset", true);
    for (size_t r = 0; r < s.height; r++)
      for (size_t i = 0; i < s.width; i++) memcpy(d + r * s.pitch + i * s.elementSize, &s.value, s.elementSize);
  };
  *out = x;
})
EMU_API(cuGraphAddDependencies, void* g, void** from, void** to, size_t n) EMU_CALL("cuGraphAddDependencies", {
  graph(g);
  for (size_t i = 0; i < n; i++) node(to[i])->deps.push_back(node(from[i])->index);
})
EMU_API(cuGraphAddDependencies_v2, void* g, void** from, void** to, const void*, size_t n) { return cuGraphAddDependencies(g, from, to, n); }
EMU_API(cuGraphGetNodes, void* g, void** out, size_t* n) EMU_CALL("cuGraphGetNodes", {
  auto& nodes = graph(g)->nodes;
  if (out)
    for (size_t i = 0; i < *n && i < nodes.size(); i++) out[i] = nodes[i].get();
  *n = nodes.size();
})
EMU_API(cuGraphGetRootNodes, void* g, void** out, size_t* n) EMU_CALL("cuGraphGetRootNodes", {
  size_t k = 0;
  for (auto& x : graph(g)->nodes)
    if (x->deps.empty()) {
      if (out && k < *n) out[k] = x.get();
      k++;
    }
  *n = k;
})
EMU_API(cuGraphGetEdges, void* g, void** from, void** to, size_t* n) EMU_CALL("cuGraphGetEdges", {
  size_t k = 0;
  for (auto& x : graph(g)->nodes)
    for (int d : x->deps) {
      if (from && to && k < *n) from[k] = x->owner->nodes[d].get(), to[k] = x.get();
      k++;
    }
  *n = k;
})
EMU_API(cuGraphNodeGetType, void* n, int* type) EMU_CALL("cuGraphNodeGetType", { *type = node(n)->type; })

static void instantiate(void** out, void* h) {
  Context& c = current();
  injectCall(c.device->id, "graph");
  auto x = std::make_unique<GraphExec>();
  x->ctx = &c;
  x->tasks = order(*graph(h), &x->from);
  driver().execs.insert(x.get());
  *out = x.release();
}
EMU_API(cuGraphInstantiateWithFlags, void** out, void* g, unsigned long long) EMU_CALL("cuGraphInstantiate", { instantiate(out, g); })
EMU_ALIAS(cuGraphInstantiateWithFlags, cuGraphInstantiate)
EMU_API(cuGraphInstantiate_v2, void** out, void* g, void** bad, char* log, size_t n) EMU_CALL("cuGraphInstantiate", {
  if (bad) *bad = nullptr;
  if (log && n) *log = 0;
  instantiate(out, g);
})
EMU_API(cuGraphInstantiateWithParams, void** out, void* g, void*) EMU_CALL("cuGraphInstantiate", { instantiate(out, g); })
static GraphExec* exec(void* h) {
  if (!driver().execs.count(h)) throw Fault{InvalidValue, "no such executable graph"};
  return (GraphExec*)h;
}
EMU_API(cuGraphExecDestroy, void* h) EMU_CALL("cuGraphExecDestroy", {
  GraphExec* x = exec(h);
  driver().execs.erase(h);
  delete x;
})
EMU_API(cuGraphExecKernelNodeSetParams_v2, void* h, void* n, const KernelParams* p) EMU_CALL("cuGraphExecKernelNodeSetParams", {
  GraphExec* x = exec(h);
  auto at = std::find(x->from.begin(), x->from.end(), (const Node*)n);
  if (at == x->from.end()) throw Fault{InvalidValue, "the node is not of this graph"};
  x->tasks[at - x->from.begin()] = kernelOf(*x->ctx, p);
})
EMU_ALIAS(cuGraphExecKernelNodeSetParams_v2, cuGraphExecKernelNodeSetParams)
EMU_API(cuGraphExecUpdate_v2, void* h, void* g, void*) EMU_CALL("cuGraphExecUpdate", {
  GraphExec* x = exec(h);
  std::vector<const Node*> from;
  auto tasks = order(*graph(g), &from);
  bool same = tasks.size() == x->tasks.size();
  for (size_t i = 0; same && i < tasks.size(); i++) same = tasks[i].kind == x->tasks[i].kind;
  if (!same) throw Fault{910, "the graph has another shape"};
  x->tasks = tasks;
})
EMU_API(cuGraphUpload, void* h, void* s) EMU_CALL("cuGraphUpload", { exec(h); stream(s); })
EMU_API(cuGraphLaunch, void* h, void* sh) EMU_CALL("cuGraphLaunch", {
  GraphExec* x = exec(h);
  auto s = stream(sh);
  if (s->ctx != x->ctx) throw Fault{InvalidHandle, "the graph belongs to another context"};
  Task g;
  g.op = "graphlaunch";
  injectTask(s->ctx->device->id, g);
  if (g.run) enqueue(s, std::move(g));
  for (auto& t : x->tasks) {
    Task one = t;
    if (*one.op && !s->capture) injectTask(s->ctx->device->id, one);
    enqueue(s, std::move(one));
  }
})
EMU_ALIAS(cuGraphLaunch, cuGraphLaunch_ptsz)
