package lower

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/kernels/transpose"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// integerConv is a convolution of bytes by constant weights in bytes, as ConvInteger and
// QLinearConv have it: the image comes in ONNX's order and so goes the result.
//
// It is done in one of two ways, both exact. Many channels are a product of bytes: the
// image's channels are brought together and rows are gathered from it. Few channels, or
// groups, are a convolution of floats: differences from the zero points are integers of
// nine bits, and sums of their products below 2²⁴ are exact in float32 in any order.
type integerConv struct {
	f       *fuser
	node    *Node
	x       int // slot
	signed  bool
	zeroX   func(e *Env) int32
	w       *tensor.Tensor
	zeros   []int32 // of the weights, by output channel
	bias    []int32
	win     sliding
	n, c    int
	oc      int
	group   int
	nodes   []int
	reads   []int
	writes  []int
	rows    *quant.B // the weights as a right operand, nil for the way of floats
	padded  int      // channels, up to whole runs of four
	gather  *quant.Gather
	turned  int // slot of the image with its channels together
	floats  *conv.Packed
	src     padded // the image as the float kernel takes it
	lifted  int    // slot of the image in floats
	image   int    // elements of one
	results int    // elements of one image's result
}

// zeroPoint reads a slot of one zero point, constant or not; −1 means 0.
func (f *fuser) zeroPoint(slot int, d tensor.DType) (read func(e *Env) int32, ok bool) {
	if slot < 0 {
		return func(*Env) int32 { return 0 }, true
	}
	if !f.known(slot, d) || f.shape(slot).Elements() != 1 {
		return nil, false
	}
	return func(e *Env) int32 {
		if z := e.bytes(slot)[0]; d == tensor.Int8 {
			return int32(int8(z))
		} else {
			return int32(z)
		}
	}, true
}

// integerConvAt looks at a convolution of x by w with zero points, whose result has out's shape.
func (f *fuser) integerConvAt(i, x, zeroX, w, zeroW, out int, bias []int32) (*integerConv, bool) {
	n := f.node(i)
	weights := f.constant(w)
	if weights == nil || weights.Elements() == 0 || weights.DType != tensor.Int8 && weights.DType != tensor.Uint8 || !f.known(x, tensor.Int8, tensor.Uint8) ||
		out < 0 || !f.pl.Info[out].Known || f.pl.Place[out].Kind == OnHeap {
		return nil, false
	}
	in, to := f.shape(x), f.shape(out)
	if in.Elements() == 0 || to.Elements() == 0 || len(in) != len(weights.Shape) || len(in) != len(to) || in.Elements()/in[0] > math.MaxInt32/8 {
		return nil, false
	}
	c := &integerConv{f: f, node: n, x: x, signed: f.pl.Info[x].DType == tensor.Int8, w: weights, bias: bias, nodes: []int{i}, reads: []int{x},
		n: in[0], c: in[1], oc: weights.Shape[0], group: int(n.Attrs.Int("group", 1)), image: in[1:].Elements(), results: to[1:].Elements()}
	var ok bool
	if c.win, ok = window(n, in, to, weights.Shape[2:], false); !ok || c.group < 1 || c.c != weights.Shape[1]*c.group || c.oc%c.group != 0 {
		return nil, false
	}
	if c.zeroX, ok = f.zeroPoint(zeroX, f.pl.Info[x].DType); !ok {
		return nil, false
	}
	if zeroX >= 0 {
		c.reads = append(c.reads, zeroX)
	}
	c.zeros = make([]int32, c.oc)
	if zeroW >= 0 {
		z := f.constant(zeroW)
		if z == nil || z.DType != weights.DType || z.Elements() != 1 && z.Elements() != c.oc {
			return nil, false
		}
		v, err := tensor.Int64s(z)
		if err != nil {
			return nil, false
		}
		for j := range c.zeros {
			c.zeros[j] = int32(v[j%len(v)])
		}
	}
	return c, c.choose()
}

// fewChannels is below what it pays to gather rows of bytes.
const fewChannels = 8

// choose decides how the sums are computed and packs the weights for it.
func (c *integerConv) choose() bool {
	rows := c.group == 1 && c.c*c.win.KH*c.win.KW <= 32768 // more products than these may not fit 32 bits
	switch {
	case (!rows || c.c < fewChannels) && c.exactInFloats():
		c.packFloats()
	case rows:
		c.packRows()
	default:
		return false
	}
	return true
}

