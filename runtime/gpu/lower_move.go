package gpu

import (
	"slices"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// same checks the input and output of a node that only rearranges.
func (l *lowering) same(in, out int) (size int, ok bool) {
	if !l.addressable(in) || !l.addressable(out) || l.info[in].DType != l.info[out].DType {
		return 0, false
	}
	return l.info[in].DType.Bits() / 8, true
}

// viewOf makes out the memory of in from byte at on.
func (l *lowering) viewOf(nodes []*node, in, out, at int) []*operation {
	return []*operation{{kind: "view", nodes: nodes, in: []int{in}, out: []int{out}, viewAt: at}}
}

// reshaped is the form of a view that only changes the shape.
type reshaped struct{ from, to tensor.Shape }

// lowerView takes nodes that only change the shape.
func lowerView(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if _, ok := l.same(in, out); !ok || match.Wanted(n.out[1:]) || n.Op == "Dropout" && n.input(2) >= 0 || l.shape(in).Elements() != l.shape(out).Elements() {
		return nil, false
	}
	list := l.viewOf(l.pick(i), in, out, 0)
	list[0].form = &reshaped{l.shape(in), l.shape(out)}
	return list, true
}

// moving copies a box of in to all or a part of out; the offsets count elements.
func moving(kind string, nodes []*node, in, out int, m kernel.Move, from, to int) *operation {
	return &operation{kind: kind, nodes: nodes, in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch,
		error) {
		m := m
		m.X, m.Y = in[0]+cuda.Ptr(from*m.Size), out[0]+cuda.Ptr(to*m.Size)
		return kernel.AppendMove(dst, m)
	}}
}

func wide(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// lowerTranspose takes any permutation; one that moves only extents of one is a view.
func lowerTranspose(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	size, ok := l.same(in, out)
	if !ok {
		return nil, false
	}
	s := l.shape(in)
	axes := permutation(n, len(s))
	at, still := -1, true
	for _, a := range axes {
		if s[a] != 1 {
			still = still && a > at
			at = a
		}
	}
	if still {
		return l.viewOf(l.pick(i), in, out, 0), true
	}
	return []*operation{moving("transpose", l.pick(i), in, out, kernel.Permute(size, 0, 0, s, axes), 0, 0)}, true
}

func permutation(n *node, rank int) []int {
	p := ints(n.Attrs.Ints("perm"))
	if len(p) != rank {
		p = make([]int, rank)
		for k := range p {
			p[k] = rank - 1 - k
		}
	}
	return p
}

// lowerSlice takes Slice with constant parameters.
func lowerSlice(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	size, ok := l.same(in, out)
	if !ok {
		return nil, false
	}
	first, step, ok := l.sliceOf(n)
	if !ok {
		return nil, false
	}
	from, at := l.shape(in).Strides(), 0
	for k, e := range l.shape(out) {
		if e > 0 {
			at += first[k] * from[k]
		}
		from[k] *= step[k]
	}
	return l.boxed("slice", i, in, out, size, from, at), true
}

// boxed fills out with a box of in, or makes it a view where its elements lie together.
func (l *lowering) boxed(kind string, i, in, out, size int, from []int, at int) []*operation {
	so := l.shape(out)
	to, together := so.Strides(), true
	for k, e := range so {
		together = together && (e == 1 || from[k] == to[k])
	}
	if so.Elements() == 0 {
		return l.viewOf(l.pick(i), in, out, 0)
	}
	if together && at*size%16 == 0 {
		return l.viewOf(l.pick(i), in, out, at*size)
	}
	return []*operation{moving(kind, l.pick(i), in, out, kernel.Move{Size: size, Dims: so, StridesX: wide(from), StridesY: wide(to)}, at, 0)}
}

// sliceOf reads the constant parameters of a Slice: for each axis the first element and
// the step.
func (l *lowering) sliceOf(n *node) (first, step []int, ok bool) {
	var lists [4][]int64 // starts, ends, axes, steps
	if n.Opset < 10 {
		lists[0], lists[2] = n.Attrs.Ints("starts"), n.Attrs.Ints("axes")
	} else {
		for k := range lists {
			if n.input(k+1) < 0 {
				continue
			}
			if lists[k], ok = l.constInts(n, k+1); !ok {
				return nil, nil, false
			}
		}
	}
	return match.Slice(l.shape(n.in[0]), lists[0], lists[2], lists[3])
}

// lowerSplit takes Split.
func lowerSplit(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in := n.in[0]
	if !l.addressable(in) {
		return nil, false
	}
	s := l.shape(in)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, false
	}
	var list []*operation
	at, strides := 0, s.Strides()
	for _, out := range n.out {
		if out < 0 {
			return nil, false
		}
		size, ok := l.same(in, out)
		if !ok {
			return nil, false
		}
		list = append(list, l.boxed("split", i, in, out, size, slices.Clone(strides), at*strides[axis])...)
		at += l.shape(out)[axis]
	}
	return list, true
}

// lowerConcat takes Concat: a move an input.
func lowerConcat(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	out := n.out[0]
	if !l.addressable(out) {
		return nil, false
	}
	so := l.shape(out)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 1), len(so))
	if err != nil {
		return nil, false
	}
	var list []*operation
	at, to := 0, so.Strides()
	for _, in := range n.in {
		size, ok := l.same(in, out)
		if !ok {
			return nil, false
		}
		s := l.shape(in)
		if s.Elements() > 0 {
			list = append(list, moving("concat", l.pick(i), in, out, kernel.Move{Size: size, Dims: s, StridesX: wide(s.Strides()), StridesY: wide(to)}, 0, at*to[axis]))
		}
		at += s[axis]
	}
	return list, len(list) > 0
}

