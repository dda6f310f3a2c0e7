package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/pool"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// movable reports a tensor of whole bytes a element, of known shape, that a step may
// address directly, and gives the width.
func (f *fuser) movable(slot int) (width int, ok bool) {
	if slot < 0 || !f.pl.Info[slot].Known || f.pl.Place[slot].Kind == OnHeap {
		return 0, false
	}
	bits := f.pl.Info[slot].DType.Bits()
	return bits / 8, bits >= 8
}

// moved checks the input and output of a node that only rearranges.
func (f *fuser) moved(in, out int) (width int, ok bool) {
	w, ok1 := f.movable(in)
	_, ok2 := f.movable(out)
	return w, ok1 && ok2 && f.pl.Info[in].DType == f.pl.Info[out].DType && f.pl.Place[out].Kind == InArena
}

// copying is a step that fills out from a walk over in.
func copying(nodes []int, in, out, width int, b *move.Box) *group {
	run := func(e *Env) error {
		b.Run(e.bytes(out), e.bytes(in), width)
		return nil
	}
	return &group{nodes: nodes, reads: []int{in}, writes: []int{out}, run: run}
}

// part makes out a view of in, elements from at on.
func (f *fuser) part(nodes []int, in, out, at int) *group {
	info := f.pl.Info[out]
	size := info.DType.Bytes(info.Shape.Elements())
	from := info.DType.Bytes(at)
	f.pl.Place[out] = Place{Kind: Alias, Of: in}
	run := func(e *Env) error {
		e.Headers[out].View(info.DType, info.Shape, e.bytes(in)[from:from+size:from+size])
		return nil
	}
	return &group{nodes: nodes, reads: []int{in}, writes: []int{out}, run: run}
}

// perm is a Transpose's permutation.
func perm(n *Node, rank int) []int {
	p := ints(n.Attrs.Ints("perm"))
	if len(p) == rank {
		return p
	}
	p = make([]int, rank)
	for k := range p {
		p[k] = rank - 1 - k
	}
	return p
}

// lowerTranspose takes a transposition and those that alone follow it.
func lowerTranspose(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	width, ok := f.moved(in, out)
	if !ok {
		return nil, false
	}
	s := f.shape(in)
	p, nodes := perm(n, len(s)), []int{i}
	for {
		j, ok := f.onlyUser(out)
		if !ok || f.node(j).OpName() != "Transpose" || f.node(j).Out[0] < 0 || f.pl.Place[f.node(j).Out[0]].Kind != InArena {
			break
		}
		next := perm(f.node(j), len(s))
		both := make([]int, len(s))
		for k, a := range next {
			both[k] = p[a]
		}
		p, out, nodes = both, f.node(j).Out[0], append(nodes, j)
	}
	strides := s.Strides()
	from := make([]int, len(p))
	last, still := -1, true // whether the axes longer than one keep their order
	for k, a := range p {
		from[k] = strides[a]
		if s[a] != 1 {
			still = still && a > last
			last = a
		}
	}
	if still {
		return f.part(nodes, in, out, 0), true
	}
	b, ok := move.NewBox(f.shape(out), f.shape(out).Strides(), from, 0, 0)
	if !ok {
		return nil, false
	}
	return copying(nodes, in, out, width, b), true
}

// sliceOf reads the constant parameters of a Slice: for each axis the first element and
// the step.
func (f *fuser) sliceOf(n *Node) (first, step []int, ok bool) {
	var lists [4][]int64 // starts, ends, axes, steps
	if n.Opset < 10 {
		lists[0], lists[2] = n.Attrs.Ints("starts"), n.Attrs.Ints("axes")
	} else {
		for k := range lists {
			if n.input(k+1) < 0 {
				continue
			}
			if lists[k], ok = f.constInts(n.In, k+1); !ok {
				return nil, nil, false
			}
		}
	}
	return match.Slice(f.shape(n.In[0]), lists[0], lists[2], lists[3])
}