// exactInFloats reports that no sum of products, nor any part of one, reaches 2²⁴.
func (c *integerConv) exactInFloats() bool {
	return c.f.pl.Packed.get(c.w, c.form("exact in floats"), func(src *tensor.Tensor) (any, int64) { return c.exact(src), 0 }).(bool)
}

func (c *integerConv) exact(w *tensor.Tensor) bool {
	per := c.w.Elements() / c.oc
	for j := range c.oc {
		sum := int64(0)
		for i := range per {
			d := int64(byteNumber(w, j*per+i) - c.zeros[j])
			sum += 255 * max(d, -d)
		}
		if c.bias != nil {
			sum += max(int64(c.bias[j]), -int64(c.bias[j]))
		}
		if sum >= 1<<24 {
			return false
		}
	}
	return true
}

// form names what the weights are packed with.
func (c *integerConv) form(kind string) string { return fmt.Sprintf("%s %p", kind, c.node.Node) }

func (c *integerConv) packFloats() {
	c.src = padded{slot: c.x, h: c.win.h, w: c.win.w}
	c.win.flatten(&c.src)
	geo := conv.Geometry{C: c.c, OC: c.oc, Group: c.group, Window: c.win.Window}
	c.floats = c.f.pl.Packed.get(c.w, c.form(fmt.Sprintf("integer conv in floats %+v", geo)), func(src *tensor.Tensor) (any, int64) {
		w, bias := make([]float32, c.w.Elements()), make([]float32, c.oc)
		per := len(w) / c.oc
		for i := range w {
			w[i] = float32(byteNumber(src, i) - c.zeros[i/per])
		}
		for j, b := range c.bias {
			bias[j] = float32(b)
		}
		p := conv.Pack(geo, w, bias)
		return p, int64(p.Bytes())
	}).(*conv.Packed)
	c.lifted = c.f.scratch(tensor.Float32, c.image)
	c.writes = append(c.writes, c.lifted)
}

func (c *integerConv) packRows() {
	c.padded = (c.c + 3) / 4 * 4
	kh, kw := c.win.KH, c.win.KW
	b := &quant.B{}
	zeros := make([]int64, c.oc)
	for j, z := range c.zeros {
		zeros[j] = int64(z)
	}
	b.Zeros = commonZero(zeros, &b.Zero)
	b.PackedB = c.f.pl.Packed.get(c.w, c.form(fmt.Sprintf("integer conv %dx%d", kh, kw)), func(src *tensor.Tensor) (any, int64) {
		return packRows(src, c.oc, c.c, c.padded, kh*kw, c.zeros)
	}).(*quant.PackedB)
	c.rows = b
	// The padding is one more place behind the image: its value is known when it runs.
	spots := c.win.h * c.win.w
	if places := c.win.places(c.padded, int32(spots*c.padded)); places != nil {
		c.gather = quant.NewGather(places, c.padded, make([]byte, c.padded))
	}
	c.turned = c.f.scratch(c.f.pl.Info[c.x].DType, (spots+1)*c.padded)
	c.writes = append(c.writes, c.turned)
}

// packRows packs the weights of a convolution as byRows arranges them.
func packRows(w *tensor.Tensor, oc, channels, run, places int, zeros []int32) (any, int64) {
	var q *quant.PackedB
	if w.DType == tensor.Int8 {
		q = quant.PackB(run*places, oc, byRows(tensor.Data[int8](w), oc, channels, run, places, zeros), oc, false)
	} else {
		q = quant.PackBUint8(run*places, oc, byRows(tensor.Data[uint8](w), oc, channels, run, places, zeros), oc, false)
	}
	return q, int64(q.Bytes())
}

// byRows arranges the weights of a convolution as a right operand: rows go over the window's
// places, and at each over the channels, filled up to run with the zero points of the
// output channels (nil: 0), which count for nothing.
func byRows[T int8 | uint8](from []T, oc, channels, run, places int, zeros []int32) []T {
	to := make([]T, places*run*oc)
	for t := range places {
		for ch := range run {
			row := to[(t*run+ch)*oc:][:oc]
			switch {
			case ch < channels:
				for o := range row {
					row[o] = from[(o*channels+ch)*places+t]
				}
			case zeros != nil:
				for o := range row {
					row[o] = T(zeros[o])
				}
			}
		}
	}
	return to
}

