package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// piece is how many elements of a tensor in bytes are floats at a time: they stay in a
// core's second level cache.
const piece = 32 << 10

// quantised reads a tensor in bytes with the constant scale and zero point in the node's
// inputs at and at+1.
func (f *fuser) quantised(n *Node, slot, at int) (b byteTensor, ok bool) {
	if !f.known(slot, tensor.Uint8, tensor.Int8) || f.shape(slot).Elements() == 0 {
		return b, false
	}
	b.slot, b.signed = slot, f.pl.Info[slot].DType == tensor.Int8
	if z := n.input(at + 1); z >= 0 && f.pl.Info[z].DType != f.pl.Info[slot].DType {
		return b, false
	}
	b.scale, b.zero, ok = f.grain(n.input(at), n.input(at+1))
	return b, ok
}

// lowerQLinearBinary takes QLinearAdd and QLinearMul; a side that is repeated along an axis
// is spread out first. The order in which numbers are rounded is that of the operators'
// Eval, so ties fall as there.
func lowerQLinearBinary(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	a, ok1 := f.quantised(n, n.In[0], 1)
	b, ok2 := f.quantised(n, n.In[3], 4)
	y, ok3 := f.quantised(n, n.Out[0], 6)
	if !ok1 || !ok2 || !ok3 || a.signed != b.signed || a.signed != y.signed {
		return nil, false
	}
	repeatA, ok1 := f.repeated(&a, y)
	repeatB, ok2 := f.repeated(&b, y)
	if !ok1 || !ok2 {
		return nil, false
	}
	total := f.shape(y.slot).Elements()
	left, right := f.scratch(tensor.Float32, min(total, piece)), f.scratch(tensor.Float32, min(total, piece))
	ra, rb := a.scale/y.scale, b.scale/y.scale
	fixed := float32(y.zero) - (float32(ra*float32(a.zero)) + float32(rb*float32(b.zero)))
	scale := a.scale * b.scale / y.scale
	add := n.Op == "QLinearAdd"
	run := func(e *Env) error {
		repeatA(e)
		repeatB(e)
		for at := 0; at < total; at += piece {
			m := min(piece, total-at)
			p, q, dst := e.f32(left)[:m], e.f32(right)[:m], e.bytes(y.slot)[at:at+m]
			if add {
				quant.Dequantize(p, e.bytes(a.slot)[at:at+m], ra, 0, a.signed, e.Threads)
				quant.Dequantize(q, e.bytes(b.slot)[at:at+m], rb, 0, b.signed, e.Threads)
				elementwise.BinaryScalar(elementwise.Add, p, p, fixed, false, e.Threads)
				elementwise.Binary(elementwise.Add, p, p, q, e.Threads)
			} else {
				quant.Dequantize(p, e.bytes(a.slot)[at:at+m], 1, a.zero, a.signed, e.Threads)
				quant.Dequantize(q, e.bytes(b.slot)[at:at+m], 1, b.zero, b.signed, e.Threads)
				elementwise.Binary(elementwise.Mul, p, p, q, e.Threads)
				elementwise.BinaryScalar(elementwise.Mul, p, p, scale, false, e.Threads)
				elementwise.BinaryScalar(elementwise.Add, p, p, float32(y.zero), false, e.Threads)
			}
			quant.Quantize(dst, p, 1, 0, y.signed, e.Threads)
		}
		return nil
	}
	reads, writes := []int{n.In[0], n.In[3]}, []int{y.slot, left, right}
	for _, side := range []int{a.slot, b.slot} {
		if !slices.Contains(reads, side) {
			writes = append(writes, side)
		}
	}
	return &group{nodes: []int{i}, reads: reads, writes: writes, run: run}, true
}

// repeated lets b stand for a tensor of y's shape: where it has another, a scratch slot is
// filled by what is returned.
func (f *fuser) repeated(b *byteTensor, y byteTensor) (fill func(e *Env), ok bool) {
	from, to := f.shape(b.slot), f.shape(y.slot)
	if from.Equal(to) {
		return func(*Env) {}, true
	}
	if len(from) > len(to) {
		return nil, false
	}
	box, ok := move.NewBox(to, to.Strides(), spread(from, to), 0, 0)
	if !ok {
		return nil, false
	}
	src := b.slot
	b.slot = f.scratch(f.pl.Info[src].DType, to.Elements())
	full := b.slot
	return func(e *Env) { box.Run(e.bytes(full), e.bytes(src), 1) }, true
}

