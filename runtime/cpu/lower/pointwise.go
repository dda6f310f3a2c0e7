package lower

import (
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/runtime/match"
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
	a, ok := f.g.Activation(n.match())
	if !ok {
		return nil, false
	}
	return f.unary(match.Applied{Act: a, Nodes: []int{i}, Out: out}, in), true
}

func (f *fuser) unary(a match.Applied, in int) *group {
	out, fn := a.Out, a.Act
	run := func(e *Env) error {
		elementwise.Unary(e.f32(out), e.f32(in), fn, e.Threads)
		return nil
	}
	return &group{nodes: a.Nodes, reads: []int{in}, writes: []int{out}, run: run}
}

// lowerSpelled takes functions that two or more nodes spell out, from the first of them.
func lowerSpelled(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	for _, x := range n.In {
		if x < 0 || !f.f32(x) || f.output[x] || len(f.users[x]) < 2 {
			continue
		}
		if a, ok := f.g.ActivationAt(x); ok && len(a.Nodes) > 1 {
			return f.unary(a, x), true
		}
	}
	return nil, false
}

var binaries = map[string]elementwise.Op{
	"Add": elementwise.Add, "Sub": elementwise.Sub, "Mul": elementwise.Mul, "Div": elementwise.Div, "Max": elementwise.Max, "Min": elementwise.Min,
	"Sum": elementwise.Add,
}

