package batcher

import (
	"context"
	"time"

	"github.com/aimass/aimass/runtime/tensor"
)

// Request is one prediction: inputs in, outputs out. It may be reused after Release.
type Request struct {
	// In are the model's inputs in order. Their memory need not be aligned.
	In []tensor.Tensor
	// Rows is the extent of axis 0 of every input where the model is batched; 0 makes
	// the request run alone.
	Rows int
	// Deadline, if not zero, is when the answer stops being of use.
	Deadline time.Time
	// Arrived is when the request came to the server, zero where it came just now. What is made of several models
	// counts their own timeouts from it.
	Arrived time.Time
	// Priority is the level, 1 the highest; 0 stands for the model's default.
	Priority int
	// Tenant shares the model fairly with other tenants.
	Tenant string
	// Route is the key by which the caller is routed, for those who route on; it parts no queues.
	Route string
	// Caller, if not nil, is watched while the request waits; a context serves those who are watched anyhow.
	Caller Caller
	// Out are the outputs, valid until Release.
	Out []tensor.Value
	// Timing says where the time went.
	Timing Timing

	views []tensor.Tensor
	wake  chan signal
	item  Item
	state state
	began int64
	// due is the deadline on the batcher's clock, 0 if there is none; the policy is told an
	// earlier one, see lag.
	due      int64
	answered int64
	index    int // in batch
	// length of its sequences, where it may run together with others of any length; else 0.
	length int
	batch  *batch
	err    error
	// holder keeps the outputs of Answer; then there is no batch.
	holder Holder
}

// Caller knows whether the one who asked is still there.
type Caller interface {
	// Gone returns a channel that has a value once the caller has gone away, or nil if that can't be known.
	Gone() <-chan struct{}
}

// Gone is the Caller's channel; nil, on which nothing ever comes, without a Caller.
func (r *Request) Gone() <-chan struct{} {
	if r.Caller == nil {
		return nil
	}
	return r.Caller.Gone()
}

// Watch gives a context that also ends once caller, which may be nil, has gone away. It is for work of which several parts
// are under way for one caller: a Caller tells of its going once, and one at a time may ask. stop ends the watch; it must
// be called, and returns when caller may be asked again.
func Watch(ctx context.Context, caller Caller) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	if caller == nil {
		return ctx, cancel
	}
	gone := caller.Gone()
	if gone == nil {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// Timing of a request, in nanoseconds.
type Timing struct {
	Queue, Input, Infer, Output int64
	// BatchRows and BatchRequests say how large the batch was that it ran in.
	BatchRows, BatchRequests int
	// Lead marks the request whose batch the execution is counted for.
	Lead bool
}

type state uint8

const (
	idle state = iota
	queued
	running
	finished
)

type signal uint8

const (
	sigDone signal = iota
	sigLead
)

// prepare makes r ready to be queued. The policy's clock counts from epoch.
func (r *Request) prepare(epoch time.Time, lag *lag) {
	if r.wake == nil {
		r.wake = make(chan signal, 1)
	}
	r.Out, r.err, r.batch, r.Timing = r.Out[:0], nil, nil, Timing{}
	it := &r.item
	if it.Owner == nil {
		it.Owner = r
	}
	it.Rows, it.Arrived, it.Level, it.Tenant, r.due = r.Rows, r.began, r.Priority, r.Tenant, 0
	if !r.Deadline.IsZero() {
		r.due = max(int64(r.Deadline.Sub(epoch)), 1)
	}
	it.Deadline = lag.before(r.due, r.began)
	it.Bytes, it.Class, r.length = 0, uint64(len(r.In)), 0
	for i := range r.In {
		t := &r.In[i]
		it.Bytes += int64(len(t.Bytes())) + 16*int64(len(t.Strings()))
		it.Class = it.Class*classPrime + uint64(t.DType)
		for k := 1; k < len(t.Shape); k++ {
			it.Class = (it.Class ^ uint64(t.Shape[k])) * classPrime
		}
	}
}

// prepareRagged counts the request in tokens if its sequences may run together with others of
// any length; if not it runs alone.
func (r *Request) prepareRagged(longest int) {
	if r.item.Rows = 0; r.Rows <= 0 || len(r.In) == 0 {
		return
	}
	n := 0
	for i := range r.In {
		s := r.In[i].Shape
		if len(s) < 2 || s[1] < 1 || i > 0 && s[1] != n || longest > 0 && s[1] > longest {
			return
		}
		n = s[1]
	}
	r.length, r.item.Rows, r.item.Class = n, r.Rows*n, raggedClass
}

// raggedClass is the latency class of all requests that run ragged: they are told apart by
// their tokens alone.
const raggedClass = 1

// classPrime is the multiplier of FNV-1a.
const classPrime = 1099511628211

// Holder keeps what outputs lie in until they have been read.
type Holder interface{ Release() }

// Answer sets outputs that come from elsewhere than a batch: a cache, other models. holder,
// if not nil, is told by Release that they have been read.
func (r *Request) Answer(out []tensor.Value, holder Holder) {
	r.Timing, r.batch, r.holder = Timing{}, nil, holder
	r.Out = append(r.Out[:0], out...)
}

// Release gives the outputs back; Out must not be read afterwards. It is harmless on a
// request that failed.
func (r *Request) Release() {
	if h := r.holder; h != nil {
		r.holder = nil
		clear(r.Out)
		r.Out = r.Out[:0]
		h.Release()
		return
	}
	b := r.batch
	if b == nil {
		return
	}
	r.batch = nil
	clear(r.Out)
	r.Out = r.Out[:0]
	owner := b.b
	b.unref()
	owner.done()
}

// mix reports whether two waiting requests may share a batch.
func mix(a, b *Item) bool { return sameClass(a.Owner.(*Request), b.Owner.(*Request)) }

// sameClass reports whether two requests may share a batch: equal inputs but for axis 0.
func sameClass(a, b *Request) bool {
	if a.Rows == 0 || b.Rows == 0 {
		return false
	}
	if a.length > 0 && b.length > 0 {
		return true
	}
	for i := range a.In {
		x, y := &a.In[i], &b.In[i]
		if x.DType != y.DType || len(x.Shape) != len(y.Shape) {
			return false
		}
		for k := 1; k < len(x.Shape); k++ {
			if x.Shape[k] != y.Shape[k] {
				return false
			}
		}
	}
	return true
}
