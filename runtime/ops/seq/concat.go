package seq

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func concatFromSequence() []*ops.Op {
	return []*ops.Op{{Name: "ConcatFromSequence", Since: 11, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Required(form.Int("axis")), form.Int("new_axis")), Eval: concatFromSequenceEval}}
}

func concatFromSequenceEval(c *ops.Call) error {
	s, err := sequence(c)
	if err != nil {
		return err
	}
	if len(s.Elem) == 0 {
		return fmt.Errorf("the sequence is empty")
	}
	parts, shapes := make([]*tensor.Tensor, len(s.Elem)), make([]tensor.Shape, len(s.Elem))
	for i, v := range s.Elem {
		t, ok := v.(*tensor.Tensor)
		if !ok || i > 0 && t.DType != parts[0].DType {
			return fmt.Errorf("element %d does not join element 0", i)
		}
		parts[i], shapes[i] = t, t.Shape
	}
	stack, rank := c.Node.Attrs.Int("new_axis", 0) != 0, len(shapes[0])
	if stack {
		rank++
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", 0), rank)
	if err != nil {
		return err
	}
	var shape tensor.Shape
	if stack {
		for i, x := range shapes {
			if !x.Equal(shapes[0]) {
				return fmt.Errorf("element %d has shape %v, expected %v", i, x, shapes[0])
			}
		}
		shape = layout.Insert(shapes[0], axis, len(parts))
	} else if shape, err = layout.ConcatShape(shapes, axis); err != nil {
		return err
	}
	y, err := c.Output(0, parts[0].DType, shape)
	if err != nil {
		return err
	}
	if stack {
		layout.Stack(y, parts, axis)
	} else {
		layout.Concat(y, parts, axis)
	}
	return nil
}