// lowerSlice takes Slice with constant parameters.
func lowerSlice(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	width, ok := f.moved(in, out)
	if !ok {
		return nil, false
	}
	first, step, ok := f.sliceOf(n)
	if !ok {
		return nil, false
	}
	from := f.shape(in).Strides()
	at := 0
	for k, n := range f.shape(out) {
		if n > 0 {
			at += first[k] * from[k]
		}
		from[k] *= step[k]
	}
	return f.boxed([]int{i}, in, out, width, from, at)
}

// boxed fills out with a box of in, or makes it a view where its elements lie together.
func (f *fuser) boxed(nodes []int, in, out, width int, from []int, at int) (*group, bool) {
	so := f.shape(out)
	if so.Elements() == 0 {
		at = 0
	}
	to := so.Strides()
	together := true
	for k, n := range so {
		together = together && (n == 1 || from[k] == to[k])
	}
	if together || so.Elements() == 0 {
		return f.part(nodes, in, out, at), true
	}
	b, ok := move.NewBox(so, to, from, 0, at)
	if !ok {
		return nil, false
	}
	return copying(nodes, in, out, width, b), true
}

// lowerSplit takes Split.
func lowerSplit(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in := n.In[0]
	s := f.shape(in)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, false
	}
	var parts []*group
	at, strides := 0, s.Strides()
	for _, out := range n.Out {
		if out < 0 {
			return nil, false
		}
		width, ok := f.moved(in, out)
		if !ok {
			return nil, false
		}
		g, ok := f.boxed([]int{i}, in, out, width, append([]int{}, strides...), at*strides[axis])
		if !ok {
			return nil, false
		}
		parts = append(parts, g)
		at += f.shape(out)[axis]
	}
	run := func(e *Env) error {
		for _, g := range parts {
			if err := g.run(e); err != nil {
				return err
			}
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: n.Out, run: run}, true
}

// joint is a Concat: where each input goes.
type joint struct {
	out, outer, whole int // bytes of one outer block of the output
	in, at, size      []int
	placed            []bool // the input was computed in place
}

// lowerConcat takes Concat.
func lowerConcat(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	j := &joint{out: n.Out[0]}
	for _, in := range n.In {
		if _, ok := f.moved(in, j.out); !ok {
			return nil, false
		}
	}
	so := f.shape(j.out)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 1), len(so))
	if err != nil {
		return nil, false
	}
	inner := so[axis+1:].Elements() * f.pl.Info[j.out].DType.Bits() / 8
	j.outer, j.whole = so[:axis].Elements(), so[axis]*inner
	at := 0
	for _, in := range n.In {
		size := f.shape(in)[axis] * inner
		j.in, j.at, j.size = append(j.in, in), append(j.at, at), append(j.size, size)
		at += size
	}
	return f.join(i, j), true
}