// lowerQLinearUnary takes functions of one value in bytes: Eval makes the table of all 256.
func lowerQLinearUnary(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, ok1 := f.quantised(n, n.In[0], 1)
	y, ok2 := f.quantised(n, n.Out[0], 3)
	if !ok1 || !ok2 || x.signed != y.signed {
		return nil, false
	}
	every := tensor.New(f.pl.Info[x.slot].DType, tensor.Shape{256})
	for k := range every.Bytes() {
		every.Bytes()[k] = byte(k)
	}
	c := &ops.Call{Node: n.Node, In: make([]tensor.Value, len(n.In)), Out: make([]tensor.Value, 1)}
	for k, slot := range n.In {
		if t := f.constant(slot); k > 0 && t != nil {
			c.In[k] = t
		}
	}
	c.In[0] = every
	if n.Eval(c) != nil {
		return nil, false
	}
	table := [256]byte(c.Out[0].(*tensor.Tensor).Bytes())
	run := func(e *Env) error {
		dst := e.bytes(y.slot)
		for k, v := range e.bytes(x.slot) {
			dst[k] = table[v]
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x.slot}, writes: []int{y.slot}, run: run}, true
}

// lowerQLinearPool takes means over whole planes. Sums are exact.
func lowerQLinearPool(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, ok1 := f.quantised(n, n.In[0], 1)
	y, ok2 := f.quantised(n, n.Out[0], 3)
	if !ok1 || !ok2 || x.signed != y.signed || n.Attrs.Int("channels_last", 0) != 0 || len(f.shape(x.slot)) < 3 {
		return nil, false
	}
	size := f.shape(x.slot)[2:].Elements()
	planes := f.shape(x.slot).Elements() / size
	if f.shape(y.slot).Elements() != planes || size > 1<<20 {
		return nil, false
	}
	means := f.scratch(tensor.Float32, planes)
	scale := x.scale / (y.scale * float32(size))
	run := func(e *Env) error {
		m := e.f32(means)
		for p := range m {
			sum := int32(0)
			row := e.bytes(x.slot)[p*size : (p+1)*size]
			if x.signed {
				for _, v := range row {
					sum += int32(int8(v))
				}
			} else {
				for _, v := range row {
					sum += int32(v)
				}
			}
			m[p] = float32(sum-int32(size)*x.zero) * scale
		}
		quant.Quantize(e.bytes(y.slot), m, 1, y.zero, y.signed, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x.slot}, writes: []int{y.slot, means}, run: run}, true
}

// bytePool takes MaxPool of bytes: a few planes at a time are pooled as floats, which hold
// every byte.
func (f *fuser) bytePool(i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if n.Op != "MaxPool" || !f.known(x, tensor.Uint8, tensor.Int8) || !f.known(out, f.pl.Info[x].DType) || match.Wanted(n.Out[1:]) || f.shape(out).Elements() == 0 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	win, ok := window(n, f.shape(x), f.shape(out), ints(n.Attrs.Ints("kernel_shape")), true)
	if !ok || !win.meetsImage() {
		return nil, false
	}
	planes, in, to := f.shape(x)[0]*f.shape(x)[1], win.h*win.w, win.oh*win.ow
	together := min(planes, max(1, piece/in))
	signed, wide, pooled := f.pl.Info[x].DType == tensor.Int8, f.scratch(tensor.Float32, together*in), f.scratch(tensor.Float32, together*to)
	run := func(e *Env) error {
		for p := 0; p < planes; p += together {
			m := min(together, planes-p)
			src, dst := e.f32(wide)[:m*in], e.f32(pooled)[:m*to]
			quant.Dequantize(src, e.bytes(x)[p*in:(p+m)*in], 1, 0, signed, e.Threads)
			conv.Pool(conv.MaxPool, dst, src, m, win.h, win.w, win.oh, win.ow, win.Window, e.Threads)
			quant.Quantize(e.bytes(out)[p*to:(p+m)*to], dst, 1, 0, signed, e.Threads)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out, wide, pooled}, run: run}, true
}
