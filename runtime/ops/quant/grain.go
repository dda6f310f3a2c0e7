package quant

import (
	"fmt"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// grain says which element of the scale (and of the zero point) is for which element of
// the tensor.
type grain struct {
	outer, n, inner int // the tensor around the axis
	// scales is the scale's extent along the axis; step and spread are how its index
	// moves with the axis, divided by block, and with the inner index.
	scales, block, spread int
}

// grainOf finds the granularity of a scale for a tensor of shape s.
func grainOf(n *graph.Node, s, scale tensor.Shape) (grain, error) {
	total := s.Elements()
	if scale.Elements() == 1 {
		return grain{outer: 1, n: 1, inner: total, scales: 1, block: 1}, nil
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", 1), len(s))
	if err != nil {
		return grain{}, err
	}
	g := grain{outer: s[:axis].Elements(), n: s[axis], inner: s[axis+1:].Elements(), block: 1}
	size := n.Attrs.Int("block_size", 0)
	if size < 0 {
		return grain{}, fmt.Errorf("block_size is %d", size)
	}
	if size == 0 {
		if len(scale) != 1 || scale[0] != s[axis] {
			return grain{}, fmt.Errorf("the scale has shape %v, expected [%d] for axis %d of %v", scale, s[axis], axis, s)
		}
		g.scales = scale[0]
		return g, nil
	}
	want := s.Clone()
	want[axis] = int((int64(s[axis]) + size - 1) / size)
	if size > tensor.MaxElements || !scale.Equal(want) {
		return grain{}, fmt.Errorf("the scale has shape %v, expected %v for blocks of %d along axis %d of %v", scale, want, size, axis, s)
	}
	g.scales, g.block, g.spread = want[axis], int(size), 1
	return g, nil
}

// each calls f for runs of n elements from at on that share an index of the axis; their
// scales begin at index k and move by spread.
func (g grain) each(f func(at, n, k, spread int)) {
	for o := range g.outer {
		for a := range g.n {
			k := a / g.block
			if g.spread != 0 {
				k = (o*g.scales + k) * g.inner
			}
			f((o*g.n+a)*g.inner, g.inner, k, g.spread)
		}
	}
}

// zeroPoint reads a zero point that must have as many elements as the scale; nil gives
// nil.
func zeroPoint(z, scale *tensor.Tensor) ([]float32, error) {
	if z == nil {
		return nil, nil
	}
	if z.Elements() != scale.Elements() {
		return nil, fmt.Errorf("the zero point is %v, expected the shape of the scale %v", z, scale)
	}
	return tensor.Float32s(z)
}

// bounds are the least and the greatest integer of a quantised type; ok is false for
// types that are no integers of at most 16 bits.
func bounds(d tensor.DType) (lo, hi float64, ok bool) {
	bits := d.Bits()
	if bits == 0 || bits > 16 || !d.IsInt() {
		return 0, 0, false
	}
	if d.IsSigned() {
		return -float64(int(1) << (bits - 1)), float64(int(1)<<(bits-1) - 1), true
	}
	return 0, float64(int(1)<<bits - 1), true
}

// clip rounds to the nearest integer, ties to even, adds the zero point and saturates. NaN
// gives the least value.
func clip(v, zero, lo, hi float64) int64 {
	v += zero
	if !(v > lo) {
		return int64(lo)
	}
	return int64(min(v, hi))
}

// rounder rounds a result to what arithmetic in a type would give.
func rounder(d tensor.DType) func(float32) float32 {
	switch d {
	case tensor.Float16:
		return func(v float32) float32 { return half.ToFloat32(half.FromFloat32(v)) }
	case tensor.BFloat16:
		return func(v float32) float32 { return half.BrainToFloat32(half.BrainFromFloat32(v)) }
	}
	return func(v float32) float32 { return v }
}
