package rnn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

// dims is the geometry of a recurrent node.
type dims struct {
	seq, batch, in, hidden int
	dirs, gates            int
	batchFirst             bool // layout 1
	reverse                bool // the first direction runs backwards
}

// newDims checks X [seq, batch, in], W [dirs, gates·hidden, in], R [dirs, gates·hidden,
// hidden]; with layout 1 X is [batch, seq, in].
func newDims(n *graph.Node, x, w, r tensor.Shape, gates int) (dims, error) {
	if len(x) != 3 || len(w) != 3 || len(r) != 3 {
		return dims{}, fmt.Errorf("expected X, W and R of rank 3, got shapes %v, %v and %v", x, w, r)
	}
	d := dims{seq: x[0], batch: x[1], in: x[2], hidden: r[2], dirs: 1, gates: gates}
	if n.Attrs.Int("layout", 0) != 0 {
		d.batchFirst, d.seq, d.batch = true, x[1], x[0]
	}
	switch dir := n.Attrs.Str("direction", "forward"); dir {
	case "forward", "foward": // the standard's opset 1 spells GRU's default so
	case "reverse":
		d.reverse = true
	case "bidirectional":
		d.dirs = 2
	default:
		return d, fmt.Errorf("direction: unknown value %q", dir)
	}
	if h := n.Attrs.Int("hidden_size", int64(d.hidden)); h != int64(d.hidden) {
		return d, fmt.Errorf("hidden_size is %d, R has %v", h, r)
	}
	if g := gates * d.hidden; !w.Equal(tensor.Shape{d.dirs, g, d.in}) || !r.Equal(tensor.Shape{d.dirs, g, d.hidden}) {
		return d, fmt.Errorf("expected W [%d,%d,%d] and R [%d,%d,%d], got %v and %v", d.dirs, g, d.in, d.dirs, g, d.hidden, w, r)
	}
	return d, nil
}

// all is the shape of Y, last that of Y_h and Y_c.
func (d dims) all() tensor.Shape {
	if d.batchFirst {
		return tensor.Shape{d.batch, d.seq, d.dirs, d.hidden}
	}
	return tensor.Shape{d.seq, d.dirs, d.batch, d.hidden}
}

func (d dims) last() tensor.Shape {
	if d.batchFirst {
		return tensor.Shape{d.batch, d.dirs, d.hidden}
	}
	return tensor.Shape{d.dirs, d.batch, d.hidden}
}

// Offsets of the first element of a row in X, Y and the states.
func (d dims) xAt(t, b int) int {
	if d.batchFirst {
		return (b*d.seq + t) * d.in
	}
	return (t*d.batch + b) * d.in
}

func (d dims) yAt(t, dir, b int) int {
	if d.batchFirst {
		return ((b*d.seq+t)*d.dirs + dir) * d.hidden
	}
	return ((t*d.dirs+dir)*d.batch + b) * d.hidden
}

func (d dims) stateAt(dir, b int) int {
	if d.batchFirst {
		return (b*d.dirs + dir) * d.hidden
	}
	return (dir*d.batch + b) * d.hidden
}

func shapeRecurrent(gates int) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		t := c.In[0].DType
		if !c.Known(3) {
			for i := range c.Out {
				c.SetType(i, t)
			}
			return nil
		}
		d, err := newDims(c.Node, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape, gates)
		if err != nil {
			return err
		}
		c.Set(0, t, d.all())
		c.Set(1, t, d.last())
		c.Set(2, t, d.last())
		return nil
	}
}

// step advances one row by one element: wx are the gates' input products, rh those of
// the hidden state, b the biases (first of W, then of R), h and c the states, which it
// overwrites.
type step[T form.Real] func(dir int, wx, rh, b, h, c []T)

// cell is a recurrent operator: gates and how to make its step.
type cell[T form.Real] struct {
	gates int
	make  func(c *ops.Call, d dims, r []T) (step[T], error)
}

// evaluator makes the Eval of an operator from its cells in both precisions.
func evaluator(c32 cell[float32], c64 cell[float64]) func(*ops.Call) error {
	return func(c *ops.Call) error {
		if err := form.NeedReal("X", c.T(0)); err != nil {
			return err
		}
		if c.T(0).DType == tensor.Float64 {
			return evalRecurrent(c, c64)
		}
		return evalRecurrent(c, c32)
	}
}