// lowerExpand takes Expand and Tile.
func lowerExpand(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	size, ok := l.same(in, out)
	if !ok {
		return nil, false
	}
	si, so := l.shape(in), l.shape(out)
	if len(si) > len(so) {
		return nil, false
	}
	if si.Elements() == so.Elements() {
		return l.viewOf(l.pick(i), in, out, 0), true
	}
	m := kernel.Move{Size: size}
	st, to := si.Strides(), so.Strides()
	for k, e := range so {
		j := k - (len(so) - len(si))
		switch {
		case j < 0:
			m.Dims, m.StridesX, m.StridesY = append(m.Dims, e), append(m.StridesX, 0), append(m.StridesY, int64(to[k]))
		case si[j] == 0:
			return nil, false
		default:
			m.Dims = append(m.Dims, e/si[j], si[j])
			m.StridesX = append(m.StridesX, 0, int64(st[j]))
			m.StridesY = append(m.StridesY, int64(si[j]*to[k]), int64(to[k]))
		}
	}
	return []*operation{moving("expand", l.pick(i), in, out, m, 0, 0)}, true
}

// lowerPad takes Pad with constant margins.
func lowerPad(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	size, ok := l.same(in, out)
	if !ok || n.Opset < 11 {
		return nil, false
	}
	p := kernel.Pad{Size: size, From: l.shape(in)}
	p.Mode, ok = map[string]kernel.PadMode{"constant": kernel.PadConstant, "edge": kernel.PadEdge, "reflect": kernel.PadReflect,
		"wrap": kernel.PadWrap}[n.Attrs.Str("mode", "constant")]
	list, constant := l.constInts(n, 1)
	if !ok || !constant {
		return nil, false
	}
	axes := make([]int64, len(p.From))
	for k := range axes {
		axes[k] = int64(k)
	}
	if n.input(3) >= 0 {
		if axes, ok = l.constInts(n, 3); !ok {
			return nil, false
		}
	}
	if len(list) != 2*len(axes) {
		return nil, false
	}
	p.Before, p.After = make([]int, len(p.From)), make([]int, len(p.From))
	for j, a := range axes {
		k, err := tensor.Axis(a, len(p.From))
		if err != nil {
			return nil, false
		}
		p.Before[k], p.After[k] = int(list[j]), int(list[len(axes)+j])
	}
	if n.input(2) >= 0 {
		v := l.tensor(n.in[2])
		if v == nil || v.DType != l.info[in].DType || v.Elements() != 1 {
			return nil, false
		}
		for k, b := range v.Bytes() {
			p.Value |= uint64(b) << (8 * k)
		}
	}
	return []*operation{{kind: "pad", nodes: l.pick(i), in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		p := p
		p.X, p.Y = in[0], out[0]
		return kernel.AppendPad(dst, p)
	}}}, true
}

// lowerGather takes Gather.
func lowerGather(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, index, out := n.in[0], n.in[1], n.out[0]
	size, ok := l.same(in, out)
	if !ok || !l.of(index, tensor.Int32, tensor.Int64) {
		return nil, false
	}
	s := l.shape(in)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, false
	}
	g := kernel.Gather{Size: size, Outer: s[:axis].Elements(), Rows: s[axis], Count: l.shape(index).Elements(), Width: s[axis+1:].Elements(),
		Narrow: l.info[index].DType == tensor.Int32}
	return []*operation{{kind: "gather", nodes: l.pick(i), in: []int{in, index}, out: []int{out}, index: &bound{index, g.Rows}, launch: func(dst []cuda.Launch, in,
		out []cuda.Ptr, fault cuda.Ptr) ([]cuda.Launch, error) {
		g := g
		g.X, g.Index, g.Y, g.Fault = in[0], in[1], out[0], fault
		return kernel.AppendGather(dst, g)
	}}}, true
}

// lowerGatherElements takes GatherElements along an axis on which all other extents of
// index and data agree.
func lowerGatherElements(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, index, out := n.in[0], n.in[1], n.out[0]
	size, ok := l.same(in, out)
	if !ok || !l.of(index, tensor.Int32, tensor.Int64) {
		return nil, false
	}
	s, si := l.shape(in), l.shape(index)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil || len(s) != len(si) {
		return nil, false
	}
	for k := range s {
		if k != axis && s[k] != si[k] {
			return nil, false
		}
	}
	g := kernel.GatherElements{Size: size, Outer: s[:axis].Elements(), Rows: s[axis], Count: si[axis], Inner: s[axis+1:].Elements(),
		Narrow: l.info[index].DType == tensor.Int32}
	return []*operation{{kind: "gather elements", nodes: l.pick(i), in: []int{in, index}, out: []int{out}, index: &bound{index, g.Rows},
		launch: func(dst []cuda.Launch, in, out []cuda.Ptr, fault cuda.Ptr) ([]cuda.Launch, error) {
			g := g
			g.X, g.Index, g.Y, g.Fault = in[0], in[1], out[0], fault
			return kernel.AppendGatherElements(dst, g)
		}}}, true
}
