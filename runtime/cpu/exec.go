package cpu

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"time"
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// exec is the state of one run of a plan: an arena and a value for each slot.
type exec struct {
	lower.Env
	pl    *plan
	arena []byte
	outs  []tensor.Value
	call  ops.Call
	node  *lower.Node // that Eval runs for
	alloc func(int, tensor.DType, tensor.Shape) *tensor.Tensor
	ctx   context.Context
	heap  int // bytes of outputs outside of the arena that this run holds
}

func newExec(pl *plan) *exec {
	n := len(pl.Place)
	e := &exec{pl: pl, Env: lower.Env{Headers: make([]tensor.Tensor, n), Values: make([]tensor.Value, n)}, outs: make([]tensor.Value, len(pl.p.out))}
	e.arena = newArena(pl.arena)
	for i, at := range pl.Place {
		switch info := pl.Info[i]; at.Kind {
		case lower.InArena, lower.Within:
			size, from := info.DType.Bytes(info.Shape.Elements()), pl.offset(i)
			e.Headers[i].View(info.DType, info.Shape, e.arena[from:from+size:from+size])
			e.Values[i] = &e.Headers[i]
		case lower.Alias:
			e.Values[i] = &e.Headers[i]
		case lower.Const:
			e.Values[i] = info.Const
		}
	}
	e.alloc = e.allocate
	return e
}

// largeArena is the size in bytes from which an arena asks for large pages: a product stores rows of a
// tile to as many pages as it has rows.
const largeArena = 2 << 20

func newArena(n int) []byte {
	if n >= largeArena {
		return isa.AllocBytes(n)
	}
	raw := tensor.Aligned(n + arenaAlign)
	skip := int(-uintptr(unsafe.Pointer(&raw[0])) % arenaAlign)
	return raw[skip : skip+n : skip+n]
}

// reset drops what a run left behind, so that a recycled state keeps nobody's memory.
func (e *exec) reset() {
	for i, at := range e.pl.Place {
		switch at.Kind {
		case lower.OnHeap, lower.Input:
			e.Values[i] = nil
		case lower.Alias:
			e.Headers[i].View(e.pl.Info[i].DType, e.pl.Info[i].Shape, nil)
		}
	}
	clear(e.outs)
	e.ctx, e.heap = nil, 0
	e.call = ops.Call{In: e.call.In[:0], Out: e.call.Out[:0]}
}

// Release implements device.Releaser.
func (e *exec) Release(*device.Call) { e.pl.recycle(e) }

func (e *exec) run(ctx context.Context, call *device.Call) (err error) {
	e.ctx = ctx
	dev := e.pl.p.dev
	threads := dev.threads(call)
	copy(e.Values, call.In)
	i := 0
	defer func() {
		// A defect in one operator, or a model that finds one, must not take the server down.
		if r := recover(); r != nil {
			err = panicked(e.pl.steps[min(i, len(e.pl.steps)-1)].Node, r)
		}
	}()
	done := ctx.Done()
	var turn time.Time // since when this goroutine has had its turn
	if e.pl.arena > longArena {
		turn = time.Now()
	}
	for ; i < len(e.pl.steps); i++ {
		select {
		case <-done:
			return ctx.Err()
		default:
		}
		e.Threads = dev.share(threads)
		s := &e.pl.steps[i]
		if later := e.pl.later; later != nil && s.Node == later.node {
			if err = e.runLater(); err != nil {
				return refused(err)
			}
		} else {
			if s.Run != nil {
				err = s.Run(&e.Env)
			} else {
				err = e.eval(s.Node)
			}
			if err != nil {
				return refused(fmt.Errorf("node %s (%s): %w", s.Node.Label(), s.Node.OpName(), err))
			}
		}
		if !turn.IsZero() && time.Since(turn) > longTurn {
			goruntime.Gosched()
			turn = time.Now()
		}
	}
	for k, slot := range e.pl.Out {
		e.outs[k] = e.Values[slot]
	}
	return nil
}

// fault is an error that no inputs are to blame for.
type fault struct{ error }

func (f *fault) Unwrap() error { return f.error }

// panicked is the error of a panic in the work of node n.
func panicked(n *lower.Node, r any) error {
	if lost, ok := r.(*tensor.Lost); ok {
		return &fault{fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), lost)}
	}
	return &fault{fmt.Errorf("node %s (%s): %v", n.Label(), n.OpName(), r)}
}

// refused makes a refusal of the call's values of an error that is no fault.
func refused(err error) error {
	var f *fault
	if errors.As(err, &f) {
		return err
	}
	return device.Refused(err, false)
}

