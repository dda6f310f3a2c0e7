package lower

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/norm"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// channelwise is a scale and a shift for each channel, gathered from the nodes behind a
// convolution and put into its weights.
type channelwise struct {
	scale, shift []float64
	nodes        []int
	out          int
}

// newChannelwise is what changes nothing, from slot on.
func newChannelwise(slot, channels int) *channelwise {
	return &channelwise{scale: slices.Repeat([]float64{1}, channels), shift: make([]float64, channels), out: slot}
}

// affine walks from slot through the nodes that alone read it while they scale or shift
// by constants of their channel.
func (f *fuser) affine(slot, channels int) *channelwise {
	c := newChannelwise(slot, channels)
	f.extend(c, len(f.shape(slot))-1)
	return c
}

// extend walks on from where c has come to. The channels lie along the axis-th axis from the end.
func (f *fuser) extend(c *channelwise, axis int) {
	s := f.shape(c.out)
	for {
		i, ok := f.onlyUser(c.out)
		if !ok {
			return
		}
		n := f.node(i)
		if n.In[0] < 0 || !f.f32(n.Out[0]) || !f.shape(n.Out[0]).Equal(s) {
			return
		}
		switch n.OpName() {
		case "BatchNormalization":
			ok = n.In[0] == c.out && axis == len(s)-1 && f.absorbNorm(n, c)
		case "Add", "Sub", "Mul", "Div":
			ok = n.Opset >= 7 && f.absorbBinary(n, c, axis)
		default:
			ok = false
		}
		if !ok {
			return
		}
		c.nodes = append(c.nodes, i)
		c.out = n.Out[0]
	}
}

func (f *fuser) absorbNorm(n *Node, c *channelwise) bool {
	scale, shift, ok := f.g.BatchNorm(n.match(), len(c.scale))
	if !ok {
		return false
	}
	for i := range scale {
		c.scale[i] *= scale[i]
		c.shift[i] = c.shift[i]*scale[i] + shift[i]
	}
	return true
}

func (f *fuser) absorbBinary(n *Node, c *channelwise, axis int) bool {
	other, ok := match.Operand(n.match(), c.out)
	if !ok {
		return false
	}
	v := f.constF32(other)
	if len(v) != 1 && !match.AlongAxis(f.shape(other), len(c.scale), axis) {
		return false
	}
	for i := range c.scale {
		if len(v) == 0 {
			return false
		}
		x := float64(v[i%len(v)])
		if math.IsNaN(x) || math.IsInf(x, 0) || n.OpName() == "Div" && x == 0 {
			return false
		}
	}
	for i := range c.scale {
		x := float64(v[i%len(v)])
		switch n.OpName() {
		case "Add":
			c.shift[i] += x
		case "Sub":
			c.shift[i] -= x
		case "Mul":
			c.scale[i], c.shift[i] = c.scale[i]*x, c.shift[i]*x
		case "Div":
			c.scale[i], c.shift[i] = c.scale[i]/x, c.shift[i]/x
		}
	}
	return true
}

// lowerConv takes convolutions in one to three dimensions with constant weights, and what
// follows them: scales and shifts of the channels go into the weights, a residual and a
// function into the store.
func lowerConv(f *fuser, i int) (*group, bool) {
	c, ok := f.matchConv(i)
	if !ok {
		return f.volumeConv(i)
	}
	if c.geo.Group <= 1 {
		if g, ok := c.product(); ok {
			return g, true
		}
	}
	return c.kernel(), true
}

