package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func compress() []*ops.Op {
	return []*ops.Op{{Name: "Compress", Since: 9, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			if !c.In[0].Known || c.In[1].Tensor() == nil {
				return nil
			}
			pick, s, axis, err := compressed(c.Node, c.In[0].Shape, c.In[1].Tensor())
			if err != nil {
				return err
			}
			s[axis] = len(pick)
			c.Set(0, c.In[0].DType, s)
			return nil
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			pick, s, axis, err := compressed(c.Node, x.Shape, c.T(1))
			if err != nil {
				return err
			}
			outer, n, inner := layout.Split3(s, axis)
			s[axis] = len(pick)
			y, err := c.Output(0, x.DType, s)
			if err != nil {
				return err
			}
			d, src := layout.Open(y), layout.Open(x)
			for o := range outer {
				for i, k := range pick {
					d.Copy((o*len(pick)+i)*inner, src, (o*n+k)*inner, inner)
				}
			}
			d.Flush()
			return nil
		}}}
}

// compressed gives the indices that the condition picks, and the shape and axis of the
// input that they are for: a flat view where there is no axis.
func compressed(n *graph.Node, s tensor.Shape, cond *tensor.Tensor) ([]int, tensor.Shape, int, error) {
	axis := 0
	if n.Attrs.Has("axis") {
		var err error
		if axis, err = tensor.Axis(n.Attrs.Int("axis", 0), len(s)); err != nil {
			return nil, nil, 0, err
		}
		s = s.Clone()
	} else {
		s = tensor.Shape{s.Elements()}
	}
	if cond.DType != tensor.Bool || cond.Rank() != 1 {
		return nil, nil, 0, fmt.Errorf("condition is %v, expected bool of rank 1", cond)
	}
	var pick []int
	for i, b := range tensor.Data[bool](cond) {
		if !b {
			continue
		}
		if i >= s[axis] {
			return nil, nil, 0, fmt.Errorf("condition is true at %d, the axis has %d", i, s[axis])
		}
		pick = append(pick, i)
	}
	return pick, s, axis, nil
}
