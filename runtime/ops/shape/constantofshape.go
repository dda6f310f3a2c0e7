package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func constantOfShape() []*ops.Op {
	return []*ops.Op{{Name: "ConstantOfShape", Since: 9, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Tensors("value"),
		Shape: func(c *ops.ShapeCall) error {
			v, err := fillValue(c.Node)
			if err != nil {
				return err
			}
			c.SetType(0, v.DType)
			dims, ok, err := form.ConstIntsOf(c, 0)
			if err != nil || !ok {
				return err
			}
			s, err := tensor.ShapeOf(dims)
			if err != nil {
				return err
			}
			c.Set(0, v.DType, s)
			return nil
		},
		Eval: func(c *ops.Call) error {
			v, err := fillValue(c.Node)
			if err != nil {
				return err
			}
			dims, err := form.IntsOf(c, 0)
			if err != nil {
				return err
			}
			s, err := tensor.ShapeOf(dims)
			if err != nil {
				return err
			}
			y, err := c.Output(0, v.DType, s)
			if err != nil {
				return err
			}
			d := layout.Open(y)
			d.Fill(0, y.Elements(), layout.Open(v), 0)
			d.Flush()
			return nil
		}}}
}

func fillValue(n *graph.Node) (*tensor.Tensor, error) {
	v := n.Attrs.Tensor("value")
	if v == nil {
		return tensor.Scalar(float32(0)), nil
	}
	if v.Elements() != 1 {
		return nil, fmt.Errorf("value is %v, expected one element", v)
	}
	return v, nil
}
