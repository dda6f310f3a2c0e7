package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func concat() []*ops.Op {
	old := &ops.Op{Name: "Concat", Since: 1, MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis"), Shape: concatShape, Eval: concatEval}
	now := *old
	now.Since, now.Attrs = 4, form.Required(form.Int("axis"))
	return []*ops.Op{old, &now}
}

func concatShape(c *ops.ShapeCall) error {
	c.SetType(0, c.In[0].DType)
	shapes := make([]tensor.Shape, len(c.In))
	for i, in := range c.In {
		if !in.Present {
			return fmt.Errorf("input %d is left out", i)
		}
		if !in.Known {
			return nil
		}
		if in.DType != c.In[0].DType {
			return fmt.Errorf("input %d is %v, expected %v as input 0", i, in.DType, c.In[0].DType)
		}
		shapes[i] = in.Shape
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", 1), len(shapes[0]))
	if err != nil {
		return err
	}
	s, err := layout.ConcatShape(shapes, axis)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func concatEval(c *ops.Call) error {
	parts := make([]*tensor.Tensor, len(c.In))
	shapes := make([]tensor.Shape, len(c.In))
	for i := range c.In {
		t := c.T(i)
		if t == nil {
			return fmt.Errorf("input %d is left out", i)
		}
		if i > 0 && t.DType != parts[0].DType {
			return fmt.Errorf("input %d is %v, expected %v as input 0", i, t.DType, parts[0].DType)
		}
		parts[i], shapes[i] = t, t.Shape
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", 1), len(shapes[0]))
	if err != nil {
		return err
	}
	s, err := layout.ConcatShape(shapes, axis)
	if err != nil {
		return err
	}
	y, err := c.Output(0, parts[0].DType, s)
	if err != nil {
		return err
	}
	layout.Concat(y, parts, axis)
	return nil
}
