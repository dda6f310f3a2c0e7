package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func bitCast() []*ops.Op {
	target := func(n *graph.Node, from tensor.DType) (tensor.DType, error) {
		d, err := elementType("to", n.Attrs.Int("to", 0))
		if err != nil {
			return 0, err
		}
		if d.Bits() != from.Bits() || d.Bits() == 0 {
			return 0, fmt.Errorf("to is %v, expected a type as wide as %v", d, from)
		}
		return d, nil
	}
	return []*ops.Op{{Name: "BitCast", Since: 26, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Required(form.Int("to")),
		Shape: func(c *ops.ShapeCall) error {
			d, err := target(c.Node, c.In[0].DType)
			if err != nil {
				return err
			}
			return typed(c, d)
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			d, err := target(c.Node, x.DType)
			if err != nil {
				return err
			}
			if d != tensor.Bool {
				y, err := tensor.FromBytes(d, x.Shape, x.Bytes())
				if err != nil {
					return err
				}
				c.Set(0, y)
				return nil
			}
			// A Go bool may hold 0 and 1 alone.
			y, err := c.Output(0, d, x.Shape.Clone())
			if err != nil {
				return err
			}
			for i, b := range x.Bytes() {
				if b != 0 {
					y.Bytes()[i] = 1
				}
			}
			return nil
		}}}
}
