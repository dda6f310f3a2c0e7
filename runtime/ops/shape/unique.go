package shape

import (
	"fmt"
	"math"
	"sort"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func unique() []*ops.Op {
	return []*ops.Op{{Name: "Unique", Since: 11, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 4,
		Attrs: form.Int("axis", "sorted"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			for i := 1; i < len(c.Out); i++ {
				c.SetType(i, tensor.Int64)
			}
			return nil
		},
		Eval: uniqueEval}}
}

func uniqueEval(c *ops.Call) error {
	x, axis := c.T(0), 0
	if c.Node.Attrs.Has("axis") {
		var err error
		if axis, err = tensor.Axis(c.Node.Attrs.Int("axis", 0), x.Rank()); err != nil {
			return err
		}
	} else {
		x = x.Reshaped(tensor.Shape{x.Elements()})
	}
	cmp, err := comparer(x)
	if err != nil {
		return err
	}
	outer, n, inner := layout.Split3(x.Shape, axis)
	// slices compares elements i and j of the axis, in row-major order of what they hold.
	slices := func(i, j int) int {
		for o := range outer {
			for k := range inner {
				if d := cmp((o*n+i)*inner+k, (o*n+j)*inner+k); d != 0 {
					return d
				}
			}
		}
		return 0
	}
	g := group(n, slices)
	if c.Node.Attrs.Int("sorted", 1) == 0 {
		g.byFirst()
	}
	s := x.Shape.Clone()
	s[axis] = len(g.first)
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	d, src := layout.Open(y), layout.Open(x)
	for o := range outer {
		for i, k := range g.first {
			d.Copy((o*len(g.first)+i)*inner, src, (o*n+int(k))*inner, inner)
		}
	}
	d.Flush()
	for i, v := range [][]int64{g.first, g.of, g.count} {
		if c.Wanted(i + 1) {
			c.Set(i+1, tensor.FromSlice(v, len(v)))
		}
	}
	return nil
}

// groups are the distinct elements: where each occurs first, to which group every element
// belongs, and how many each group has.
type groups struct{ first, of, count []int64 }

func group(n int, cmp func(i, j int) int) groups {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return cmp(order[i], order[j]) < 0 })
	g := groups{of: make([]int64, n)}
	for i, k := range order {
		if i == 0 || cmp(order[i-1], k) != 0 {
			g.first = append(g.first, int64(k))
			g.count = append(g.count, 0)
		}
		last := len(g.first) - 1
		g.of[k] = int64(last)
		g.count[last]++
	}
	return g
}

// byFirst puts the groups in the order in which they occur.
func (g *groups) byFirst() {
	order := make([]int, len(g.first))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return g.first[order[i]] < g.first[order[j]] })
	first, count, place := make([]int64, len(order)), make([]int64, len(order)), make([]int64, len(order))
	for i, k := range order {
		first[i], count[i], place[k] = g.first[k], g.count[k], int64(i)
	}
	for i, k := range g.of {
		g.of[i] = place[k]
	}
	g.first, g.count = first, count
}

// comparer gives an order of the elements by offset; NaN equals itself and comes last.
func comparer(t *tensor.Tensor) (func(i, j int) int, error) {
	switch {
	case t.DType == tensor.String:
		v := t.Strings()
		return func(i, j int) int { return three(v[i] < v[j], v[i] > v[j]) }, nil
	case t.DType == tensor.Uint64:
		v := tensor.Data[uint64](t)
		return func(i, j int) int { return three(v[i] < v[j], v[i] > v[j]) }, nil
	case t.DType.IsFloat():
		v, err := tensor.Float64s(t)
		if err != nil {
			return nil, err
		}
		return func(i, j int) int {
			a, b := v[i], v[j]
			if math.IsNaN(a) || math.IsNaN(b) {
				return three(!math.IsNaN(a), !math.IsNaN(b) && math.IsNaN(a))
			}
			return three(a < b, a > b)
		}, nil
	}
	v, err := tensor.Int64s(t)
	if err != nil {
		return nil, fmt.Errorf("Unique of %v is not supported: %w", t, err)
	}
	return func(i, j int) int { return three(v[i] < v[j], v[i] > v[j]) }, nil
}

func three(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}
