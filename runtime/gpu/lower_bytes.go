package gpu

import (
	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// operands collects an operation's inputs. add gives what finds the address of one among those
// of all; it is 0 for a slot that is left out.
type operands struct{ slots []int }

func (o *operands) add(slot int) func([]cuda.Ptr) cuda.Ptr {
	if slot < 0 {
		return func([]cuda.Ptr) cuda.Ptr { return 0 }
	}
	at := len(o.slots)
	o.slots = append(o.slots, slot)
	return func(in []cuda.Ptr) cuda.Ptr { return in[at] }
}

// byteProduct is a product of bytes in the making: activations of rows·K, weights of K·N that are
// constant, and what its sums become.
type byteProduct struct {
	g              kernel.GemmInt8 // sizes and forms, without pointers
	x, w, sums     int
	zeroX, zeroW   int
	scaleX, scaleW int
	scaleY, zeroY  int
	bias           int
	out            int
	nodes          []int
}

func (p *byteProduct) operation(l *lowering) *operation {
	var in operands
	x, w, sums, zeroX, zeroW := in.add(p.x), in.add(p.w), in.add(p.sums), in.add(p.zeroX), in.add(p.zeroW)
	scaleX, scaleW, scaleY, zeroY, bias := in.add(p.scaleX), in.add(p.scaleW), in.add(p.scaleY), in.add(p.zeroY), in.add(p.bias)
	with := func(in []cuda.Ptr) kernel.GemmInt8 {
		g := p.g
		g.A, g.B, g.SumsB, g.ZeroA, g.ZeroB = x(in), w(in), sums(in), zeroX(in), zeroW(in)
		g.ScaleA, g.ScaleB, g.ScaleC, g.ZeroC, g.Bias = scaleX(in), scaleW(in), scaleY(in), zeroY(in), bias(in)
		return g
	}
	some := make([]cuda.Ptr, len(in.slots))
	for i := range some {
		some[i] = 1
	}
	return &operation{kind: "gemm int8", nodes: l.pick(p.nodes...), in: in.slots, out: []int{p.out}, scratch: with(some).Workspace(),
		launch: func(dst []cuda.Launch, in, out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
			g := with(in)
			g.C, g.Scratch = out[0], scratch
			return kernel.AppendGemmInt8(dst, g)
		}}
}

// byteWeights makes a product of x, bytes of [… K], and constant bytes of [K, N], or [N, K] if
// transposed; the kernel takes the latter.
func (l *lowering) byteWeights(x, w int, transposed bool, i int) (*byteProduct, bool) {
	t := l.tensor(w)
	if !l.of(x, tensor.Uint8, tensor.Int8) || l.tensor(x) != nil || t == nil || !l.of(w, tensor.Uint8, tensor.Int8) || len(t.Shape) != 2 || len(l.shape(x)) < 2 {
		return nil, false
	}
	k, n := t.Shape[0], t.Shape[1]
	if transposed {
		k, n = n, k
	}
	s := l.shape(x)
	if last(s) != k || k == 0 || n == 0 {
		return nil, false
	}
	p := &byteProduct{x: x, sums: -1, zeroX: -1, zeroW: -1, scaleX: -1, scaleW: -1, scaleY: -1, zeroY: -1, bias: -1, out: l.work[i].out[0], nodes: []int{i}}
	p.g = kernel.GemmInt8{M: s[:len(s)-1].Elements(), N: n, K: k, UnsignedA: l.info[x].DType == tensor.Uint8, UnsignedB: t.DType == tensor.Uint8}
	key := l.derived.key(t)
	turned := t
	if !transposed {
		turned = l.derived.get("bytes turned of "+key, func() *tensor.Tensor {
			out, from := tensor.New(t.DType, tensor.Shape{n, k}), t.Bytes()
			to := out.Bytes()
			for r := range k {
				for c := range n {
					to[c*k+r] = from[r*n+c]
				}
			}
			return out
		})
	}
	p.w = l.constant(turned)
	p.sums = l.constant(l.derived.get("sums of the bytes of "+key, func() *tensor.Tensor {
		sums, b := make([]int32, n), turned.Bytes()
		for c := range n {
			for _, v := range b[c*k : c*k+k] {
				if p.g.UnsignedB {
					v -= 128
				}
				sums[c] += int32(int8(v))
			}
		}
		return tensor.FromSlice(sums, n)
	}))
	return p, true
}

// one reports that a slot is left out or holds one value of a type.
func (l *lowering) one(slot int, types ...tensor.DType) bool {
	return slot < 0 || l.of(slot, types...) && l.shape(slot).Elements() == 1
}

// column reports that a slot holds one value, or one for each of n columns.
func (l *lowering) column(slot, n int, types ...tensor.DType) (many, ok bool) {
	if l.one(slot, types...) {
		return false, true
	}
	return true, l.of(slot, types...) && len(l.shape(slot)) == 1 && l.shape(slot)[0] == n
}

// lowerMatMulInteger takes products with a constant matrix, and the conversion, scales, bias and
// function behind one.
func lowerMatMulInteger(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	p, ok := l.byteWeights(n.in[0], n.in[1], false, i)
	if !ok || !l.one(n.input(2), l.info[n.in[0]].DType) {
		return nil, false
	}
	if p.g.ZeroCol, ok = l.column(n.input(3), p.g.N, l.info[n.in[1]].DType); !ok {
		return nil, false
	}
	p.zeroX, p.zeroW = n.input(2), n.input(3)
	l.floatSums(p)
	return []*operation{p.operation(l)}, true
}

// floatSums takes the conversion to float32 and the product with scales behind a product of bytes,
// as dynamic quantisation writes them, and what else its tile store does.
func (l *lowering) floatSums(p *byteProduct) {
	c, ok := l.OnlyUser(p.out)
	if !ok || l.work[c].OpName() != "Cast" || !l.F32(l.work[c].out[0]) {
		return
	}
	m, ok := l.OnlyUser(l.work[c].out[0])
	if !ok || l.work[m].OpName() != "Mul" || !l.F32(l.work[m].out[0]) || !l.shape(l.work[m].out[0]).Equal(l.shape(p.out)) {
		return
	}
	scale := l.work[m].in[0]
	if scale == l.work[c].out[0] {
		scale = l.work[m].in[1]
	}
	switch {
	case scale == l.work[c].out[0]:
		return
	case l.F32(scale) && l.shape(scale).Elements() == 1:
		p.scaleX = scale
	case l.F32(scale) && match.AlongAxis(l.shape(scale), p.g.N, 1):
		p.scaleW, p.g.ScaleCol = scale, true
	default:
		return
	}
	p.g.Output, p.out = kernel.OutputFloat, l.work[m].out[0]
	p.nodes = append(p.nodes, c, m)
	l.floatTail(p)
}

// floatTail takes a bias and a function behind sums that are floats.
func (l *lowering) floatTail(p *byteProduct) {
	if i, ok := l.OnlyUser(p.out); ok && p.bias < 0 && l.work[i].OpName() == "Add" && l.work[i].Opset >= 7 {
		n := l.work[i]
		bias := n.in[0]
		if bias == p.out {
			bias = n.in[1]
		}
		if bias != p.out && l.ConstF32(bias) != nil && match.AlongAxis(l.shape(bias), p.g.N, 1) && l.shape(n.out[0]).Equal(l.shape(p.out)) {
			p.bias, p.out = bias, n.out[0]
			p.nodes = append(p.nodes, i)
		}
	}
	if a, ok := l.ActivationAt(p.out); ok && kernel.EpilogueFunc(a.Act.Func) {
		p.g.Act, p.out = a.Act, a.Out
		p.nodes = append(p.nodes, a.Nodes...)
	}
}

// lowerQLinearMatMul takes products of bytes with a constant matrix that give bytes.
func lowerQLinearMatMul(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	p, ok := l.byteWeights(n.in[0], n.in[3], false, i)
	out := n.out[0]
	if !ok || !l.of(out, tensor.Uint8, tensor.Int8) || !l.one(n.in[1], tensor.Float32) || !l.one(n.in[2], l.info[n.in[0]].DType) ||
		!l.one(n.in[6], tensor.Float32) || !l.one(n.in[7], l.info[out].DType) {
		return nil, false
	}
	var okScale bool
	p.g.ScaleCol, okScale = l.column(n.in[4], p.g.N, tensor.Float32)
	if p.g.ZeroCol, ok = l.column(n.in[5], p.g.N, l.info[n.in[3]].DType); !ok || !okScale {
		return nil, false
	}
	p.zeroX, p.zeroW, p.scaleX, p.scaleW, p.scaleY, p.zeroY = n.in[2], n.in[5], n.in[1], n.in[4], n.in[6], n.in[7]
	p.g.Output, p.g.UnsignedC = kernel.OutputByte, l.info[out].DType == tensor.Uint8
	return []*operation{p.operation(l)}, true
}

// byteSource is the DequantizeLinear that makes a slot, if there is one that is not claimed.
func (l *lowering) byteSource(slot int) (int, *node) {
	i, ok := l.Maker[slot]
	if !ok || l.Claimed[i] || l.work[i].OpName() != "DequantizeLinear" || l.work[i].Attrs.Int("block_size", 0) != 0 {
		return 0, nil
	}
	return i, l.work[i]
}

// lowerBetween takes MatMul and Gemm whose operands come out of DequantizeLinear (the QDQ form), the
// weights constant; a QuantizeLinear behind goes in too.
func lowerBetween(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	a, dx := l.byteSource(n.in[0])
	b, dw := l.byteSource(n.in[1])
	transposed := n.Attrs.Int("transB", 0) != 0
	if dx == nil || dw == nil || n.Attrs.Int("transA", 0) != 0 || n.Attrs.Float("alpha", 1) != 1 || n.Attrs.Float("beta", 1) != 1 || !l.F32(n.out[0]) {
		return nil, false
	}
	p, ok := l.byteWeights(dx.in[0], dw.in[0], transposed, i)
	if !ok || !l.one(dx.in[1], tensor.Float32) || !l.one(dx.input(2), l.info[dx.in[0]].DType) {
		return nil, false
	}
	var okScale bool
	p.g.ScaleCol, okScale = l.column(dw.in[1], p.g.N, tensor.Float32)
	if p.g.ZeroCol, ok = l.column(dw.input(2), p.g.N, l.info[dw.in[0]].DType); !ok || !okScale {
		return nil, false
	}
	axis, err := tensor.Axis(dw.Attrs.Int("axis", 1), 2)
	if err != nil || (p.g.ScaleCol || p.g.ZeroCol) && (axis == 0) != transposed {
		return nil, false
	}
	p.scaleX, p.zeroX, p.scaleW, p.zeroW = dx.in[1], dx.input(2), dw.in[1], dw.input(2)
	p.g.Output = kernel.OutputFloat
	if c := n.input(2); c >= 0 {
		if l.ConstF32(c) == nil || !match.AlongAxis(l.shape(c), p.g.N, 1) {
			return nil, false
		}
		p.bias = c
	}
	for k, d := range map[int]*node{a: dx, b: dw} {
		if len(l.Users[d.out[0]]) == 1 && !l.Output[d.out[0]] {
			p.nodes = append(p.nodes, k)
		}
	}
	l.floatTail(p)
	if q, ok := l.OnlyUser(p.out); ok && l.work[q].OpName() == "QuantizeLinear" && l.work[q].in[0] == p.out {
		n := l.work[q]
		if l.one(n.in[1], tensor.Float32) && l.of(n.out[0], tensor.Uint8, tensor.Int8) && l.one(n.input(2), l.info[n.out[0]].DType) &&
			n.Attrs.Int("block_size", 0) == 0 {
			p.scaleY, p.zeroY, p.out = n.in[1], n.input(2), n.out[0]
			p.g.Output, p.g.UnsignedC = kernel.OutputByte, l.info[p.out].DType == tensor.Uint8
			p.nodes = append(p.nodes, q)
		}
	}
	return []*operation{p.operation(l)}, true
}

// grain says how the scales of a node lie over its input: one for all, or one for each of
// channels along an axis.
func (l *lowering) grain(n *node) (outer, channels, inner int, ok bool) {
	s, scale := l.shape(n.in[0]), n.in[1]
	if !l.F32(scale) || n.Attrs.Int("block_size", 0) != 0 {
		return 0, 0, 0, false
	}
	if l.shape(scale).Elements() == 1 {
		return 1, 1, s.Elements(), true
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", 1), len(s))
	if err != nil || len(l.shape(scale)) != 1 || l.shape(scale)[0] != s[axis] {
		return 0, 0, 0, false
	}
	return s[:axis].Elements(), s[axis], s[axis+1:].Elements(), true
}

// lowerQuantize takes QuantizeLinear of float32 to bytes.
func lowerQuantize(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, out := n.in[0], n.out[0]
	if !l.F32(x) || !l.of(out, tensor.Uint8, tensor.Int8) {
		return nil, false
	}
	outer, channels, inner, ok := l.grain(n)
	zero := n.input(2)
	if !ok || zero >= 0 && (!l.of(zero, l.info[out].DType) || l.shape(zero).Elements() != channels) {
		return nil, false
	}
	q := kernel.Quantize{Outer: outer, Channels: channels, Inner: inner, Unsigned: l.info[out].DType == tensor.Uint8}
	var in operands
	ax, as, az := in.add(x), in.add(n.in[1]), in.add(zero)
	return []*operation{{kind: "quantize", nodes: l.pick(i), in: in.slots, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		q := q
		q.X, q.Scale, q.Zero, q.Y = ax(in), as(in), az(in), out[0]
		return kernel.AppendQuantize(dst, q)
	}}}, true
}

// lowerDequantize takes DequantizeLinear of bytes and int32 to float32. What is constant is
// computed once.
func lowerDequantize(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, out, zero := n.in[0], n.out[0], n.input(2)
	if !l.of(x, tensor.Uint8, tensor.Int8, tensor.Int32) || !l.F32(out) || zero >= 0 && !l.of(zero, l.info[x].DType) {
		return nil, false
	}
	if t := l.tensor(x); t != nil && l.tensor(n.in[1]) != nil && (zero < 0 || l.tensor(zero) != nil) {
		floats := l.derived.get("dequantized "+l.derived.key(t)+" "+n.Label(), func() *tensor.Tensor {
			c := &ops.Call{Node: n.Node, Out: make([]tensor.Value, 1), MaxBytes: ops.DefaultMaxBytes}
			for k := range n.in {
				c.In = append(c.In, nil)
				if s := n.in[k]; s >= 0 {
					c.In[k] = l.tensor(s)
				}
			}
			if n.form.Eval(c) != nil {
				return nil
			}
			v, _ := c.Out[0].(*tensor.Tensor)
			return v
		})
		if floats == nil {
			return nil, false
		}
		return l.viewOf(l.pick(i), l.constant(floats), out, 0), true
	}
	outer, channels, inner, ok := l.grain(n)
	if !ok || zero >= 0 && l.shape(zero).Elements() != channels {
		return nil, false
	}
	d := kernel.Dequantize{Outer: outer, Channels: channels, Inner: inner, Kind: kernel.Int32}
	switch l.info[x].DType {
	case tensor.Uint8:
		d.Kind = kernel.Uint8
	case tensor.Int8:
		d.Kind = kernel.Int8
	}
	var in operands
	ax, as, az := in.add(x), in.add(n.in[1]), in.add(zero)
	return []*operation{{kind: "dequantize", nodes: l.pick(i), in: in.slots, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		d := d
		d.X, d.Scale, d.Zero, d.Y = ax(in), as(in), az(in), out[0]
		return kernel.AppendDequantize(dst, d)
	}}}, true
}

