package lower

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// known reports whether a slot is a tensor of one of the types, of known shape, in
// memory that a step may address directly.
func (f *fuser) known(slot int, types ...tensor.DType) bool {
	if slot < 0 || !f.pl.Info[slot].Known || f.pl.Place[slot].Kind == OnHeap {
		return false
	}
	for _, d := range types {
		if f.pl.Info[slot].DType == d {
			return true
		}
	}
	return false
}

// input is a node's i-th input, −1 if it is left out.
func (n *Node) input(i int) int {
	if i < len(n.In) {
		return n.In[i]
	}
	return -1
}

// lowerDynamicQuantize takes DynamicQuantizeLinear.
func lowerDynamicQuantize(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x := n.In[0]
	if !f.f32(x) || n.Out[0] < 0 {
		return nil, false
	}
	out := [3]int{n.Out[0], -1, -1}
	copy(out[:], n.Out)
	for k, d := range []tensor.DType{tensor.Uint8, tensor.Float32, tensor.Uint8} {
		if out[k] < 0 {
			out[k] = f.scratch(d, 1)
		}
		if !f.known(out[k], d) {
			return nil, false
		}
	}
	reads, within, cols := []int{x}, -1, 1
	if r, ok := f.ranges[x]; ok {
		reads, within, cols = append(reads, r.slot), r.slot, r.cols
	}
	run := func(e *Env) error {
		src := e.f32(x)
		var s float32
		var z uint8
		if within >= 0 {
			s, z = quant.DynamicRows(e.bytes(out[0]), src, cols, [2]float32(e.f32(within)), e.Threads)
		} else {
			s, z = quant.Dynamic(e.bytes(out[0]), src, e.Threads)
		}
		if s == 1 && z == 0 && zeros(src) {
			s = 1.0 / 255 // as the operator has it for a range of nothing
		}
		e.f32(out[1])[0], e.bytes(out[2])[0] = s, z
		return nil
	}
	return &group{nodes: []int{i}, reads: reads, writes: out[:], run: run}, true
}

// knownRange is where a step leaves the range of a slot that it writes, a matrix of cols columns.
type knownRange struct{ slot, cols int }

// wantsRange gives the slot for the range of a slot that will be quantised by it, −1 if none will.
func (f *fuser) wantsRange(slot, cols int) int {
	for _, u := range f.users[slot] {
		if f.node(u).OpName() == "DynamicQuantizeLinear" {
			r := f.scratch(tensor.Float32, 2)
			f.ranges[slot] = knownRange{slot: r, cols: cols}
			return r
		}
	}
	return -1
}

