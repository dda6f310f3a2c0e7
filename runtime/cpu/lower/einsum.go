package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/ops/math"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerEinsum takes products of two operands whose labels could not be told before shapes were known, so that no
// pass made a MatMul of them: operands and result are brought into order around a batched product.
func lowerEinsum(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	if len(n.In) != 2 || !f.f32(n.In[0]) || !f.f32(n.In[1]) || !f.f32(n.Out[0]) || f.shape(n.Out[0]).Elements() == 0 {
		return nil, false
	}
	shapes := []tensor.Shape{f.shape(n.In[0]), f.shape(n.In[1])}
	eq, err := math.ParseEinsum(n.Attrs.Str("equation", ""), shapes)
	if err != nil {
		return nil, false // Eval says what is wrong
	}
	size := map[rune]int{}
	for k, t := range eq.Terms {
		for a, l := range t {
			if s, known := size[l]; slices.Contains(t[:a], l) || known && s != shapes[k][a] {
				return nil, false // a diagonal, or an extent of 1 that is repeated
			}
			size[l] = shapes[k][a]
		}
	}
	var batch, rows, inner, cols []rune
	for k, t := range eq.Terms {
		for _, l := range t {
			shared, wanted := slices.Contains(eq.Terms[1-k], l), slices.Contains(eq.Out, l)
			switch {
			case !shared && !wanted:
				return nil, false // a sum of one operand alone
			case k == 1 && !shared:
				cols = append(cols, l)
			case k == 0 && !shared:
				rows = append(rows, l)
			case k == 0 && wanted:
				batch = append(batch, l)
			case k == 0:
				inner = append(inner, l)
			}
		}
	}
	extent := func(labels []rune) int {
		n := 1
		for _, l := range labels {
			n *= size[l]
		}
		return n
	}
	m, k, c := extent(rows), extent(inner), extent(cols)
	if k == 0 {
		return nil, false
	}
	p := gemm.Product{M: m, N: c, K: k, LDA: k, LDB: c, LDC: c}
	last := len(p.Batch) - 1
	p.Batch[last], p.StrideA[last], p.StrideB[last], p.StrideC[last] = extent(batch), m*k, k*c, m*c
	order := [3][]rune{slices.Concat(batch, rows, inner), slices.Concat(batch, inner, cols), slices.Concat(batch, rows, cols)}
	if turned := slices.Concat(batch, cols, inner); slices.Equal(eq.Terms[1], turned) {
		order[1], p.TransB, p.LDB = turned, true, k
	}
	slots := [3]int{n.In[0], n.In[1], n.Out[0]}
	g := &group{nodes: []int{i}, reads: slices.Clone(n.In), writes: []int{n.Out[0]}}
	var boxes [3]*move.Box
	for o, labels := range [3][]rune{eq.Terms[0], eq.Terms[1], eq.Out} {
		if slices.Equal(labels, order[o]) {
			continue
		}
		from, to := labels, order[o]
		if o == 2 {
			from, to = to, from
		}
		var ok bool
		if boxes[o], ok = reordered(from, to, size); !ok {
			return nil, false
		}
		slots[o] = f.scratch(tensor.Float32, extent(labels))
		g.writes = append(g.writes, slots[o])
	}
	in := slices.Clone(n.In)
	out, tail := n.Out[0], &gemm.Epilogue{}
	g.run = func(e *Env) error {
		for o, x := range in {
			if boxes[o] != nil {
				boxes[o].Run(e.bytes(slots[o]), e.bytes(x), 4)
			}
		}
		gemm.MatMul(&p, e.f32(slots[0]), e.f32(slots[1]), e.f32(slots[2]), tail, e.Threads)
		if boxes[2] != nil {
			boxes[2].Run(e.bytes(out), e.bytes(slots[2]), 4)
		}
		return nil
	}
	return g, true
}

// reordered copies a dense tensor with axes labelled from to one labelled to.
func reordered(from, to []rune, size map[rune]int) (*move.Box, bool) {
	shape, stride := make(tensor.Shape, len(to)), map[rune]int{}
	n := 1
	for _, l := range slices.Backward(from) {
		stride[l] = n
		n *= size[l]
	}
	source := make([]int, len(to))
	for k, l := range to {
		shape[k], source[k] = size[l], stride[l]
	}
	return move.NewBox(shape, shape.Strides(), source, 0, 0)
}
