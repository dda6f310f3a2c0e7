package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/math"
	"github.com/aimass/aimass/runtime/tensor"
)

// labelled is a value of which each axis has a label of the equation.
type labelled struct {
	v      *graph.Value
	labels []rune
}

// einsum is products of two operands at a time, each a MatMul between transpositions.
func einsum(x *expansion) {
	ranks := make([]tensor.Shape, len(x.n.In))
	for i, v := range x.n.In {
		f := x.e.of(v)
		x.need(f.ranked)
		ranks[i] = f.seen[0]
	}
	if x.failed {
		return
	}
	eq, err := math.ParseEinsum(x.n.Attrs.Str("equation", ""), ranks)
	if x.need(err == nil); err != nil {
		return
	}
	size := map[rune]int{}
	for i, t := range eq.Terms {
		for k, l := range t {
			// A label twice is a diagonal; one that is 1 here and n there is repeated.
			n, known := size[l]
			x.need(!slices.Contains(t[:k], l) && (!known || n == ranks[i][k]))
			size[l] = ranks[i][k]
		}
	}
	left := labelled{x.wide(0), eq.Terms[0]}
	for i := 1; i < len(eq.Terms) && !x.failed; i++ {
		wanted := slices.Clone(eq.Out)
		for _, t := range eq.Terms[i+1:] {
			wanted = append(wanted, t...)
		}
		left = x.contract(left, labelled{x.wide(i), eq.Terms[i]}, wanted)
	}
	left = x.summed(left, func(l rune) bool { return slices.Contains(eq.Out, l) })
	if d := x.e.of(x.in(0)).dtype; d != tensor.Float64 {
		x.give(0, x.ordered(left, eq.Out), d)
	} else {
		x.hand(0, x.ordered(left, eq.Out))
	}
}

// wide is input i in float64 if it is that, else in float32.
func (x *expansion) wide(i int) *graph.Value {
	if v := x.in(i); x.e.of(v).dtype == tensor.Float64 {
		return v
	}
	return x.real(i)
}

// contract multiplies two operands and sums over the labels of both that nobody wants any more.
func (x *expansion) contract(a, b labelled, wanted []rune) labelled {
	a = x.summed(a, func(l rune) bool { return slices.Contains(wanted, l) || slices.Contains(b.labels, l) })
	b = x.summed(b, func(l rune) bool { return slices.Contains(wanted, l) || slices.Contains(a.labels, l) })
	if a.v.Const != nil && b.v.Const == nil {
		a, b = b, a // constants are packed as right operands
	}
	var batch, rows, inner, cols []rune
	for _, l := range a.labels {
		switch shared := slices.Contains(b.labels, l); {
		case shared && slices.Contains(wanted, l):
			batch = append(batch, l)
		case shared:
			inner = append(inner, l)
		default:
			rows = append(rows, l)
		}
	}
	for _, l := range b.labels {
		if !slices.Contains(a.labels, l) {
			cols = append(cols, l)
		}
	}
	length := func(labels []rune) *graph.Value { return x.lengthOf(labels, a, b) }
	matrix := func(v labelled, m, n []rune) *graph.Value {
		y := x.ordered(v, slices.Concat(batch, m, n))
		if len(m) == 1 && len(n) == 1 {
			return y
		}
		shape := []*graph.Value{length(m), length(n)}
		for k := len(batch) - 1; k >= 0; k-- {
			shape = append([]*graph.Value{length(batch[k : k+1])}, shape...)
		}
		return x.op("Reshape", 13, nil, y, x.concat(0, shape...))
	}
	y := x.op("MatMul", 13, nil, matrix(a, rows, inner), matrix(b, inner, cols))
	out := slices.Concat(batch, rows, cols)
	if len(rows) != 1 || len(cols) != 1 {
		shape := []*graph.Value{x.ints()}
		for k := range out {
			shape = append(shape, length(out[k:k+1]))
		}
		y = x.op("Reshape", 13, nil, y, x.concat(0, shape...))
	}
	return labelled{y, out}
}

// lengthOf is the product of the extents of labels, of shape [1].
func (x *expansion) lengthOf(labels []rune, from ...labelled) *graph.Value {
	n := x.ints(1)
	for k, l := range labels {
		for _, f := range from {
			axis := slices.Index(f.labels, l)
			if axis < 0 {
				continue
			}
			if e := x.length(f.v, int64(axis)); k == 0 {
				n = e
			} else {
				n = x.mul(n, e)
			}
			break
		}
	}
	return n
}

// summed is without the labels that are not kept.
func (x *expansion) summed(v labelled, keep func(l rune) bool) labelled {
	var axes []int64
	var left []rune
	for k, l := range v.labels {
		if keep(l) {
			left = append(left, l)
		} else {
			axes = append(axes, int64(k))
		}
	}
	if len(axes) == 0 {
		return v
	}
	return labelled{x.op("ReduceSum", 13, graph.Attrs{"keepdims": graph.IntAttr(0)}, v.v, x.ints(axes...)), left}
}

// ordered has its axes in the order of the labels.
func (x *expansion) ordered(v labelled, labels []rune) *graph.Value {
	if slices.Equal(v.labels, labels) {
		return v.v
	}
	var perm []int64
	for _, l := range labels {
		perm = append(perm, int64(slices.Index(v.labels, l)))
	}
	return x.transpose(v.v, perm...)
}
