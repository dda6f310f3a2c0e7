package batcher

import (
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
	// Out are the outputs, valid until Release.
	Out []tensor.Value
	// Timing says where the time went.
	Timing Timing

	views []tensor.Tensor
	wake  chan signal
	next  *Request
	state state
	bytes int64
	began int64
	index int // in batch
	batch *batch
	err   error
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

func (r *Request) prepare() {
	if r.wake == nil {
		r.wake = make(chan signal, 1)
	}
	r.Out, r.err, r.batch, r.next, r.Timing = r.Out[:0], nil, nil, nil, Timing{}
	r.bytes = 0
	for i := range r.In {
		r.bytes += int64(len(r.In[i].Bytes())) + 16*int64(len(r.In[i].Strings()))
	}
}

// Answer sets outputs that come from elsewhere than a batch (a cache); they are shared and
// need no Release, which is then harmless.
func (r *Request) Answer(out []tensor.Value) {
	r.Timing, r.batch = Timing{}, nil
	r.Out = append(r.Out[:0], out...)
}

// Release gives the outputs back; Out must not be read afterwards. It is harmless on a
// request that failed.
func (r *Request) Release() {
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

// sameClass reports whether two requests may share a batch: equal inputs but for axis 0.
func sameClass(a, b *Request) bool {
	if a.Rows == 0 || b.Rows == 0 {
		return false
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