// lowerBinary takes functions of two values whose operands are equal in shape, or where one
// repeats as a scalar, along rows or along columns, or each along axes of its own; and what follows them.
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
	var apply binaryFunc
	switch sx, sy, so := f.shape(x), f.shape(y), f.shape(out); {
	case sx.Equal(so):
		apply, ok = binaryForm(op, sx, sy, false)
	case sy.Equal(so):
		x, y = y, x
		apply, ok = binaryForm(op, sy, sx, true)
	default:
		apply, ok = bothRepeat(op, sx, sy, so)
	}
	if !ok {
		return nil, false
	}
	g := &group{nodes: []int{i}, reads: []int{x, y}}
	after := act.Act{}
	if a, ok := f.g.ActivationAt(out); ok {
		g.nodes, out, after = append(g.nodes, a.Nodes...), a.Out, a.Act
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

// wideRun is how many elements a call of a kernel must have to be worth it.
const wideRun = 128

// bothRepeat takes operands of which each repeats along some axes: one call for all axes behind those along
// which the one repeats that is whole there.
func bothRepeat(op elementwise.Op, sx, sy, so tensor.Shape) (binaryFunc, bool) {
	rank := len(so)
	sx, sy = sx.Raised(rank), sy.Raised(rank)
	split, swap := rank, false
	for split > 0 && (sx[split-1:].Equal(so[split-1:]) || sy[split-1:].Equal(so[split-1:])) {
		split--
		swap = !sx[split:].Equal(so[split:])
	}
	size := so[split:].Elements()
	if size < wideRun {
		return nil, false
	}
	big, small := sx, sy
	if swap {
		big, small = sy, sx
	}
	form, ok := binaryForm(op, big[split:], small[split:], swap)
	if !ok {
		return nil, false
	}
	outer, part := so[:split], small[split:].Elements()
	bigSteps, smallSteps := spread(big[:split], outer), spread(small[:split], outer)
	starts := make([][2]int, outer.Elements())
	for k := range starts {
		for a, left := split-1, k; a >= 0; a-- {
			i := left % outer[a]
			left /= outer[a]
			starts[k][0] += i * bigSteps[a] * size
			starts[k][1] += i * smallSteps[a] * part
		}
	}
	return func(dst, x, y []float32, t int) {
		if swap {
			x, y = y, x
		}
		for k, at := range starts {
			form(dst[k*size:(k+1)*size], x[at[0]:at[0]+size], y[at[1]:at[1]+part], t)
		}
	}, true
}

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

// Registers of a fused chain: inputs from 0 on, then its value and one more.
const (
	valueReg = elementwise.MaxInputs
	extraReg = valueReg + 1
)

// pointwise is a chain of pointwise functions in the making. The matrix that a program
// runs over is fixed by the first operand that repeats along some of the axes.
type pointwise struct {
	f       *fuser
	holds   func(slot int) bool // reports a slot of the chain's type
	shape   tensor.Shape
	inputs  []int // slots
	layouts []elementwise.Layout
	steps   []elementwise.Step
	nodes   []int
	out     int
	cols    int // 0: not fixed yet
}

// lowerFused takes a chain of two or more pointwise functions, from its first node on,
// as one pass over memory.
func lowerFused(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	if len(n.Out) != 1 || !f.f32(n.Out[0]) || f.shape(n.Out[0]).Elements() == 0 {
		return nil, false
	}
	p := &pointwise{f: f, holds: f.f32, shape: f.shape(n.Out[0])}
	if !p.begin(i) {
		return nil, false
	}
	for p.grow() {
	}
	if len(p.steps) < 2 {
		return lowerSpelled(f, i) // before one of its nodes begins a chain
	}
	return p.group()
}

func (p *pointwise) group() (*group, bool) {
	prog, err := elementwise.NewProgram(p.layouts, p.steps)
	if err != nil {
		return nil, false
	}
	rows, cols := p.matrix()
	inputs, out := p.inputs, p.out
	run := func(e *Env) error {
		list := e.inputs[:0]
		for _, s := range inputs {
			list = append(list, e.f32(s))
		}
		prog.Run(e.f32(out), rows, cols, list, e.Threads)
		return nil
	}
	return &group{nodes: p.nodes, reads: inputs, writes: []int{out}, run: run}, true
}

// matrix is what the program runs over.
func (p *pointwise) matrix() (rows, cols int) {
	n := p.shape.Elements()
	if p.cols > 0 {
		return n / p.cols, p.cols
	}
	return 1, n
}

// begin takes the first node: a function of one or two values, or one that several
// nodes spell out.
func (p *pointwise) begin(i int) bool {
	f := p.f
	n := f.node(i)
	for _, x := range n.In {
		if x < 0 || !f.f32(x) || !f.shape(x).Equal(p.shape) || f.output[x] || len(f.users[x]) < 2 {
			continue
		}
		if a, ok := f.g.ActivationAt(x); ok && len(a.Nodes) > 1 {
			reg, ok := p.operand(x)
			return ok && p.apply(a.Act, reg, a.Nodes, a.Out)
		}
	}
	if a, ok := f.g.Activation(n.match()); ok && f.f32(n.In[0]) && f.shape(n.In[0]).Equal(p.shape) {
		reg, ok := p.operand(n.In[0])
		return ok && p.apply(a, reg, []int{i}, n.Out[0])
	}
	op, ok := f.binary(n)
	if !ok {
		return false
	}
	x, okX := p.operand(n.In[0])
	y, okY := p.operand(n.In[1])
	return okX && okY && p.combine(op, valueReg, x, y, i, n.Out[0])
}

// binary reads a node as a function of two floats.
func (f *fuser) binary(n *Node) (elementwise.Op, bool) {
	op, ok := binaries[n.OpName()]
	if !ok || len(n.In) != 2 || n.Opset < 7 && n.Op != "Max" && n.Op != "Min" && n.Op != "Sum" {
		return 0, false
	}
	return op, f.f32(n.In[0]) && f.f32(n.In[1]) && len(n.Out) == 1 && f.f32(n.Out[0])
}

func (p *pointwise) apply(a act.Act, reg uint8, nodes []int, out int) bool {
	p.steps = append(p.steps, elementwise.Step{Unary: true, Act: a, Dst: valueReg, X: reg})
	p.nodes, p.out = append(p.nodes, nodes...), out
	return true
}

func (p *pointwise) combine(op elementwise.Op, dst, x, y uint8, node, out int) bool {
	p.steps = append(p.steps, elementwise.Step{Op: op, Dst: dst, X: x, Y: y})
	p.nodes, p.out = append(p.nodes, node), out
	return true
}

// grow takes the node or nodes that alone read the chain's value.
func (p *pointwise) grow() bool {
	f, v := p.f, p.out
	if len(p.steps)+2 > elementwise.MaxSteps || f.output[v] {
		return false
	}
	if a, ok := f.g.ActivationAt(v); ok {
		return p.apply(a.Act, valueReg, a.Nodes, a.Out)
	}
	switch u := f.users[v]; len(u) {
	case 1:
		return p.growBinary(u[0])
	case 2:
		return u[0] != u[1] && (p.growGate(u[0], u[1]) || p.growGate(u[1], u[0])) || u[0] == u[1] && p.growSquare(u[0])
	}
	return false
}

// growBinary takes a function of the value and of something from outside.
func (p *pointwise) growBinary(i int) bool {
	f, n := p.f, p.f.node(i)
	op, ok := f.binary(n)
	if !ok || f.claimed[i] || !f.shape(n.Out[0]).Equal(p.shape) || n.In[0] == n.In[1] {
		return false
	}
	other, first := n.In[1], true
	if n.In[1] == p.out {
		other, first = n.In[0], false
	}
	reg, ok := p.operand(other)
	if !ok {
		return false
	}
	if first {
		return p.combine(op, valueReg, valueReg, reg, i, n.Out[0])
	}
	return p.combine(op, valueReg, reg, valueReg, i, n.Out[0])
}

// growSquare takes a function of the value and itself.
func (p *pointwise) growSquare(i int) bool {
	op, ok := p.f.binary(p.f.node(i))
	return ok && !p.f.claimed[i] && p.combine(op, valueReg, valueReg, valueReg, i, p.f.node(i).Out[0])
}

// growGate takes v op g(v) for a function g of one node.
func (p *pointwise) growGate(gate, join int) bool {
	f := p.f
	g, j := f.node(gate), f.node(join)
	op, ok := f.binary(j)
	if !ok || f.claimed[gate] || f.claimed[join] || len(g.Out) != 1 || g.In[0] != p.out || !f.f32(g.Out[0]) || f.output[g.Out[0]] || len(f.users[g.Out[0]]) != 1 {
		return false
	}
	a, ok := f.g.Activation(g.match())
	if !ok || !f.shape(g.Out[0]).Equal(p.shape) {
		return false
	}
	x, y := uint8(valueReg), uint8(extraReg)
	switch {
	case j.In[0] == p.out && j.In[1] == g.Out[0]:
	case j.In[1] == p.out && j.In[0] == g.Out[0]:
		x, y = y, x
	default:
		return false
	}
	p.steps = append(p.steps, elementwise.Step{Unary: true, Act: a, Dst: extraReg, X: valueReg})
	p.nodes = append(p.nodes, gate)
	return p.combine(op, valueReg, x, y, join, j.Out[0])
}

// operand gives the register of a slot from outside of the chain.
func (p *pointwise) operand(slot int) (uint8, bool) {
	for k, s := range p.inputs {
		if s == slot {
			return uint8(k), true
		}
	}
	if len(p.inputs) == elementwise.MaxInputs || !p.holds(slot) {
		return 0, false
	}
	layout, cols, ok := repeats(p.f.shape(slot), p.shape)
	if !ok || cols > 0 && p.cols > 0 && cols != p.cols {
		return 0, false
	}
	p.cols = max(p.cols, cols)
	p.inputs, p.layouts = append(p.inputs, slot), append(p.layouts, layout)
	return uint8(len(p.inputs) - 1), true
}

// repeats says how a shape lies against a larger one that it broadcasts to, and the
// columns of the matrix that this takes, 0 for any.
func repeats(s, full tensor.Shape) (l elementwise.Layout, cols int, ok bool) {
	switch s.Elements() {
	case full.Elements():
		return elementwise.Full, 0, true
	case 1:
		return elementwise.Scalar, 0, true
	}
	lead := len(full) - len(s)
	if lead < 0 {
		return 0, 0, false
	}
	lo, hi := 0, len(s) // the axes on which s is as large as full lie in lo..hi
	for lo < hi && s[lo] == 1 {
		lo++
	}
	for hi > lo && s[hi-1] == 1 {
		hi--
	}
	for k := lo; k < hi; k++ {
		if s[k] != full[lead+k] {
			return 0, 0, false
		}
	}
	outer, mid, inner := full[:lead+lo].Elements(), full[lead+lo:lead+hi].Elements(), full[lead+hi:].Elements()
	switch {
	case inner == 1:
		return elementwise.Row, mid, true
	case outer == 1:
		return elementwise.Col, inner, true
	}
	return 0, 0, false
}