// join is the step of node i that copies what is not placed.
func (f *fuser) join(i int, j *joint) *group {
	j.placed = make([]bool, len(j.in))
	f.joints = append(f.joints, j)
	run := func(e *Env) error {
		dst := e.bytes(j.out)
		for k, in := range j.in {
			if j.placed[k] {
				continue
			}
			pool.CopyRows(dst[min(j.at[k], len(dst)):], j.whole, e.bytes(in), j.size[k], j.size[k], j.outer, e.Threads)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: j.in, writes: []int{j.out}, run: run}
}

// settle lets what a Concat joins be computed in its place in the result, where the
// result is one outer block and the value has no other place yet.
func (f *fuser) settle() {
	for _, j := range f.joints {
		if j.outer != 1 || f.pl.Place[j.out].Kind != InArena && f.pl.Place[j.out].Kind != Within {
			continue
		}
		for k, in := range j.in {
			if f.pl.Place[in].Kind != InArena || j.size[k] == 0 || f.root(j.out) == in {
				continue
			}
			f.pl.Place[in] = Place{Kind: Within, Of: j.out, Offset: j.at[k]}
			j.placed[k] = true
		}
	}
}

// root is the slot whose block a slot lies within.
func (f *fuser) root(slot int) int {
	for f.pl.Place[slot].Kind == Within {
		slot = f.pl.Place[slot].Of
	}
	return slot
}

// lowerExpand takes Expand and Tile.
func lowerExpand(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	width, ok := f.moved(in, out)
	if !ok {
		return nil, false
	}
	si, so := f.shape(in), f.shape(out)
	st := si.Strides()
	if len(si) > len(so) {
		return nil, false
	}
	var shape, to, from []int
	size := so.Strides()
	for k, n := range so {
		j := k - (len(so) - len(si))
		switch {
		case j < 0:
			shape, to, from = append(shape, n), append(to, size[k]), append(from, 0)
		case si[j] == 0:
			return nil, false
		default:
			shape = append(shape, n/si[j], si[j])
			to = append(to, si[j]*size[k], size[k])
			from = append(from, 0, st[j])
		}
	}
	if si.Elements() == so.Elements() {
		return f.part([]int{i}, in, out, 0), true
	}
	b, ok := move.NewBox(shape, to, from, 0, 0)
	if !ok {
		return nil, false
	}
	return copying([]int{i}, in, out, width, b), true
}

// lowerPad takes Pad with constant margins, and a constant filling or elements of the image.
func lowerPad(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	width, ok := f.moved(in, out)
	if !ok {
		return nil, false
	}
	if n.Attrs.Str("mode", "constant") != "constant" {
		return f.repeatedPad(i)
	}
	before, after, ok := f.pads(n)
	if !ok {
		return nil, false
	}
	value := make([]byte, width)
	switch {
	case n.Opset < 11 && n.Attrs.Float("value", 0) != 0:
		return nil, false
	case n.Opset >= 11 && n.input(2) >= 0:
		v := f.constant(n.In[2])
		if v == nil || v.DType != f.pl.Info[in].DType || v.Elements() > 1 {
			return nil, false
		}
		copy(value, v.Bytes())
	}
	si, so := f.shape(in), f.shape(out)
	st, to := si.Strides(), so.Strides()
	shape, at, of := make([]int, len(si)), 0, 0
	for k, n := range si {
		shape[k] = n + min(before[k], 0) + min(after[k], 0)
		if shape[k] < 0 || shape[k]+max(before[k], 0)+max(after[k], 0) != so[k] {
			return nil, false
		}
		at += max(before[k], 0) * to[k]
		of += max(-before[k], 0) * st[k]
	}
	b, ok := move.NewBox(shape, to, st, at, of)
	if !ok {
		return nil, false
	}
	run := func(e *Env) error {
		move.Fill(e.bytes(out), value)
		b.Run(e.bytes(out), e.bytes(in), width)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out}, run: run}, true
}

// lowerGather takes Gather.
func lowerGather(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	s := f.shape(n.In[0])
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, false
	}
	return f.gather(i, axis, func([]int64) error { return nil })
}

// lowerExtract takes ArrayFeatureExtractor, a Gather along the last axis of which no index counts from the end.
func lowerExtract(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	s := f.shape(n.In[0])
	if len(s) == 0 || !f.known(n.In[1], tensor.Int64) {
		return nil, false
	}
	return f.gather(i, len(s)-1, func(index []int64) error {
		for _, k := range index {
			if k < 0 {
				return fmt.Errorf("input 1 asks for feature %d of %d", k, s[len(s)-1])
			}
		}
		return nil
	})
}

// gather takes node i, which picks along an axis of its input 0 by its input 1, in int64 if check is to see it.
func (f *fuser) gather(i, axis int, check func(index []int64) error) (*group, bool) {
	n := f.node(i)
	in, idx, out := n.In[0], n.In[1], n.Out[0]
	width, ok := f.moved(in, out)
	if !ok || !f.known(idx, tensor.Int32, tensor.Int64) {
		return nil, false
	}
	s := f.shape(in)
	outer, count, size := s[:axis].Elements(), s[axis], s[axis+1:].Elements()*width
	run := func(e *Env) error {
		t, from := e.Tensor(idx), e.Tensor(in).Origin() // copied by Go: a table needs no aligned copy of itself
		if t.DType == tensor.Int32 {
			return move.Gather(e.bytes(out), from, tensor.Data[int32](t), outer, count, size)
		}
		index := tensor.Data[int64](t)
		if err := check(index); err != nil {
			return err
		}
		return move.Gather(e.bytes(out), from, index, outer, count, size)
	}
	return &group{nodes: []int{i}, reads: []int{in, idx}, writes: []int{out}, run: run}, true
}
