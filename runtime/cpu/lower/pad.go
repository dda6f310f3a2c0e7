package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/resize"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

// mirrored says which element of an axis of n each element of the padded one is, for the
// modes of Pad that repeat elements; nil where they are not to be had.
func mirrored(mode string, n, before, after int) []int32 {
	if n == 0 || min(before, after) < 0 {
		return nil
	}
	index := make([]int32, 0, before+n+after)
	for i := -before; i < n+after; i++ {
		k := i
		switch mode {
		case "edge":
			k = min(max(i, 0), n-1)
		case "wrap":
			k = (i%n + n) % n
		case "reflect":
			period := max(2*(n-1), 1)
			k = (i%period + period) % period
			k = min(k, period-k)
			if n == 1 {
				k = 0
			}
		default:
			return nil
		}
		index = append(index, int32(k))
	}
	return index
}

// repeatedPad takes Pad by elements of the image itself, on up to the last three axes: one
// pass for the rows and columns, and one for what lies before.
func (f *fuser) repeatedPad(i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	before, after, ok := f.pads(n)
	if !ok || !f.f32(x) || !f.f32(out) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	s := slices.Concat(tensor.Shape{1, 1, 1}, f.shape(x))
	before, after = slices.Concat([]int{0, 0, 0}, before), slices.Concat([]int{0, 0, 0}, after)
	rank := len(s)
	var index [3][]int32
	for k := range s {
		if at := k - (rank - 3); at >= 0 {
			if index[at] = mirrored(n.Attrs.Str("mode", "constant"), s[k], before[k], after[k]); index[at] == nil {
				return nil, false
			}
		} else if before[k] != 0 || after[k] != 0 {
			return nil, false
		}
	}
	outer, d, h, w := s[:rank-3].Elements(), s[rank-3], s[rank-2], s[rank-1]
	g := &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}}
	if len(index[0]) == d {
		g.run = func(e *Env) error {
			resize.Nearest(e.f32(out), e.f32(x), outer*d, h, w, index[1], index[2], e.Threads)
			return nil
		}
		return g, true
	}
	spots := len(index[1]) * len(index[2])
	between, whole := f.scratch(tensor.Float32, outer*d*spots), []int32{0}
	g.writes = append(g.writes, between)
	g.run = func(e *Env) error {
		resize.Nearest(e.f32(between), e.f32(x), outer*d, h, w, index[1], index[2], e.Threads)
		move.Places(e.f32(out), e.f32(between), outer, d, 1, index[0], whole, spots)
		return nil
	}
	return g, true
}

// pad takes Pad of a blocked image's rows and columns by places of the image itself.
func (b *blocking) pad(i int) *group {
	f, n := b.f, b.f.node(i)
	x, out := n.In[0], n.Out[0]
	batch, _, h, w, ok := f.images(x)
	if !ok || !b.made[x] || len(f.shape(x)) > 4 || !f.f32(out) || f.shape(out).Elements() == 0 {
		return nil
	}
	before, after, ok := f.pads(n)
	rank := len(f.shape(x))
	if !ok || slices.ContainsFunc(slices.Concat(before[:2], after[:2]), func(v int) bool { return v != 0 }) {
		return nil
	}
	mode := n.Attrs.Str("mode", "constant")
	rows, cols := []int32{0}, mirrored(mode, w, before[rank-1], after[rank-1])
	if rank == 4 {
		rows = mirrored(mode, h, before[2], after[2])
	}
	if rows == nil || cols == nil {
		return nil
	}
	src, dst := b.of(x), b.makes(out)
	width := f.shape(src)[4]
	planes := batch * f.shape(src)[1]
	run := func(e *Env) error {
		move.Places(e.f32(dst), e.f32(src), planes, h, w, rows, cols, width)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{src}, writes: []int{dst}, run: run}
}

// lowerBlocks takes DepthToSpace and SpaceToDepth, as a change of the order of six axes.
func lowerBlocks(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	width, ok := f.moved(in, out)
	b := int(n.Attrs.Int("blocksize", 0))
	mode := n.Attrs.Str("mode", "DCR")
	if !ok || len(f.shape(in)) != 4 || b < 1 || mode != "DCR" && mode != "CRD" {
		return nil, false
	}
	// The six axes, in the order in which they lie in the deep image, and in the wide one:
	// deep [N, b, b, C, H, W] or [N, C, b, b, H, W], wide [N, C, H, b, W, b].
	deep, wide := f.shape(in), f.shape(out)
	if n.Op == "SpaceToDepth" {
		deep, wide = wide, deep
	}
	c, h, w := wide[1], deep[2], deep[3]
	if deep[1] != c*b*b || wide[2] != h*b || wide[3] != w*b {
		return nil, false
	}
	shape := []int{deep[0], c, h, b, w, b} // as in the wide image
	from := tensor.Shape{deep[0], b, b, c, h, w}.Strides()
	from = []int{from[0], from[3], from[4], from[1], from[5], from[2]}
	if mode == "CRD" {
		s := tensor.Shape{deep[0], c, b, b, h, w}.Strides()
		from = []int{s[0], s[1], s[4], s[2], s[5], s[3]}
	}
	to := []int(tensor.Shape(shape).Strides())
	if n.Op == "SpaceToDepth" {
		from, to = to, from
	}
	box, ok := move.NewBox(shape, to, from, 0, 0)
	if !ok {
		return nil, false
	}
	return copying([]int{i}, in, out, width, box), true
}