// left brings image k's channels together and is the left operand.
func (c *integerConv) left(e *Env, k int) *quant.A {
	zero := c.zeroX(e)
	spots, data := c.win.h*c.win.w, e.bytes(c.turned)
	transpose.Bytes(data, c.padded, e.bytes(c.x)[k*c.image:(k+1)*c.image], spots, c.c, spots, e.Threads)
	for i := range c.padded {
		data[spots*c.padded+i] = byte(zero)
	}
	e.bytesA = quant.A{Data: data, Signed: c.signed, LD: c.padded, Zero: zero, Rows: c.gather}
	return &e.bytesA
}

// sums computes image k into floats, in ONNX's order.
func (c *integerConv) sums(e *Env, k int, dst []float32) {
	x := e.f32(c.lifted)
	quant.Dequantize(x, e.bytes(c.x)[k*c.image:(k+1)*c.image], 1, c.zeroX(e), c.signed, e.Threads)
	e.conv = conv.Epilogue{}
	c.floats.Run(dst, x, 1, c.src.h, c.src.w, &e.conv, e.Threads)
}

// spots is the number of places of a result.
func (c *integerConv) spots() int { return c.results / c.oc }

// lowerConvInteger takes ConvInteger with constant weights, and the conversion to float, the
// scales, a bias and a function where they follow.
func lowerConvInteger(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	out := n.Out[0]
	if !f.known(out, tensor.Int32) {
		return nil, false
	}
	c, ok := f.integerConvAt(i, n.In[0], n.input(2), n.In[1], n.input(3), out, nil)
	if !ok {
		return nil, false
	}
	if cast, ok := f.onlyUser(out); ok && f.node(cast).OpName() == "Cast" && f.f32(f.node(cast).Out[0]) {
		c.nodes = append(c.nodes, cast)
		return c.intoFloats(f.node(cast).Out[0]), true
	}
	stage := -1
	if c.rows != nil {
		stage = f.scratch(tensor.Int32, c.results)
	} else {
		stage = f.scratch(tensor.Float32, c.results)
	}
	return c.each(append(c.writes, out, stage), func(e *Env, k int) {
		dst := tensor.Data[int32](e.Tensor(out))[k*c.results : (k+1)*c.results]
		if c.rows == nil {
			c.sums(e, k, e.f32(stage))
			for i, v := range e.f32(stage) {
				dst[i] = int32(v)
			}
			return
		}
		sums := tensor.Data[int32](e.Tensor(stage))
		quant.MulInt32(c.spots(), c.left(e, k), c.rows, sums, c.oc, e.Threads)
		transpose.Words(dst, c.spots(), sums, c.oc, c.spots(), c.oc, e.Threads)
	}), true
}

// each makes the step that does one image after the other.
func (c *integerConv) each(writes []int, image func(e *Env, k int)) *group {
	return &group{nodes: c.nodes, reads: c.reads, writes: writes, run: func(e *Env) error {
		for k := range c.n {
			image(e, k)
		}
		return nil
	}}
}

// intoFloats makes the step whose sums become floats; the product's store scales them too,
// adds a bias and applies a function.
func (c *integerConv) intoFloats(out int) *group {
	f := c.f
	if c.rows == nil {
		return c.each(append(c.writes, out), func(e *Env, k int) { c.sums(e, k, e.f32(out)[k*c.results:(k+1)*c.results]) })
	}
	axis := len(f.shape(out)) - 1
	s, d := &columnScales{all: -1, each: -1}, quant.Dequant{}
	if mul, ok := f.onlyUser(out); ok && f.node(mul).OpName() == "Mul" {
		by, one := match.Operand(f.node(mul).match(), out)
		to := f.node(mul).Out[0]
		if one && f.f32(by) && f.f32(to) && f.shape(to).Equal(f.shape(out)) {
			if found, ok := f.scales(by, c.oc, axis); ok {
				ep := newEpilogue()
				ep.unscaled, ep.alone = true, true
				f.follow(to, c.oc, axis, ep)
				s, out, d = found, ep.out, quant.Dequant{ScaleB: found.columns, Bias: ep.bias, Act: ep.act}
				c.nodes = append(append(append(c.nodes, mul), s.nodes...), ep.nodes...)
				c.reads = append(c.reads, s.reads()...)
			}
		}
	}
	stage := f.scratch(tensor.Float32, c.results)
	return c.each(append(c.writes, out, stage), func(e *Env, k int) {
		e.dequant = d
		s.into(e)
		quant.MulFloat(c.spots(), c.left(e, k), c.rows, e.f32(stage), c.oc, &e.dequant, e.Threads)
		transpose.Words(e.f32(out)[k*c.results:], c.spots(), e.f32(stage), c.oc, c.spots(), c.oc, e.Threads)
	})
}

