package pipeline

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/tensor"
)

// ensemble answers a request by its steps: each runs as a request to its own model, with
// that model's batches and cache, as soon as the tensors that it reads are there. Steps
// that don't wait for each other run side by side.
type ensemble struct {
	model  string
	pipe   *Pipeline
	steps  []*step
	names  []string // of the tensors
	inputs []int    // tensor of each input
	output []int    // tensor of each output
	chain  bool     // every step waits for the one before it
	alone  bool     // and none is on another server: the steps watch the caller themselves
	calls  sync.Pool
}

// step is one model of an ensemble.
type step struct {
	model, version string
	remote         *remote // nil: a model of this server
	in, out        []bind
	waits          int   // steps that must be done before
	next           []int // steps that wait for this one
	stats          StepStats
}

// bind ties a port to one of the ensemble's tensors.
type bind struct {
	port   string
	tensor int
}

// StepStats counts what one step of an ensemble did.
type StepStats struct {
	// Step is the index in the configuration, Model what it names there.
	Step          int
	Model         string
	Success, Fail Total
}

// flow is one request on its way through an ensemble. As the Holder of the answer it keeps
// every step's outputs, for the ensemble's outputs are views of them.
type flow struct {
	e       *ensemble
	r       *batcher.Request
	arrived time.Time
	caller  batcher.Caller // for the steps to watch; nil: the context tells
	vals    []tensor.Tensor
	mu      sync.Mutex
	held    []held
	waits   []int
	err     error
	failed  atomic.Bool
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// held is a step's call and the reference on the version that answered it.
type held struct {
	c *Call
	v *Served
}

// Do implements cache.Next.
func (e *ensemble) Do(ctx context.Context, r *batcher.Request) error {
	began := time.Now()
	f := &flow{e: e, r: r, arrived: cmp.Or(r.Arrived, began), vals: make([]tensor.Tensor, len(e.names))}
	for i, t := range e.inputs {
		f.vals[t] = r.In[i]
	}
	if e.alone {
		f.caller = r.Caller
	} else {
		var stop func()
		ctx, stop = batcher.Watch(ctx, r.Caller)
		defer stop()
	}
	if e.chain {
		for i := range e.steps {
			if f.err = f.step(ctx, i); f.err != nil {
				break
			}
		}
	} else {
		f.graph(ctx)
	}
	if f.err != nil {
		f.Release()
		return f.err
	}
	out := make([]tensor.Value, len(e.output))
	for i, t := range e.output {
		out[i] = &f.vals[t]
	}
	r.Answer(out, f)
	r.Timing = batcher.Timing{Infer: int64(time.Since(began)), BatchRows: max(r.Rows, 1), BatchRequests: 1, Lead: true}
	return nil
}

// Release implements batcher.Holder.
func (f *flow) Release() {
	for _, h := range f.held {
		h.c.Release()
		h.v.Done()
		clear(h.c.In)
		h.c.Caller = nil
		f.e.calls.Put(h.c)
	}
	f.held = nil
}

// graph runs the steps as their tensors come to be.
func (f *flow) graph(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(ctx)
	defer f.cancel()
	f.waits = make([]int, len(f.e.steps))
	var first []int
	for i, s := range f.e.steps {
		if f.waits[i] = s.waits; s.waits == 0 {
			first = append(first, i)
		}
	}
	f.start(ctx, first)
	f.wg.Wait()
}

// start runs steps that may begin: the first here, the others beside it.
func (f *flow) start(ctx context.Context, ready []int) {
	for k, i := range ready {
		if k > 0 {
			f.wg.Go(func() { f.from(ctx, i) })
		}
	}
	if len(ready) > 0 {
		f.from(ctx, ready[0])
	}
}

// from runs a step and then those that waited for it alone.
func (f *flow) from(ctx context.Context, i int) {
	if f.failed.Load() {
		return
	}
	err := f.step(ctx, i)
	if err != nil {
		f.mu.Lock()
		if f.err == nil {
			f.err = err
		}
		f.mu.Unlock()
		f.failed.Store(true)
		f.cancel()
		return
	}
	var ready []int
	f.mu.Lock()
	for _, n := range f.e.steps[i].next {
		if f.waits[n]--; f.waits[n] == 0 {
			ready = append(ready, n)
		}
	}
	f.mu.Unlock()
	f.start(ctx, ready)
}

// step runs one step and puts its outputs among the tensors.
func (f *flow) step(ctx context.Context, i int) error {
	s := f.e.steps[i]
	began := time.Now()
	var err error
	if s.remote != nil {
		err = s.remote.infer(ctx, f, s)
	} else {
		err = f.local(ctx, s)
	}
	if err != nil {
		s.stats.Fail.add(int64(time.Since(began)))
		return stepError(f.e.model, s, err)
	}
	s.stats.Success.add(int64(time.Since(began)))
	return nil
}

// stepError says in which step of which ensemble it happened.
func stepError(ensemble string, s *step, err error) error {
	return api.Wrap(api.CodeOf(err), errors.Unwrap(err), "ensemble '%s', step %d ('%s'): %s", ensemble, s.stats.Step, s.model, api.Message(err)).WithRetryAfter(api.RetryAfter(err))
}

// local runs a step on a model of this server.
func (f *flow) local(ctx context.Context, s *step) error {
	v, err := f.e.pipe.ResolveFor([]byte(s.model), []byte(s.version), f.r.Route)
	if err != nil {
		return err
	}
	c, _ := f.e.calls.Get().(*Call)
	if c == nil {
		c = &Call{}
	}
	f.mu.Lock()
	f.held = append(f.held, held{c, v})
	f.mu.Unlock()
	r := f.r
	c.Deadline, c.Arrived, c.Tenant, c.Route, c.Caller, c.Extra = r.Deadline, f.arrived, r.Tenant, r.Route, f.caller, nil
	c.Priority = min(r.Priority, v.Spec.Batcher.Levels)
	if n := len(v.Inputs); cap(c.In) < n {
		c.In = make([]tensor.Tensor, n)
	} else {
		c.In = c.In[:n]
		clear(c.In)
	}
	for _, b := range s.in {
		p, err := v.Find([]byte(b.port))
		if err != nil {
			return err
		}
		t := &f.vals[b.tensor]
		if err := v.CheckInput(p, t.DType, t.Shape); err != nil {
			return err
		}
		c.In[p] = *t
	}
	if err := v.Infer(ctx, c); err != nil {
		return err
	}
	for _, b := range s.out {
		k, err := v.FindOutput([]byte(b.port))
		if err != nil {
			return err
		}
		t, ok := c.Out[k].(*tensor.Tensor)
		if !ok {
			return api.Errorf(api.CodeUnsupported, "output '%s' of model '%s' is not a tensor", b.port, s.model)
		}
		f.vals[b.tensor] = *t
	}
	return nil
}

// StepStats gives the counters of an ensemble's steps in the order in which they run; nil
// for a model that runs itself.
func (v *Served) StepStats() []*StepStats {
	e, ok := v.next.(*ensemble)
	if !ok {
		return nil
	}
	out := make([]*StepStats, len(e.steps))
	for i, s := range e.steps {
		out[i] = &s.stats
	}
	return out
}

// versionText is how Resolve wants a version that may be any.
func versionText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