// matchConv looks at a convolution and what follows it.
func (f *fuser) matchConv(i int) (*convolving, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	bias, ok := f.filters(n)
	if !ok {
		return nil, false
	}
	sx, sw := f.shape(x), f.shape(n.In[1])
	win, ok := window(n, sx, f.shape(out), sw[2:], false)
	if !ok {
		return nil, false
	}
	pre := f.padding(x, &win)
	cut := win.trim(&pre)
	win.flatten(&pre)
	geo := conv.Geometry{C: sx[1], OC: sw[0], Group: int(n.Attrs.Int("group", 1)), Window: win.Window}
	aff := f.affine(out, geo.OC)
	ep := newEpilogue()
	ep.unscaled = true
	f.follow(aff.out, geo.OC, len(sx)-1, ep)
	c := &convolving{f: f, node: n, geo: geo, win: win, src: pre, batch: sx[0], c: sx[1], oc: sw[0], cut: cut, bias: bias, aff: aff, ep: ep}
	c.nodes = append(append([]int{i}, pre.nodes...), aff.nodes...)
	return c, true
}

// filters reports a convolution with constant weights over a float32 image that is not empty, and gives its bias, which
// is constant if there is one.
func (f *fuser) filters(n *Node) (bias []float32, ok bool) {
	x, out, w := n.In[0], n.Out[0], f.constant(n.In[1])
	if w == nil || w.DType != tensor.Float32 || w.Elements() == 0 || !f.f32(x) || !f.f32(out) || f.shape(out).Elements() == 0 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	if len(n.In) > 2 && n.In[2] >= 0 {
		if bias = f.constF32(n.In[2]); bias == nil {
			return nil, false
		}
	}
	return bias, true
}

// packed keeps what pack makes of the weights and the bias as a kernel wants them.
func (c *convolving) packed(kind string, pack func(w, bias []float32) (any, int64)) any {
	form := fmt.Sprintf("%s %p %d %d %p %+v", kind, c.node.Node, len(c.aff.nodes), len(c.ep.nodes), c.ep.bias, c.geo)
	return c.f.pl.Packed.get(c.f.constant(c.node.In[1]), form, func(src *tensor.Tensor) (any, int64) {
		return pack(c.weights(src), c.aff.bias(c.bias, c.ep.bias))
	})
}

// weights are those of the convolution's constant that are used, scaled.
func (c *convolving) weights(src *tensor.Tensor) []float32 {
	w := tensor.Data[float32](src)
	if c.cut != nil {
		w = c.cut(w)
	}
	return c.aff.weights(w, len(w)/c.oc)
}

// kernel does a convolution with the kernel of its own.
func (c *convolving) kernel() *group {
	ep, geo := c.ep, c.geo
	packed := c.packed("conv", func(w, bias []float32) (any, int64) {
		p := conv.Pack(geo, w, bias)
		return p, int64(p.Bytes())
	}).(*conv.Packed)
	g := &group{nodes: append(c.nodes, ep.nodes...), reads: append([]int{c.src.slot}, ep.reads...), writes: []int{ep.out}}
	dst, src, res, fn, batch, h, wd := ep.out, c.src.slot, ep.residual, ep.act, c.batch, c.src.h, c.src.w
	g.run = func(e *Env) error {
		e.conv = conv.Epilogue{Act: fn}
		if res >= 0 {
			e.conv.Residual = e.f32(res)
		}
		packed.Run(e.f32(dst), e.f32(src), batch, h, wd, &e.conv, e.Threads)
		return nil
	}
	return g
}

// weights are w with rows of the given length scaled for each channel.
func (c *channelwise) weights(w []float32, row int) []float32 {
	if len(c.nodes) == 0 {
		return w
	}
	out := make([]float32, len(w))
	for i, v := range w {
		out[i] = float32(float64(v) * c.scale[i/row])
	}
	return out
}

// columns are w with its columns, or its rows if they are turned, scaled.
func (c *channelwise) columns(w []float32, turned bool) []float32 {
	n := len(c.scale)
	if turned {
		return c.weights(w, len(w)/n)
	}
	out := make([]float32, len(w))
	for i, v := range w {
		out[i] = float32(float64(v) * c.scale[i%n])
	}
	return out
}

// bias is the scaled and shifted bias, with what is added behind it.
func (c *channelwise) bias(before, behind []float32) []float32 {
	out := make([]float32, len(c.scale))
	for i := range out {
		b := c.shift[i]
		if before != nil {
			b += float64(before[i]) * c.scale[i]
		}
		if behind != nil {
			b += float64(behind[i])
		}
		out[i] = float32(b)
	}
	return out
}

