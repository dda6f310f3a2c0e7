package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func cast() []*ops.Op {
	variant := func(since int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "Cast", Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs,
			Shape: func(c *ops.ShapeCall) error {
				d, err := castTarget(c.Node)
				if err != nil {
					return err
				}
				return typed(c, d)
			},
			Eval: func(c *ops.Call) error {
				d, err := castTarget(c.Node)
				if err != nil {
					return err
				}
				return castEval(c, d)
			}}
	}
	to, saturate := form.Required(form.Int("to")), form.Int("saturate")
	return []*ops.Op{
		variant(1, form.Required(form.Str("to"))),
		variant(6, to),
		variant(19, form.Join(to, saturate)),
		variant(24, form.Join(to, saturate, form.Str("round_mode"))),
	}
}

func castLike() []*ops.Op {
	variant := func(since int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "CastLike", Since: since, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: attrs,
			Shape: func(c *ops.ShapeCall) error { return typed(c, c.In[1].DType) },
			Eval:  func(c *ops.Call) error { return castEval(c, c.T(1).DType) }}
	}
	saturate := form.Int("saturate")
	return []*ops.Op{
		variant(15, nil),
		variant(19, saturate),
		variant(24, form.Join(saturate, form.Str("round_mode"))),
	}
}

// typed states output 0 as the first input's shape with another element type.
func typed(c *ops.ShapeCall, d tensor.DType) error {
	if c.In[0].Known {
		c.Set(0, d, c.In[0].Shape)
	} else {
		c.SetType(0, d)
	}
	return nil
}

func castTarget(n *graph.Node) (tensor.DType, error) {
	a := n.Attrs["to"]
	if a.Kind == graph.AttrString {
		if d, ok := tensor.FromONNXName(a.S); ok {
			return d, nil
		}
		return 0, fmt.Errorf("to is %q, which is no element type", a.S)
	}
	return elementType("to", a.I)
}

func elementType(attr string, n int64) (tensor.DType, error) {
	d, ok := tensor.FromONNX(n)
	if !ok {
		return 0, fmt.Errorf("%s is %d, which is no element type", attr, n)
	}
	return d, nil
}

func castEval(c *ops.Call, d tensor.DType) error {
	x := c.T(0)
	if x.DType == d {
		c.Set(0, x)
		return nil
	}
	mode, err := tensor.ParseRoundMode(c.Node.Attrs.Str("round_mode", "up"))
	if err != nil {
		return err
	}
	y, err := c.Output(0, d, x.Shape.Clone())
	if err != nil {
		return err
	}
	return convert(y, x, castOptions{saturate: c.Node.Attrs.Int("saturate", 1) != 0, round: mode})
}
