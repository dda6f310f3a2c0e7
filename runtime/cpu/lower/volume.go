package lower

import (
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/nchwc"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// volume is a convolution over volumes that has been matched, with what follows it.
type volume struct {
	convolving
	deep int // planes of the input
}

// matchVolume looks at a convolution over volumes.
func (f *fuser) matchVolume(i int) (*volume, bool) {
	n := f.node(i)
	bias, ok := f.filters(n)
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
	v := &volume{deep: z.in, convolving: convolving{f: f, node: n, geo: geo, win: plane, src: padded{slot: x, h: plane.h, w: plane.w},
		batch: sx[0], c: sx[1], oc: sw[0], bias: bias, aff: aff, ep: ep}}
	v.nodes = append([]int{i}, aff.nodes...)
	return v, true
}

// volumeConv takes convolutions over volumes, and what follows them as lowerConv does.
func (f *fuser) volumeConv(i int) (*group, bool) {
	v, ok := f.matchVolume(i)
	if !ok {
		return nil, false
	}
	packed := v.packed("volume", func(w, bias []float32) (any, int64) {
		p := conv.Pack(v.geo, w, bias)
		return p, int64(p.Bytes())
	}).(*conv.Packed)
	ep, x := v.ep, v.src.slot
	g := &group{nodes: append(v.nodes, ep.nodes...), reads: append([]int{x}, ep.reads...), writes: []int{ep.out}}
	dst, res, fn, batch, d, h, w := ep.out, ep.residual, ep.act, v.batch, v.deep, v.src.h, v.src.w
	g.run = func(e *Env) error {
		e.conv = conv.Epilogue{Act: fn}
		if res >= 0 {
			e.conv.Residual = e.f32(res)
		}
		packed.RunVolumes(e.f32(dst), e.f32(x), batch, d, h, w, &e.conv, e.Threads)
		return nil
	}
	return g, true
}

// volume takes a convolution over volumes whose channels fill blocks.
func (b *blocking) volume(i int) *group {
	v, ok := b.f.matchVolume(i)
	if !ok || !nchwc.TakesVolumes(v.geo) || !fillsBlocks(v.c) || !fillsBlocks(v.oc) {
		return nil
	}
	packed := v.packed("blocked volume", func(w, bias []float32) (any, int64) {
		p := nchwc.Pack(v.geo, w, bias)
		return p, int64(p.Bytes())
	}).(*nchwc.Packed)
	ep, src, res := v.ep, b.of(v.src.slot), -1
	g := &group{nodes: append(v.nodes, ep.nodes...), reads: []int{src}}
	if ep.residual >= 0 {
		res = b.of(ep.residual)
		g.reads = append(g.reads, res)
	}
	dst, fn, batch, d, h, w := b.makes(ep.out), ep.act, v.batch, v.deep, v.src.h, v.src.w
	g.writes = []int{dst}
	g.run = func(e *Env) error {
		e.blocked = nchwc.Epilogue{Act: fn}
		if res >= 0 {
			e.blocked.Residual = e.f32(res)
		}
		packed.RunVolumes(e.f32(dst), e.f32(src), batch, d, h, w, &e.blocked, e.Threads)
		return nil
	}
	return g
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
