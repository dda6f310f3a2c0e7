package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/convtranspose"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerConvTranspose takes transposed convolutions with constant weights and explicit
// padding, and what follows them as lowerConv does.
func lowerConvTranspose(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	w, bias, ok := f.filters(n)
	if !ok {
		return nil, false
	}
	sx, sw, so := f.shape(x), f.shape(n.In[1]), f.shape(out)
	geo := convtranspose.Geometry{C: sx[1], OC: so[1], Group: int(n.Attrs.Int("group", 1))}
	if geo.Window, ok = backward(n, sx, sw[2:]); !ok {
		return nil, false
	}
	aff := f.affine(out, so[1])
	ep := newEpilogue()
	ep.unscaled = true
	f.follow(aff.out, so[1], len(sx)-1, ep)
	form := fmt.Sprintf("convtranspose %p %d %d %p %+v", n.Node, len(aff.nodes), len(ep.nodes), ep.bias, geo)
	packed := f.pl.Packed.get(f.constant(n.In[1]), form, func() (any, int64) {
		p := convtranspose.Pack(geo, aff.transposed(w, sw[1], sw[2:].Elements()), aff.bias(bias, ep.bias))
		return p, int64(4 * len(w))
	}).(*convtranspose.Packed)
	h, wd, _ := plane(sx)
	oh, ow, _ := plane(so)
	if minH, minW := packed.Out(h, wd); oh < minH || ow < minW {
		return nil, false
	}
	work := f.scratch(tensor.Float32, packed.Workspace(h, wd))
	dst, res, fn := ep.out, ep.residual, ep.act
	g := &group{nodes: append(append([]int{i}, aff.nodes...), ep.nodes...), reads: append([]int{x}, ep.reads...), writes: []int{dst, work}}
	g.run = func(e *Env) error {
		e.conv = conv.Epilogue{Act: fn}
		if res >= 0 {
			e.conv.Residual = e.f32(res)
		}
		packed.Run(e.f32(dst), oh, ow, e.f32(x), sx[0], h, wd, e.f32(work), &e.conv, e.Threads)
		return nil
	}
	return g, true
}

// transposed scales weights that lie as [C, OC/group, taps].
func (c *channelwise) transposed(w []float32, perGroup, taps int) []float32 {
	if len(c.nodes) == 0 {
		return w
	}
	groups := len(c.scale) / perGroup
	rowsPerGroup := len(w) / (perGroup * taps) / groups
	out := make([]float32, len(w))
	for i, v := range w {
		row, oc := i/(perGroup*taps), i/taps%perGroup
		out[i] = float32(float64(v) * c.scale[row/rowsPerGroup*perGroup+oc])
	}
	return out
}

// backward is the window of a transposed convolution with explicit padding.
func backward(n *Node, in tensor.Shape, kernel []int) (w conv.Window, ok bool) {
	rank := len(in) - 2
	stride, ok1 := intsOr(n.Attrs.Ints("strides"), rank, 1)
	dilation, ok2 := intsOr(n.Attrs.Ints("dilations"), rank, 1)
	pads, ok3 := intsOr(n.Attrs.Ints("pads"), 2*rank, 0)
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	if !ok1 || !ok2 || !ok3 || rank < 1 || rank > 2 || len(kernel) != rank || auto != "NOTSET" && auto != "VALID" || n.Attrs.Has("output_shape") {
		return w, false
	}
	if auto == "VALID" {
		clear(pads)
	}
	for i := range rank {
		if min(pads[i], pads[rank+i]) < 0 {
			return w, false
		}
	}
	last := rank - 1
	w = conv.Window{KH: 1, StrideH: 1, DilationH: 1, KW: kernel[last], StrideW: stride[last], DilationW: dilation[last], PadLeft: pads[last], PadRight: pads[rank+last]}
	if rank == 2 {
		w.KH, w.StrideH, w.DilationH, w.PadTop, w.PadBottom = kernel[0], stride[0], dilation[0], pads[0], pads[2]
	}
	return w, true
}

// fewSpots is the size of a result's plane up to which a convolution is done as a product
// of its patches with the weights: a tile along the plane would stay mostly empty.
const fewSpots = 8

// convolving is a convolution that has been matched.
type convolving struct {
	f            *fuser
	node         *Node
	geo          conv.Geometry
	win          sliding
	src          padded
	batch, c, oc int
	w, bias      []float32
	aff          *channelwise
	ep           *epilogue
	nodes        []int // all that the step stands for but those of ep
}

// spots is the number of places of the result's plane.
func (c *convolving) spots() int { return c.win.oh * c.win.ow }

// product does a convolution with few places as a GEMM.
func (c *convolving) product() (*group, bool) {
	spots := c.spots()
	if spots > fewSpots || spots > 1 && c.ep.residual >= 0 {
		return nil, false
	}
	k := c.c * c.win.KH * c.win.KW
	w := c.f.constant(c.node.In[1])
	bias := c.aff.bias(c.bias, c.ep.bias)
	form := fmt.Sprintf("conv as gemm %p %d", c.node.Node, len(c.aff.nodes))
	packed := c.f.pl.Packed.get(w, form, func() (any, int64) {
		p := gemm.PackB(k, c.oc, c.aff.weights(c.w, k), k, true)
		return p, int64(p.Bytes())
	}).(*gemm.PackedB)
	image := c.c * c.src.h * c.src.w
	direct := k == image && spots == 1 && c.win.PadTop+c.win.PadLeft == 0 && c.win.DilationH+c.win.DilationW == 2
	g := &group{nodes: append(c.nodes, c.ep.nodes...), reads: append([]int{c.src.slot}, c.ep.reads...), writes: []int{c.ep.out}}
	cols, sums := -1, -1
	if !direct {
		cols = c.f.scratch(tensor.Float32, c.batch*spots*k)
		g.writes = append(g.writes, cols)
	}
	if spots > 1 {
		sums = c.f.scratch(tensor.Float32, c.batch*spots*c.oc)
		g.writes = append(g.writes, sums)
	}
	dst, src, res, fn, win := c.ep.out, c.src, c.ep.residual, c.ep.act, c.win
	batch, channels, oc := c.batch, c.c, c.oc
	g.run = func(e *Env) error {
		a, y := e.f32(src.slot), e.f32(dst)
		if cols >= 0 {
			x := a
			a = e.f32(cols)
			for b := range batch {
				move.Columns(a[b*spots*k:], x[b*image:], &win.Window, channels, src.h, src.w, win.oh, win.ow)
			}
		}
		e.gemm = gemm.Epilogue{Bias: bias, Act: fn}
		if res >= 0 {
			e.gemm.Residual, e.gemm.LDR = e.f32(res), oc
		}
		if sums < 0 {
			gemm.Gemm(batch, a, k, packed, y, oc, &e.gemm, e.Threads)
			return nil
		}
		s := e.f32(sums)
		gemm.Gemm(batch*spots, a, k, packed, s, oc, &e.gemm, e.Threads)
		for b := range batch {
			move.Turn(y[b*spots*oc:], s[b*spots*oc:(b+1)*spots*oc], spots, oc)
		}
		return nil
	}
	return g, true
}
