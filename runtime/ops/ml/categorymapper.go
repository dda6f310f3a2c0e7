package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func categoryMapper() []*ops.Op {
	return []*ops.Op{{
		Name: "CategoryMapper", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Ints("cats_int64s"), form.Strs("cats_strings"), form.Int("default_int64"), form.Str("default_string")),
		Shape: func(c *ops.ShapeCall) error {
			if c.In[0].DType == tensor.String {
				return form.SameAs(tensor.Int64)(c)
			}
			return form.SameAs(tensor.String)(c)
		},
		Bind: bindCategoryMapper, Eval: ops.Bound(bindCategoryMapper),
	}}
}

// bindCategoryMapper: strings become the integers paired with them, and back.
func bindCategoryMapper(n *graph.Node) (func(*ops.Call) error, error) {
	ints, strs := n.Attrs.Ints("cats_int64s"), n.Attrs.Strs("cats_strings")
	if len(ints) != len(strs) || len(ints) == 0 {
		return nil, fmt.Errorf("cats_int64s has %d entries, cats_strings %d", len(ints), len(strs))
	}
	it, st := tensor.FromSlice(ints, len(ints)), tensor.FromStrings(strs, len(strs))
	to, err := encoder(st, it, tensor.Scalar(n.Attrs.Int("default_int64", -1)), false)
	if err != nil {
		return nil, err
	}
	from, err := encoder(it, st, tensor.FromStrings([]string{n.Attrs.Str("default_string", "_Unused")}), false)
	if err != nil {
		return nil, err
	}
	return func(c *ops.Call) error {
		if c.T(0).DType == tensor.String {
			return to(c)
		}
		return from(c)
	}, nil
}