func zeros(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

// integerProduct is a product of bytes with constant weights on the right.
type integerProduct struct {
	m, k, n  int
	a, zeroA int // slots; zeroA −1 for none
	signed   bool
	b        quant.B
	nodes    []int
	reads    []int
}

// bytesByConst reads the operands of a product: a and its zero point as slots, the
// weights and theirs as constants.
func (f *fuser) bytesByConst(a, zeroA, b, zeroB int) (*integerProduct, bool) {
	w := f.constant(b)
	if w == nil || len(w.Shape) != 2 || w.Elements() == 0 || !f.known(a, tensor.Int8, tensor.Uint8) || w.DType != tensor.Int8 && w.DType != tensor.Uint8 {
		return nil, false
	}
	sa := f.shape(a)
	if len(sa) < 2 || sa.Elements() == 0 {
		return nil, false
	}
	// Sums of more products than this may not fit 32 bits.
	const longest = 32768
	p := &integerProduct{k: w.Shape[0], n: w.Shape[1], a: a, zeroA: zeroA, signed: f.pl.Info[a].DType == tensor.Int8, reads: []int{a}}
	if p.k > longest || sa[len(sa)-1] != p.k {
		return nil, false
	}
	p.m = sa.Elements() / p.k
	if zeroA >= 0 {
		if !f.known(zeroA, f.pl.Info[a].DType) || f.shape(zeroA).Elements() != 1 {
			return nil, false
		}
		p.reads = append(p.reads, zeroA)
	}
	if zeroB >= 0 {
		z := f.constant(zeroB)
		if z == nil || z.DType != w.DType || len(z.Shape) > 1 && z.Elements() != 1 || z.Elements() != 1 && z.Elements() != p.n {
			return nil, false
		}
		v, err := tensor.Int64s(z)
		if err != nil {
			return nil, false
		}
		p.b.Zeros = commonZero(v, &p.b.Zero)
	}
	p.b.PackedB = f.pl.Packed.get(w, fmt.Sprintf("bytes %dx%d", p.k, p.n), func(src *tensor.Tensor) (any, int64) {
		var q *quant.PackedB
		if w.DType == tensor.Int8 {
			q = quant.PackB(p.k, p.n, tensor.Data[int8](src), p.n, false)
		} else {
			q = quant.PackBUint8(p.k, p.n, tensor.Data[uint8](src), p.n, false)
		}
		return q, int64(q.Bytes())
	}).(*quant.PackedB)
	return p, true
}

// commonZero stores the zero point if there is one for all, else it gives the list.
func commonZero(v []int64, one *int32) []int32 {
	*one = int32(v[0])
	list := make([]int32, len(v))
	same := true
	for i, x := range v {
		list[i] = int32(x)
		same = same && x == v[0]
	}
	if same {
		return nil
	}
	return list
}

// left is the left operand during a run.
func (p *integerProduct) left(e *Env) *quant.A {
	e.bytesA = quant.A{Data: e.bytes(p.a), Signed: p.signed, LD: p.k}
	if p.zeroA >= 0 {
		if z := e.bytes(p.zeroA)[0]; p.signed {
			e.bytesA.Zero = int32(int8(z))
		} else {
			e.bytesA.Zero = int32(z)
		}
	}
	return &e.bytesA
}

// lowerMatMulInteger takes MatMulInteger with constant weights, and the conversion to
// float, the scales, a bias and a function where they follow.
func lowerMatMulInteger(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	p, ok := f.bytesByConst(n.In[0], n.input(2), n.In[1], n.input(3))
	if !ok || !f.known(n.Out[0], tensor.Int32) {
		return nil, false
	}
	p.nodes = []int{i}
	if g, ok := f.dequantised(p, n.Out[0]); ok {
		return g, true
	}
	out := n.Out[0]
	run := func(e *Env) error {
		quant.MulInt32(p.m, p.left(e), &p.b, tensor.Data[int32](e.Tensor(out)), p.n, e.Threads)
		return nil
	}
	return &group{nodes: p.nodes, reads: p.reads, writes: []int{out}, run: run}, true
}

// dequantised matches Cast to float32 and Mul by scales behind the sums.
func (f *fuser) dequantised(p *integerProduct, sums int) (*group, bool) {
	cast, ok := f.onlyUser(sums)
	if !ok || f.node(cast).OpName() != "Cast" || !f.f32(f.node(cast).Out[0]) {
		return nil, false
	}
	floats := f.node(cast).Out[0]
	mul, ok := f.onlyUser(floats)
	if !ok || f.node(mul).OpName() != "Mul" {
		return nil, false
	}
	by, ok := match.Operand(f.node(mul).match(), floats)
	out := f.node(mul).Out[0]
	if !ok || !f.f32(by) || !f.f32(out) || !f.shape(out).Equal(f.shape(sums)) {
		return nil, false
	}
	s, ok := f.scales(by, p.n, 1)
	if !ok {
		return nil, false
	}
	ep := newEpilogue()
	ep.unscaled = true
	f.follow(out, p.n, 1, ep)
	nodes := append(append(append(p.nodes, cast, mul), s.nodes...), ep.nodes...)
	reads := append(append(append([]int{}, p.reads...), s.reads()...), ep.reads...)
	dst, res, d := ep.out, ep.residual, quant.Dequant{ScaleB: s.columns, Bias: ep.bias, Act: ep.act}
	writes, within := []int{dst}, f.wantsRange(dst, p.n)
	if within >= 0 {
		writes = append(writes, within)
	}
	run := func(e *Env) error {
		e.dequant = d
		if within >= 0 {
			e.dequant.Range = (*[2]float32)(e.f32(within))
		}
		s.into(e)
		if res >= 0 {
			e.dequant.Residual, e.dequant.LDR = e.f32(res), p.n
		}
		quant.MulFloat(p.m, p.left(e), &p.b, e.f32(dst), p.n, &e.dequant, e.Threads)
		return nil
	}
	return &group{nodes: nodes, reads: reads, writes: writes, run: run}, true
}

// nonZero keeps a scale of 0 from meaning 1 to the kernel: no sum times the least number
// is distinguishable from 0 in a result.
func nonZero(s float32) float32 {
	if s == 0 {
		return math.SmallestNonzeroFloat32
	}
	return s
}

// columnScales says where the scales of a dequantisation come from: one for all from a slot,
// one for each column from a slot or constant.
type columnScales struct {
	all, each int // slots, −1 for none
	columns   []float32
	nodes     []int
}

func (s *columnScales) reads() []int {
	var r []int
	for _, x := range []int{s.all, s.each} {
		if x >= 0 {
			r = append(r, x)
		}
	}
	return r
}

// into gives the run's dequantisation the scales that come from slots.
func (s *columnScales) into(e *Env) {
	if s.all >= 0 {
		e.dequant.Scale = nonZero(e.f32(s.all)[0])
	}
	if s.each >= 0 {
		e.dequant.ScaleB = e.f32(s.each)
	}
}

// scales reads a factor: one value, one for each of n columns on the axis-th axis from the
// end, or the product of one value with a constant of either kind that is computed for
// this use alone.
func (f *fuser) scales(slot, n, axis int) (*columnScales, bool) {
	s := &columnScales{all: -1, each: -1}
	if i, ok := f.maker[slot]; ok && !f.claimed[i] && len(f.users[slot]) == 1 && !f.output[slot] && f.node(i).OpName() == "Mul" {
		m := f.node(i)
		for k := range 2 {
			one, c := m.In[k], f.constF32(m.In[1-k])
			if c == nil || !f.f32(one) || f.shape(one).Elements() != 1 || len(c) != 1 && !match.AlongAxis(f.shape(m.In[1-k]), n, axis) {
				continue
			}
			if len(c) == 1 {
				c = slices.Repeat(c, n)
			}
			s.all, s.columns, s.nodes = one, c, []int{i}
			return s, true
		}
	}
	switch {
	case f.shape(slot).Elements() == 1:
		s.all = slot
	case match.AlongAxis(f.shape(slot), n, axis):
		s.each = slot
	default:
		return nil, false
	}
	return s, true
}

// perTensor reads the scale and zero point of QuantizeLinear or DequantizeLinear where
// they are one each and constant.
func (f *fuser) perTensor(n *Node) (scale float32, zero int32, ok bool) {
	return f.grain(n.In[1], n.input(2))
}

// grain reads slots of a scale and a zero point, which may be left out, where they are one
// each and constant.
func (f *fuser) grain(scaleAt, zeroAt int) (scale float32, zero int32, ok bool) {
	scale, ok = f.scalar(scaleAt)
	if !ok || !(scale > 0) || math.IsInf(float64(scale), 0) {
		return 0, 0, false
	}
	if zeroAt >= 0 {
		t := f.constant(zeroAt)
		if t == nil || t.Elements() != 1 {
			return 0, 0, false
		}
		v, err := tensor.Int64s(t)
		if err != nil {
			return 0, 0, false
		}
		zero = int32(v[0])
	}
	return scale, zero, true
}

// lowerQuantize takes QuantizeLinear and DequantizeLinear of 8 bits with one scale.
func lowerQuantize(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, y := n.In[0], n.Out[0]
	from, to := x, y
	if n.Op == "DequantizeLinear" {
		from, to = y, x
	}
	if !f.f32(from) || !f.known(to, tensor.Int8, tensor.Uint8) || f.shape(x).Elements() == 0 || n.Attrs.Int("precision", 0) > 1 {
		return nil, false
	}
	scale, zero, ok := f.perTensor(n)
	if !ok {
		return nil, false
	}
	signed := f.pl.Info[to].DType == tensor.Int8
	run := func(e *Env) error {
		if n.Op == "DequantizeLinear" {
			quant.Dequantize(e.f32(y), e.bytes(x), scale, zero, signed, e.Threads)
		} else {
			quant.Quantize(e.bytes(y), e.f32(x), scale, zero, signed, e.Threads)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{y}, run: run}, true
}

// dequantize computes a DequantizeLinear whose inputs are all constant, once for all plans.
func (f *fuser) dequantize(n *Node) (*tensor.Tensor, error) {
	in := make([]tensor.Value, len(n.In))
	for k, slot := range n.In {
		if slot < 0 {
			continue
		}
		t := f.constant(slot)
		if t == nil {
			return nil, errNotConstant
		}
		in[k] = t
	}
	var failed error
	form := fmt.Sprintf("dequantized by %p, axis %d", in[1], n.Attrs.Int("axis", 1))
	t, _ := f.pl.Packed.get(in[0].(*tensor.Tensor), form, func(src *tensor.Tensor) (any, int64) {
		in := slices.Clone(in)
		in[0] = src
		c := &ops.Call{Node: n.Node, In: in, Out: make([]tensor.Value, 1)}
		if failed = n.Eval(c); failed != nil {
			return (*tensor.Tensor)(nil), 0
		}
		t := c.Out[0].(*tensor.Tensor)
		return t, int64(len(t.Bytes()))
	}).(*tensor.Tensor)
	if t == nil {
		return nil, cmp.Or(failed, errNotConstant)
	}
	return t, nil
}

var errNotConstant = errors.New("an input is not constant")

// dequantizeRest makes constants of weights in bytes that no step takes as bytes, so that
// what follows sees weights in float32.
func (f *fuser) dequantizeRest() {
	for i, n := range f.pl.Work {
		if n.OpName() != "DequantizeLinear" || f.claimed[i] || n.Out[0] < 0 || f.constant(n.In[0]) == nil {
			continue
		}
		if t, err := f.dequantize(n); err == nil {
			f.pl.Info[n.Out[0]], f.pl.Place[n.Out[0]] = ops.ConstInfo(t), Place{Kind: Const}
			f.claimed[i] = true // there is nothing to run
		}
	}
}
