package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func constant() []*ops.Op {
	variant := func(since int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "Constant", Since: since, MinOut: 1, MaxOut: 1, Attrs: attrs,
			Shape: func(c *ops.ShapeCall) error {
				t, err := constantValue(c.Node)
				if err != nil {
					return err
				}
				c.Set(0, t.DType, t.Shape)
				c.Out[0].Const = t
				return nil
			},
			Eval: func(c *ops.Call) error {
				t, err := constantValue(c.Node)
				if err != nil {
					return err
				}
				c.Set(0, t)
				return nil
			}}
	}
	// The reader gives a sparse tensor in its dense form.
	tensors := form.Tensors("value", "sparse_value")
	return []*ops.Op{
		variant(1, form.Required(form.Tensors("value"))),
		variant(11, tensors),
		variant(12, form.Join(tensors, form.Float("value_float"), form.Floats("value_floats"),
			form.Int("value_int"), form.Ints("value_ints"),
			form.Str("value_string"), form.Strs("value_strings"))),
	}
}

func constantValue(n *graph.Node) (*tensor.Tensor, error) {
	if len(n.Attrs) != 1 {
		return nil, fmt.Errorf("attributes %v, expected exactly one value", n.Attrs.Names())
	}
	for name, a := range n.Attrs {
		switch name {
		case "value", "sparse_value":
			if a.T != nil {
				return a.T, nil
			}
		case "value_float":
			return tensor.Scalar(a.F), nil
		case "value_floats":
			return tensor.FromSlice(a.Floats, len(a.Floats)), nil
		case "value_int":
			return tensor.Scalar(a.I), nil
		case "value_ints":
			return tensor.FromSlice(a.Ints, len(a.Ints)), nil
		case "value_string":
			return tensor.FromStrings([]string{a.S}), nil
		case "value_strings":
			return tensor.FromStrings(a.Strings, len(a.Strings)), nil
		}
	}
	return nil, fmt.Errorf("the value is empty")
}
