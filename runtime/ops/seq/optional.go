package seq

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func optional() []*ops.Op {
	return []*ops.Op{{Name: "Optional", Since: 15, MinIn: 0, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Type("type"),
		Eval: func(c *ops.Call) error {
			o := &tensor.Optional{}
			if c.Has(0) {
				o.Elem = c.In[0]
			} else if !c.Node.Attrs.Has("type") {
				return fmt.Errorf("neither an input nor the attribute type is given")
			}
			c.Set(0, o)
			return nil
		}}}
}

func optionalHasElement() []*ops.Op {
	return []*ops.Op{{Name: "OptionalHasElement", Since: 15, MinIn: 0, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.Set(0, tensor.Bool, tensor.Shape{})
			return nil
		},
		Eval: func(c *ops.Call) error {
			has := c.Has(0)
			if has {
				if o, ok := c.In[0].(*tensor.Optional); ok {
					has = o.Elem != nil
				}
			}
			c.Set(0, tensor.Scalar(has))
			return nil
		}}}
}

func optionalGetElement() []*ops.Op {
	return []*ops.Op{{Name: "OptionalGetElement", Since: 15, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Eval: func(c *ops.Call) error {
			v := c.In[0]
			if o, ok := v.(*tensor.Optional); ok {
				v = o.Elem
			}
			if v == nil {
				return fmt.Errorf("the optional is empty")
			}
			c.Set(0, v)
			return nil
		}}}
}