// padded is a convolution's image as it is read: past the Pad node before it, if the
// window can do its work.
type padded struct {
	slot, h, w int
	nodes      []int
}

// padding looks for a Pad of zeros on the spatial axes that only this convolution reads
// and moves it into the window.
func (f *fuser) padding(x int, win *sliding) padded {
	same := padded{slot: x, h: win.h, w: win.w}
	i, ok := f.maker[x]
	if !ok || f.claimed[i] || len(f.users[x]) != 1 || f.output[x] {
		return same
	}
	n := f.node(i)
	if n.OpName() != "Pad" || !f.f32(n.In[0]) || f.shape(n.In[0]).Elements() == 0 || n.Attrs.Str("mode", "constant") != "constant" {
		return same
	}
	before, after, ok := f.pads(n)
	if !ok || !f.padsZero(n) {
		return same
	}
	from := f.shape(n.In[0])
	rank := len(from)
	for k := range rank {
		if before[k] < 0 || after[k] < 0 || k < 2 && before[k]+after[k] > 0 {
			return same
		}
	}
	win.PadLeft += before[rank-1]
	win.PadRight += after[rank-1]
	if rank == 4 {
		win.PadTop += before[2]
		win.PadBottom += after[2]
	}
	h, w, _ := plane(from)
	return padded{slot: n.In[0], h: h, w: w, nodes: []int{i}}
}

// trim leaves out the taps at the ends of a dilated window that no place of the result has
// within the image, as in the wide branches of a pyramid over a small one. It gives what cuts them out of the weights, nil
// if there are none.
func (s *sliding) trim(p *padded) func(w []float32) []float32 {
	win := &s.Window
	y0, y1, top, bottom := reaching(s.oh, p.h, win.KH, win.StrideH, win.DilationH, win.PadTop, win.PadBottom)
	x0, x1, left, right := reaching(s.ow, p.w, win.KW, win.StrideW, win.DilationW, win.PadLeft, win.PadRight)
	kh, kw := win.KH, win.KW
	if y1-y0 == kh && x1-x0 == kw {
		return nil
	}
	win.KH, win.PadTop, win.PadBottom = y1-y0, top, bottom
	win.KW, win.PadLeft, win.PadRight = x1-x0, left, right
	return func(w []float32) (out []float32) {
		for at := 0; at < len(w); at += kh * kw {
			for y := y0; y < y1; y++ {
				row := w[at+y*kw:]
				out = append(out, row[x0:x1]...)
			}
		}
		return out
	}
}

// reaching are the taps lo..hi of an axis outside of which none meets the image, and the padding
// with which these give the same places.
func reaching(out, in, kernel, stride, dilation, before, after int) (lo, hi, first, last int) {
	meets := func(k int) bool {
		for o := range out {
			if p := o*stride - before + k*dilation; p >= 0 && p < in {
				return true
			}
		}
		return false
	}
	hi = kernel
	for lo < kernel-1 && before >= (lo+1)*dilation && !meets(lo) {
		lo++
	}
	rest := func(hi int) int { return (out-1)*stride + (hi-1)*dilation + 1 - in - before }
	for hi > lo+1 && rest(hi-1) >= 0 && !meets(hi-1) {
		hi--
	}
	if hi == kernel {
		return lo, hi, before - lo*dilation, after
	}
	return lo, hi, before - lo*dilation, rest(hi)
}

