package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/convtranspose"
	"github.com/aimass/aimass/runtime/tensor"
)

// transposing is a transposed convolution that has been matched, with what follows it.
type transposing struct {
	f     *fuser
	node  *Node
	geo   convtranspose.Geometry
	in    [3]int
	batch int
	bias  []float32
	taps  int
	aff   *channelwise
	ep    *epilogue
	nodes []int
}

// lowerConvTranspose takes transposed convolutions in one to three dimensions with constant
// weights and explicit padding, with the scales, shifts and the function that follow.
func lowerConvTranspose(f *fuser, i int) (*group, bool) {
	c, ok := f.matchTransposed(i)
	if !ok {
		return nil, false
	}
	return c.step(c.packed("dense", convtranspose.Pack), c.node.In[0], c.ep.out), true
}

// matchTransposed looks at a transposed convolution and what follows it.
func (f *fuser) matchTransposed(i int) (*transposing, bool) {
	n := f.node(i)
	bias, ok := f.filters(n)
	if !ok {
		return nil, false
	}
	sx, sw, so := f.shape(n.In[0]), f.shape(n.In[1]), f.shape(n.Out[0])
	c := &transposing{f: f, node: n, batch: sx[0], bias: bias, taps: sw[2:].Elements(), in: [3]int{1, 1, 1},
		geo: convtranspose.Geometry{C: sx[1], OC: so[1], Group: int(n.Attrs.Int("group", 1))}}
	rank := len(sx) - 2
	if rank < 1 || rank > 3 {
		return nil, false
	}
	axes, ok := backward(n, sx, so, sw[2:])
	if !ok {
		return nil, false
	}
	copy(c.in[3-rank:], sx[2:])
	copy(c.geo.Axes[3-rank:], axes)
	c.aff = f.affine(n.Out[0], so[1])
	c.ep = newEpilogue()
	c.ep.unscaled, c.ep.alone = true, true
	f.follow(c.aff.out, so[1], len(sx)-1, c.ep)
	c.nodes = append(append([]int{i}, c.aff.nodes...), c.ep.nodes...)
	return c, true
}

// packed keeps the packed weights.
func (c *transposing) packed(kind string, pack func(g convtranspose.Geometry, w, bias []float32) *convtranspose.Packed) *convtranspose.Packed {
	form := fmt.Sprintf("transposed %s %p %d %d %p %+v", kind, c.node.Node, len(c.aff.nodes), len(c.ep.nodes), c.ep.bias, c.geo)
	return c.f.pl.Packed.get(c.f.constant(c.node.In[1]), form, func(src *tensor.Tensor) (any, int64) {
		p := pack(c.geo, c.aff.transposed(tensor.Data[float32](src), c.geo.OC/c.geo.Group, c.taps), c.aff.bias(c.bias, c.ep.bias))
		return p, int64(p.Bytes())
	}).(*convtranspose.Packed)
}

// step computes slot out from slot x, both dense or both blocked.
func (c *transposing) step(p *convtranspose.Packed, x, out int) *group {
	work := c.f.scratch(tensor.Float32, p.Workspace(c.in))
	in, batch, fn := c.in, c.batch, c.ep.act
	run := func(e *Env) error {
		p.Run(e.f32(out), e.f32(x), batch, in, e.f32(work), fn, e.Threads)
		return nil
	}
	return &group{nodes: c.nodes, reads: []int{x}, writes: []int{out, work}, run: run}
}

// transposed takes a transposed convolution of a blocked image.
func (b *blocking) transposed(i int) *group {
	f, n := b.f, b.f.node(i)
	if n.In[0] < 0 || n.In[1] < 0 {
		return nil
	}
	c, ok := f.matchTransposed(i)
	if !ok || len(f.shape(n.In[0])) > 4 || !convtranspose.TakesBlocked(c.geo) || !fillsBlocks(c.geo.C) || !fillsBlocks(c.geo.OC) {
		return nil
	}
	return c.step(c.packed("blocked", convtranspose.PackBlocked), b.of(n.In[0]), b.makes(c.ep.out))
}

// backward are the axes of a transposed convolution with explicit padding that gives out.
func backward(n *Node, in, out tensor.Shape, kernel []int) ([]convtranspose.Axis, bool) {
	rank := len(in) - 2
	stride, ok1 := intsOr(n.Attrs.Ints("strides"), rank, 1)
	dilation, ok2 := intsOr(n.Attrs.Ints("dilations"), rank, 1)
	pads, ok3 := intsOr(n.Attrs.Ints("pads"), 2*rank, 0)
	extra, ok4 := intsOr(n.Attrs.Ints("output_padding"), rank, 0)
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	if !ok1 || !ok2 || !ok3 || !ok4 || len(kernel) != rank || auto != "NOTSET" && auto != "VALID" || n.Attrs.Has("output_shape") {
		return nil, false
	}
	if auto == "VALID" {
		clear(pads)
	}
	axes := make([]convtranspose.Axis, rank)
	for i := range axes {
		a := convtranspose.Axis{K: kernel[i], Stride: stride[i], Dilation: dilation[i], Before: pads[i], After: pads[rank+i], Extra: extra[i]}
		if min(a.K, a.Stride, a.Dilation) < 1 || min(a.Before, a.After, a.Extra) < 0 || a.Out(in[2+i]) != out[2+i] {
			return nil, false
		}
		axes[i] = a
	}
	return axes, true
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