// Once a goroutine has had one turn for 10 ms, Go's system monitor takes its processor away at
// every call into C, for which it wakes thousands of times a second beside the kernels'
// threads. A run that may take so long gives its turn up in between.
const (
	longTurn  = 5 * time.Millisecond
	longArena = 256 << 10 // bytes: with less, a run is over before
)

// eval runs a node through its operator's Eval.
func (e *exec) eval(n *lower.Node) error {
	c := &e.call
	e.node = n
	c.Node, c.Alloc, c.Sub = n.Node, e.alloc, nil
	if len(n.Captured) > 0 || len(n.Subgraphs()) > 0 {
		c = &ops.Call{Node: n.Node, Sub: e.pl.p.runSub(e, n)}
	}
	c.In, c.Out = c.In[:0], c.Out[:0]
	for _, slot := range n.In {
		if slot < 0 {
			c.In = append(c.In, nil)
			continue
		}
		c.In = append(c.In, e.Values[slot])
	}
	for range n.Out {
		c.Out = append(c.Out, nil)
	}
	c.MaxBytes = max(e.pl.p.dev.cfg.MaxBytes-e.heap, 1)
	if err := n.Eval(c); err != nil {
		return err
	}
	return e.store(n, c.Out)
}

// store puts an Eval's results into their slots. What was planned must end up in its
// place in the arena; what was not must not point into the arena, whose memory other
// values will use.
func (e *exec) store(n *lower.Node, out []tensor.Value) error {
	for i, slot := range n.Out {
		if slot < 0 {
			continue
		}
		if i >= len(out) || out[i] == nil {
			return &fault{fmt.Errorf("output %d was not computed", i)}
		}
		if !e.pl.Place[slot].Planned() {
			e.Values[slot] = e.escape(out[i])
			continue
		}
		h := &e.Headers[slot]
		t, ok := out[i].(*tensor.Tensor)
		if !ok || t.DType != h.DType || !t.Shape.Equal(h.Shape) {
			return &fault{fmt.Errorf("BUG: output %d is %v, its shape rule said %v", i, out[i], h)}
		}
		if t != h {
			copy(h.Bytes(), t.Bytes())
		}
	}
	return nil
}

// allocate gives Eval the planned memory of an output, zeroed.
func (e *exec) allocate(i int, d tensor.DType, s tensor.Shape) *tensor.Tensor {
	e.heap += d.Bytes(s.Elements())
	slot := e.node.Out[i]
	if slot < 0 || !e.pl.Place[slot].Planned() {
		return nil
	}
	h := &e.Headers[slot]
	if h.DType != d || !h.Shape.Equal(s) {
		return nil
	}
	e.heap -= len(h.Bytes())
	clear(h.Bytes())
	return h
}

// escape copies what points into the arena.
func (e *exec) escape(v tensor.Value) tensor.Value {
	switch v := v.(type) {
	case *tensor.Tensor:
		b := v.Bytes()
		if len(b) == 0 || len(e.arena) == 0 {
			return v
		}
		p, base := uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&e.arena[0]))
		if p >= base && p < base+uintptr(len(e.arena)) {
			return v.Clone()
		}
		return v
	case *tensor.Sequence:
		c := &tensor.Sequence{Of: v.Of, Elem: make([]tensor.Value, len(v.Elem))}
		for i, x := range v.Elem {
			c.Elem[i] = e.escape(x)
		}
		return c
	case *tensor.Optional:
		if v.Elem == nil {
			return v
		}
		return &tensor.Optional{Elem: e.escape(v.Elem)}
	case *tensor.Map:
		return &tensor.Map{Keys: e.escape(v.Keys).(*tensor.Tensor), Values: e.escape(v.Values)}
	}
	return v
}

// runSub gives Eval the means to run a nested graph of node n.
func (p *program) runSub(e *exec, n *lower.Node) ops.Subrun {
	return func(g *graph.Graph, in []tensor.Value) ([]tensor.Value, error) {
		sp := p.tree[g]
		if sp == nil {
			return nil, &fault{fmt.Errorf("BUG: nested graph %q was not compiled", g.Name)}
		}
		if formal := len(g.In); len(in) != formal {
			return nil, fmt.Errorf("nested graph %q: %d inputs, it has %d", g.Name, len(in), formal)
		}
		call := &device.Call{In: append([]tensor.Value{}, in...)}
		for _, slot := range n.Nested[g] {
			call.In = append(call.In, e.Values[slot])
		}
		call.Threads = e.Threads
		if err := e.ctx.Err(); err != nil {
			return nil, err
		}
		if err := sp.run(e.ctx, call); err != nil {
			return nil, fmt.Errorf("nested graph %q: %w", g.Name, err)
		}
		out := make([]tensor.Value, len(call.Out))
		for i, v := range call.Out {
			out[i] = tensor.CloneValue(v)
		}
		call.Release()
		return out, nil
	}
}
