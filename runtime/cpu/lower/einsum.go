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
	c, ok := newContraction(eq, shapes)
	if !ok {
		return nil, false
	}
	p, order := c.product(eq)
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
		if boxes[o], ok = reordered(from, to, c.size); !ok {
			return nil, false
		}
		slots[o] = f.scratch(tensor.Float32, c.extent(labels))
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

// contraction sorts the labels of an equation of two operands by what they are in a batched product.
type contraction struct {
	size                     map[rune]int
	batch, rows, inner, cols []rune // in both and the result; in the first and the result; in both alone; in the second and the result
}

// newContraction refuses what is no product: diagonals, extents of 1 that are repeated, and sums of one operand alone.
func newContraction(eq math.Equation, shapes []tensor.Shape) (*contraction, bool) {
	c := &contraction{size: map[rune]int{}}
	for k, t := range eq.Terms {
		for a, l := range t {
			if s, known := c.size[l]; slices.Contains(t[:a], l) || known && s != shapes[k][a] {
				return nil, false
			}
			c.size[l] = shapes[k][a]
		}
	}
	for k, t := range eq.Terms {
		for _, l := range t {
			shared, wanted := slices.Contains(eq.Terms[1-k], l), slices.Contains(eq.Out, l)
			switch {
			case !shared && !wanted:
				return nil, false
			case k == 1 && !shared:
				c.cols = append(c.cols, l)
			case k == 0 && !shared:
				c.rows = append(c.rows, l)
			case k == 0 && wanted:
				c.batch = append(c.batch, l)
			case k == 0:
				c.inner = append(c.inner, l)
			}
		}
	}
	return c, c.extent(c.inner) > 0
}

// extent is the number of elements of a tensor with these axes.
func (c *contraction) extent(labels []rune) int {
	n := 1
	for _, l := range labels {
		n *= c.size[l]
	}
	return n
}

// product is the batched product, and the order in which it wants the axes of its operands and result. The second
// operand may lie transposed as it is.
func (c *contraction) product(eq math.Equation) (p gemm.Product, order [3][]rune) {
	m, n, k := c.extent(c.rows), c.extent(c.cols), c.extent(c.inner)
	p = gemm.Product{M: m, N: n, K: k, LDA: k, LDB: n, LDC: n}
	last := len(p.Batch) - 1
	p.Batch[last], p.StrideA[last], p.StrideB[last], p.StrideC[last] = c.extent(c.batch), m*k, k*n, m*n
	order = [3][]rune{slices.Concat(c.batch, c.rows, c.inner), slices.Concat(c.batch, c.inner, c.cols), slices.Concat(c.batch, c.rows, c.cols)}
	if turned := slices.Concat(c.batch, c.cols, c.inner); slices.Equal(eq.Terms[1], turned) {
		order[1], p.TransB, p.LDB = turned, true, k
	}
	return p, order
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
