package lower

import (
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerUnary takes functions of one value, spelled-out ones included when they begin here.
func lowerUnary(f *fuser, i int) (*group, bool) {
	if g, ok := lowerSpelled(f, i); ok {
		return g, true
	}
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	if !f.f32(in) || !f.f32(out) || len(n.Out) != 1 {
		return nil, false
	}
	a, ok := f.activation(n)
	if !ok {
		return nil, false
	}
	return f.unary(applied{a, []int{i}, out}, in), true
}

func (f *fuser) unary(a applied, in int) *group {
	out, fn := a.out, a.act
	run := func(e *Env) error {
		elementwise.Unary(e.f32(out), e.f32(in), fn, e.Threads)
		return nil
	}
	return &group{nodes: a.nodes, reads: []int{in}, writes: []int{out}, run: run}
}

// lowerSpelled takes functions that two or more nodes spell out, from the first of them.
func lowerSpelled(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	for _, x := range n.In {
		if x < 0 || !f.f32(x) || f.output[x] || len(f.users[x]) != 2 {
			continue
		}
		if a, ok := f.activationAt(x); ok && len(a.nodes) > 1 {
			return f.unary(a, x), true
		}
	}
	return nil, false
}

var binaries = map[string]elementwise.Op{
	"Add": elementwise.Add, "Sub": elementwise.Sub, "Mul": elementwise.Mul, "Div": elementwise.Div, "Max": elementwise.Max, "Min": elementwise.Min,
	"Sum": elementwise.Add,
}

// lowerBinary takes functions of two values whose operands are equal in shape, or where
// one repeats as a scalar, along rows or along columns; and what follows them.
func lowerBinary(f *fuser, i int) (*group, bool) {
	if g, ok := lowerSpelled(f, i); ok {
		return g, true
	}
	n := f.node(i)
	op, ok := binaries[n.OpName()]
	if !ok || len(n.In) != 2 || n.Opset < 7 && n.Op != "Max" && n.Op != "Min" && n.Op != "Sum" {
		return nil, false
	}
	x, y, out := n.In[0], n.In[1], n.Out[0]
	if !f.f32(x) || !f.f32(y) || !f.f32(out) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	swap := false
	if !f.shape(x).Equal(f.shape(out)) {
		x, y, swap = y, x, true
		if !f.shape(x).Equal(f.shape(out)) {
			return nil, false
		}
	}
	apply, ok := binaryForm(op, f.shape(x), f.shape(y), swap)
	if !ok {
		return nil, false
	}
	g := &group{nodes: []int{i}, reads: []int{x, y}}
	after := act.Act{}
	if a, ok := f.activationAt(out); ok {
		g.nodes, out, after = append(g.nodes, a.nodes...), a.out, a.act
	}
	g.writes = []int{out}
	g.run = func(e *Env) error {
		dst := e.f32(out)
		apply(dst, e.f32(x), e.f32(y), e.Threads)
		if after.Func != act.None {
			elementwise.Unary(dst, dst, after, e.Threads)
		}
		return nil
	}
	return g, true
}

type binaryFunc func(dst, x, y []float32, threads int)

// binaryForm chooses how y lies against x, the operand of full shape.
func binaryForm(op elementwise.Op, sx, sy tensor.Shape, swap bool) (binaryFunc, bool) {
	if sx.Equal(sy) {
		if swap {
			return func(dst, x, y []float32, t int) { elementwise.Binary(op, dst, y, x, t) }, true
		}
		return func(dst, x, y []float32, t int) { elementwise.Binary(op, dst, x, y, t) }, true
	}
	full := append(make(tensor.Shape, 0, len(sx)), sx...)
	other := make(tensor.Shape, 0, len(sx))
	for range len(sx) - len(sy) {
		other = append(other, 1)
	}
	other = append(other, sy...)
	lo, hi := 0, len(full) // the axes on which y is as large as x lie in lo..hi
	for lo < hi && other[lo] == 1 {
		lo++
	}
	for hi > lo && other[hi-1] == 1 {
		hi--
	}
	for k := lo; k < hi; k++ {
		if other[k] != full[k] {
			return nil, false
		}
	}
	outer, mid, inner := full[:lo].Elements(), full[lo:hi].Elements(), full[hi:].Elements()
	switch {
	case mid == 1:
		return func(dst, x, y []float32, t int) { elementwise.BinaryScalar(op, dst, x, y[0], swap, t) }, true
	case inner == 1:
		return func(dst, x, y []float32, t int) { elementwise.BinaryRow(op, dst, x, outer, y, swap, t) }, true
	}
	return func(dst, x, y []float32, t int) {
		for o := range outer {
			at := o * mid * inner
			elementwise.BinaryCol(op, dst[at:at+mid*inner], x[at:at+mid*inner], inner, y, swap, t)
		}
	}, true
}