// lowerQLinearConv takes QLinearConv whose operands but the image are constant.
func lowerQLinearConv(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	out := n.Out[0]
	var bias []int32
	if b := n.input(8); b >= 0 {
		t := f.constant(b)
		if t == nil || t.DType != tensor.Int32 {
			return nil, false
		}
		bias = tensor.Data[int32](t)
	}
	if !f.known(out, tensor.Int8, tensor.Uint8) {
		return nil, false
	}
	c, ok := f.integerConvAt(i, n.In[0], n.In[2], n.In[3], n.In[5], out, bias)
	if !ok || bias != nil && len(bias) != c.oc {
		return nil, false
	}
	req, ok := f.requant(n, c.oc)
	if !ok {
		return nil, false
	}
	if c.rows == nil {
		stage := f.scratch(tensor.Float32, c.results)
		return c.each(append(c.writes, out, stage), func(e *Env, k int) {
			c.sums(e, k, e.f32(stage))
			per := c.spots()
			for j := range c.oc {
				at := k*c.results + j*per
				quant.Quantize(e.bytes(out)[at:at+per], e.f32(stage)[j*per:(j+1)*per], 1/req.Scale[j], req.Zero, req.Signed, 1)
			}
		}), true
	}
	req.Bias = bias
	stage := f.scratch(f.pl.Info[out].DType, c.results)
	return c.each(append(c.writes, out, stage), func(e *Env, k int) {
		e.requant = req
		quant.MulBytes(c.spots(), c.left(e, k), c.rows, e.bytes(stage), c.oc, &e.requant, e.Threads)
		transpose.Bytes(e.bytes(out)[k*c.results:], c.spots(), e.bytes(stage), c.oc, c.spots(), c.oc, e.Threads)
	}), true
}

// requant reads how a QLinearConv or QLinearMatMul of n columns makes bytes of its sums: the
// scales of both operands and of the result and the zero point of that, which have the same
// places in both.
func (f *fuser) requant(n *Node, columns int) (quant.Requant, bool) {
	x, ok1 := f.scalar(n.In[1])
	y, ok2 := f.scalar(n.In[6])
	w, z := f.constF32(n.In[4]), f.constant(n.In[7])
	if !ok1 || !ok2 || len(w) != 1 && len(w) != columns || z == nil || z.Elements() != 1 || z.DType != f.pl.Info[n.Out[0]].DType {
		return quant.Requant{}, false
	}
	v, err := tensor.Int64s(z)
	if err != nil {
		return quant.Requant{}, false
	}
	r := quant.Requant{Scale: make([]float32, columns), Zero: int32(v[0]), Signed: z.DType == tensor.Int8}
	for j := range r.Scale {
		s := x * w[j%len(w)] / y
		if !(s > 0) || math.IsInf(float64(s), 0) || math.IsInf(float64(1/s), 0) {
			return r, false
		}
		r.Scale[j] = s
	}
	return r, true
}

// lowerQLinearMatMul takes QLinearMatMul whose right operand is a constant matrix and whose
// scales and zero points are constant.
func lowerQLinearMatMul(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	out := n.Out[0]
	if !f.known(out, tensor.Int8, tensor.Uint8) {
		return nil, false
	}
	p, ok := f.bytesByConst(n.In[0], n.In[2], n.In[3], n.In[5])
	if !ok {
		return nil, false
	}
	req, ok := f.requant(n, p.n)
	if !ok {
		return nil, false
	}
	return &group{nodes: []int{i}, reads: p.reads, writes: []int{out}, run: func(e *Env) error {
		e.requant = req
		quant.MulBytes(p.m, p.left(e), &p.b, e.bytes(out), p.n, &e.requant, e.Threads)
		return nil
	}}, true
}