// flatten gives images of one column one row instead, and those of which each element is
// taken by itself all in one row: kernels run along rows.
func (s *sliding) flatten(p *padded) {
	switch w := &s.Window; {
	case p.w == 1 && w.KW == 1 && w.PadLeft+w.PadRight == 0:
		w.KW, w.StrideW, w.DilationW, w.PadLeft, w.PadRight = w.KH, w.StrideH, w.DilationH, w.PadTop, w.PadBottom
		w.KH, w.StrideH, w.DilationH, w.PadTop, w.PadBottom = 1, 1, 1, 0, 0
		p.w, p.h, s.ow, s.oh = p.h, 1, s.oh, 1
	case w.KH*w.KW == 1 && w.StrideH*w.StrideW == 1 && w.PadTop+w.PadBottom+w.PadLeft+w.PadRight == 0:
		p.w, p.h, s.ow, s.oh = p.w*p.h, 1, s.ow*s.oh, 1
	}
}

// pads are the constant margins of a Pad for each axis.
func (f *fuser) pads(n *Node) (before, after []int, ok bool) {
	rank := len(f.shape(n.In[0]))
	list := n.Attrs.Ints("pads")
	if n.Opset < 2 {
		list = n.Attrs.Ints("paddings")
	}
	axes := make([]int, rank)
	for k := range axes {
		axes[k] = k
	}
	if n.Opset >= 11 {
		if list, ok = f.constInts(n.In, 1); !ok {
			return nil, nil, false
		}
		if len(n.In) > 3 && n.In[3] >= 0 {
			v, ok := f.constInts(n.In, 3)
			if !ok {
				return nil, nil, false
			}
			axes = axes[:0]
			for _, a := range v {
				k, err := tensor.Axis(a, rank)
				if err != nil {
					return nil, nil, false
				}
				axes = append(axes, k)
			}
		}
	}
	if len(list) != 2*len(axes) {
		return nil, nil, false
	}
	before, after = make([]int, rank), make([]int, rank)
	for j, k := range axes {
		before[k], after[k] = int(list[j]), int(list[len(axes)+j])
	}
	return before, after, true
}

// padsZero reports that a Pad fills with 0.
func (f *fuser) padsZero(n *Node) bool {
	if n.Opset < 11 {
		return n.Attrs.Float("value", 0) == 0
	}
	if len(n.In) < 3 || n.In[2] < 0 {
		return true
	}
	v, ok := f.scalar(n.In[2])
	return ok && v == 0
}

// constInts are the elements of a constant integer input; ok is false where it is left
// out or not constant.
func (f *fuser) constInts(in []int, i int) ([]int64, bool) {
	if i >= len(in) {
		return nil, false
	}
	t := f.constant(in[i])
	if t == nil {
		return nil, false
	}
	v, err := tensor.Int64s(t)
	return v, err == nil
}

// lowerBatchNorm takes an inference BatchNormalization and the function behind it.
func lowerBatchNorm(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if !f.f32(x) || !f.f32(out) || len(f.shape(x)) < 2 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	s := f.shape(x)
	aff := &channelwise{nodes: []int{i}, out: out}
	var ok bool
	if aff.scale, aff.shift, ok = f.g.BatchNorm(n.match(), s[1]); !ok {
		return nil, false
	}
	f.extend(aff, len(s)-1)
	scale, shift := make([]float32, s[1]), aff.bias(nil, nil)
	for c, v := range aff.scale {
		scale[c] = float32(v)
	}
	return f.tailed(aff.nodes, []int{x}, aff.out, func(e *Env, dst []float32) {
		norm.Affine(dst, e.f32(x), s[0], s[1], s[2:].Elements(), scale, shift, e.Threads)
	}), true
}

// tailed is a group that computes slot out, and then the function behind it in place.
func (f *fuser) tailed(nodes, reads []int, out int, do func(e *Env, dst []float32)) *group {
	g := &group{nodes: append([]int{}, nodes...), reads: reads}
	after := act.Act{}
	if a, ok := f.g.ActivationAt(out); ok {
		g.nodes, out, after = append(g.nodes, a.Nodes...), a.Out, a.Act
	}
	g.writes = []int{out}
	g.run = func(e *Env) error {
		dst := e.f32(out)
		do(e, dst)
		if after.Func != act.None {
			elementwise.Unary(dst, dst, after, e.Threads)
		}
		return nil
	}
	return g
}