// optional loads an input of n elements, zeros if it is left out.
func optional[T form.Real](c *ops.Call, i, n int) ([]T, error) {
	t := c.T(i)
	if t == nil {
		return make([]T, n), nil
	}
	if t.Elements() != n {
		return nil, fmt.Errorf("input %d: expected %d elements, got %v", i, n, t)
	}
	return form.Load[T](t)
}

func lengths(c *ops.Call, d dims) ([]int, error) {
	out := make([]int, d.batch)
	t := c.T(4)
	if t == nil {
		for i := range out {
			out[i] = d.seq
		}
		return out, nil
	}
	v, err := tensor.Int64s(t)
	if err != nil || len(v) != d.batch {
		return nil, fmt.Errorf("sequence_lens: expected %d integers, got %v", d.batch, t)
	}
	for i, n := range v {
		if n < 0 || n > int64(d.seq) {
			return nil, fmt.Errorf("sequence_lens: %d is outside of 0 to %d", n, d.seq)
		}
		out[i] = int(n)
	}
	return out, nil
}

func evalRecurrent[T form.Real](c *ops.Call, k cell[T]) error {
	if !c.Has(1) || !c.Has(2) {
		return fmt.Errorf("expected X, W and R")
	}
	d, err := newDims(c.Node, c.T(0).Shape, c.T(1).Shape, c.T(2).Shape, k.gates)
	if err != nil {
		return err
	}
	var in [3][]T
	for i := range in {
		if in[i], err = form.Load[T](c.T(i)); err != nil {
			return err
		}
	}
	g := d.gates * d.hidden
	bias, err := optional[T](c, 3, d.dirs*2*g)
	if err != nil {
		return err
	}
	lens, err := lengths(c, d)
	if err != nil {
		return err
	}
	h0, err := optional[T](c, 5, d.last().Elements())
	if err != nil {
		return err
	}
	c0, err := optional[T](c, 6, d.last().Elements())
	if err != nil {
		return err
	}
	st, err := k.make(c, d, in[2])
	if err != nil {
		return err
	}
	r := run[T]{dims: d, lens: lens, step: st, y: make([]T, d.all().Elements()),
		h: append([]T{}, h0...), c: append([]T{}, c0...)}
	for dir := range d.dirs {
		w := linalg.Transpose(in[1][dir*g*d.in:(dir+1)*g*d.in], g, d.in)
		rt := linalg.Transpose(in[2][dir*g*d.hidden:(dir+1)*g*d.hidden], g, d.hidden)
		r.direction(dir, in[0], w, rt, bias[dir*2*g:(dir+1)*2*g])
	}
	return r.store(c)
}

// run is one evaluation under way.
type run[T form.Real] struct {
	dims
	lens    []int
	step    step[T]
	y, h, c []T
}

func (r *run[T]) direction(dir int, x, w, rt, bias []T) {
	g := r.gates * r.hidden
	wx := make([]T, r.seq*r.batch*g)
	linalg.Gemm(r.seq*r.batch, g, r.in, x, r.in, w, g, wx, g)
	rh := make([]T, r.batch*g)
	state := make([]T, r.batch*r.hidden)
	back := dir == 1 || r.reverse
	for s := range r.seq {
		for b := range r.batch {
			copy(state[b*r.hidden:(b+1)*r.hidden], r.h[r.stateAt(dir, b):])
		}
		clear(rh)
		linalg.Gemm(r.batch, g, r.hidden, state, r.hidden, rt, g, rh, g)
		for b := range r.batch {
			if s >= r.lens[b] {
				continue
			}
			t := s
			if back {
				t = r.lens[b] - 1 - s
			}
			at := r.stateAt(dir, b)
			h := r.h[at : at+r.hidden]
			row := 0
			if r.in > 0 {
				row = r.xAt(t, b) / r.in * g
			}
			r.step(dir, wx[row:row+g], rh[b*g:(b+1)*g], bias, h, r.c[at:at+r.hidden])
			copy(r.y[r.yAt(t, dir, b):], h)
		}
	}
}

func (r *run[T]) store(c *ops.Call) error {
	for i, v := range [][]T{r.y, r.h, r.c} {
		if !c.Wanted(i) {
			continue
		}
		s := r.last()
		if i == 0 {
			s = r.all()
		}
		t, err := c.Output(i, c.T(0).DType, s)
		if err != nil {
			return err
		}
		dst, flush := form.Sink[T](t)
		copy(dst, v)
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}
