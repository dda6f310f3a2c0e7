package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// volumeConv takes convolutions over volumes, and what follows them as lowerConv does.
func (f *fuser) volumeConv(i int) (*group, bool) {
	n := f.node(i)
	w, bias, ok := f.filters(n)
	if !ok {
		return nil, false
	}
	x, out := n.In[0], n.Out[0]
	sx, sw := f.shape(x), f.shape(n.In[1])
	axes, ok := slides(n, sx, f.shape(out), sw[2:], false)
	if !ok || len(axes) != 3 {
		return nil, false
	}
	z, plane := axes[0], sliding2(axes[1:])
	geo := conv.Geometry{C: sx[1], OC: sw[0], Group: int(n.Attrs.Int("group", 1)), Window: plane.Window,
		Depth: conv.Depth{K: z.kernel, Stride: z.stride, Dilation: z.dilation, Before: z.before, After: z.after}}
	aff := f.affine(out, geo.OC)
	ep := newEpilogue()
	ep.unscaled = true
	f.follow(aff.out, geo.OC, len(sx)-1, ep)
	form := fmt.Sprintf("volume %p %d %d %p %+v", n.Node, len(aff.nodes), len(ep.nodes), ep.bias, geo)
	packed := f.pl.Packed.get(f.constant(n.In[1]), form, func() (any, int64) {
		p := conv.Pack(geo, aff.weights(w, len(w)/geo.OC), aff.bias(bias, ep.bias))
		return p, int64(p.Bytes())
	}).(*conv.Packed)
	g := &group{nodes: append(append([]int{i}, aff.nodes...), ep.nodes...), reads: append([]int{x}, ep.reads...), writes: []int{ep.out}}
	dst, res, fn, batch := ep.out, ep.residual, ep.act, sx[0]
	g.run = func(e *Env) error {
		e.conv = conv.Epilogue{Act: fn}
		if res >= 0 {
			e.conv.Residual = e.f32(res)
		}
		packed.RunVolumes(e.f32(dst), e.f32(x), batch, z.in, plane.h, plane.w, &e.conv, e.Threads)
		return nil
	}
	return g, true
}

// volumePool takes pools over volumes: first over planes, then along the axis of planes, as
// maxima and means, and the counts that means are taken over, are products of those of the
// axes.
func (f *fuser) volumePool(i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if !f.f32(x) || !f.f32(out) || match.Wanted(n.Out[1:]) || f.shape(out).Elements() == 0 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	axes, ok := slides(n, f.shape(x), f.shape(out), ints(n.Attrs.Ints("kernel_shape")), true)
	if !ok || len(axes) != 3 {
		return nil, false
	}
	op, ok := poolOf(n)
	plane, z := sliding2(axes[1:]), axes[0]
	s := f.shape(x)
	channels := s[0] * s[1]
	spots := plane.oh * plane.ow
	// A plane's places lie side by side, so that the axis of planes is that of rows.
	deep := sliding2([]along{z, {in: spots, out: spots, kernel: 1, stride: 1, dilation: 1}})
	if !ok || op != conv.MaxPool && (!plane.meetsImage() || !deep.meetsImage()) {
		return nil, false // a mean of nothing is NaN for Eval
	}
	between := f.scratch(tensor.Float32, channels*z.in*spots)
	run := func(e *Env) error {
		conv.Pool(op, e.f32(between), e.f32(x), channels*z.in, plane.h, plane.w, plane.oh, plane.ow, plane.Window, e.Threads)
		conv.Pool(op, e.f32(out), e.f32(between), channels, deep.h, deep.w, deep.oh, deep.ow, deep.Window, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out, between}, run: run}, true
}
