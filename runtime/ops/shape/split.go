package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func split() []*ops.Op {
	variant := func(since, maxIn int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "Split", Since: since, MinIn: 1, MaxIn: maxIn, MinOut: 1, MaxOut: -1,
			Attrs: attrs, Shape: splitShape, Eval: splitEval}
	}
	axis, lengths := form.Int("axis"), form.Ints("split")
	return []*ops.Op{
		variant(1, 2, form.Join(axis, lengths)),
		variant(2, 1, form.Join(axis, lengths)),
		variant(13, 2, axis),
		variant(18, 2, form.Int("axis", "num_outputs")),
	}
}

// splitAlong gives the axis and the length of each output. lengths is nil if the node
// does not state them.
func splitAlong(n *graph.Node, s tensor.Shape, lengths []int64) (int, []int, error) {
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return 0, nil, err
	}
	total, outs := s[axis], len(n.Out)
	if lengths != nil {
		if len(lengths) != outs {
			return 0, nil, fmt.Errorf("%d lengths for %d outputs", len(lengths), outs)
		}
		parts, sum := make([]int, outs), int64(0)
		for i, l := range lengths {
			if l < 0 || l > int64(total) {
				return 0, nil, fmt.Errorf("lengths %v for an axis of %d", lengths, total)
			}
			sum += l
			parts[i] = int(l)
		}
		if sum != int64(total) {
			return 0, nil, fmt.Errorf("lengths %v for an axis of %d", lengths, total)
		}
		return axis, parts, nil
	}
	uneven := n.Attrs.Has("num_outputs")
	if k := n.Attrs.Int("num_outputs", int64(outs)); k != int64(outs) {
		return 0, nil, fmt.Errorf("num_outputs is %d, the node has %d outputs", k, outs)
	}
	if total%outs != 0 && !uneven {
		return 0, nil, fmt.Errorf("an axis of %d does not split into %d equal parts", total, outs)
	}
	each := (total + outs - 1) / outs
	parts := make([]int, outs)
	for i := range parts {
		parts[i] = each
	}
	if parts[outs-1] = total - each*(outs-1); parts[outs-1] < 0 {
		return 0, nil, fmt.Errorf("an axis of %d does not split into %d parts of %d", total, outs, each)
	}
	return axis, parts, nil
}

func splitShape(c *ops.ShapeCall) error {
	for i := range c.Out {
		c.SetType(i, c.In[0].DType)
	}
	lengths, ok, err := form.ConstIntsOf(c, 1)
	if err != nil {
		return err
	}
	if !ok || !c.In[0].Known {
		return nil
	}
	if !c.Has(1) {
		lengths = c.Node.Attrs.Ints("split")
	}
	axis, parts, err := splitAlong(c.Node, c.In[0].Shape, lengths)
	if err != nil {
		return err
	}
	for i, p := range parts {
		s := c.In[0].Shape.Clone()
		s[axis] = p
		c.Set(i, c.In[0].DType, s)
	}
	return nil
}

func splitEval(c *ops.Call) error {
	x := c.T(0)
	lengths, err := form.IntsOf(c, 1)
	if err != nil {
		return err
	}
	if !c.Has(1) {
		lengths = c.Node.Attrs.Ints("split")
	}
	axis, parts, err := splitAlong(c.Node, x.Shape, lengths)
	if err != nil {
		return err
	}
	at := 0
	for i, p := range parts {
		if c.Wanted(i) {
			s := x.Shape.Clone()
			s[axis] = p
			y, err := c.Output(i, x.DType, s)
			if err != nil {
				return err
			}
			layout.Part(y, x, axis, at, at+p)
		}
		at += p
	}
	return nil
}