// lowerDynamicQuantize takes DynamicQuantizeLinear, whose three results the kernel writes.
func lowerDynamicQuantize(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x := n.in[0]
	if !l.F32(x) || len(n.out) != 3 || l.shape(x).Elements() == 0 {
		return nil, false
	}
	types := []tensor.DType{tensor.Uint8, tensor.Float32, tensor.Uint8}
	out := make([]int, 3)
	for k, s := range n.out {
		if out[k] = s; s < 0 {
			out[k] = l.values.add(types[k], []tensor.Shape{l.shape(x), {}, {}}[k]...)
		}
		if !l.of(out[k], types[k]) {
			return nil, false
		}
	}
	d := kernel.DynamicQuantize{N: l.shape(x).Elements()}
	return []*operation{{kind: "dynamic quantize", nodes: l.pick(i), in: []int{x}, out: out, scratch: d.Workspace(), launch: func(dst []cuda.Launch, in,
		out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
		d := d
		d.X, d.Y, d.Scale, d.Zero, d.Scratch = in[0], out[0], out[1], out[2], scratch
		return kernel.AppendDynamicQuantize(dst, d)
	}}}, true
}

// firstOf tries rules in turn.
func firstOf(rules ...rule) rule {
	return func(l *lowering, i int) ([]*operation, bool) {
		for _, r := range rules {
			before := len(l.info)
			if list, ok := r(l, i); ok {
				return list, true
			}
			l.info = l.info[:before]
		}
		return nil, false
	}
}
