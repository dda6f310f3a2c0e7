package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func squeeze() []*ops.Op {
	return axesOps("Squeeze", 1, func(s tensor.Shape, axes []int64, given bool) (tensor.Shape, error) {
		drop := make([]bool, len(s))
		if !given {
			for i, d := range s {
				drop[i] = d == 1
			}
		}
		ks, err := form.Axes(axes, len(s))
		if err != nil {
			return nil, err
		}
		for _, k := range ks {
			if s[k] != 1 {
				return nil, fmt.Errorf("axis %d of %v is %d, expected 1", k, s, s[k])
			}
			drop[k] = true
		}
		out := tensor.Shape{}
		for i, d := range s {
			if !drop[i] {
				out = append(out, d)
			}
		}
		return out, nil
	})
}

func unsqueeze() []*ops.Op {
	return axesOps("Unsqueeze", 2, func(s tensor.Shape, axes []int64, _ bool) (tensor.Shape, error) {
		ks, err := form.Axes(axes, len(s)+len(axes))
		if err != nil {
			return nil, err
		}
		out := make(tensor.Shape, len(s)+len(axes))
		for _, k := range ks {
			out[k] = 1
		}
		i := 0
		for k := range out {
			if out[k] == 0 {
				out[k] = s[i]
				i++
			}
		}
		return out, nil
	})
}

// axesOps makes the forms with axes as an attribute and, since opset 13, as an input;
// minIn is the latter's least number of inputs.
func axesOps(name string, minIn int, to func(s tensor.Shape, axes []int64, given bool) (tensor.Shape, error)) []*ops.Op {
	attrs := form.Ints("axes")
	if minIn == 2 {
		attrs = form.Required(attrs)
	}
	bind := func(axes []int64, given bool) func(tensor.Shape) (tensor.Shape, error) {
		return func(s tensor.Shape) (tensor.Shape, error) { return to(s, axes, given) }
	}
	old := &ops.Op{Name: name, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: attrs,
		Shape: func(c *ops.ShapeCall) error {
			return view(c, bind(c.Node.Attrs.Ints("axes"), c.Node.Attrs.Has("axes")))
		},
		Eval: func(c *ops.Call) error {
			return evalView(c, bind(c.Node.Attrs.Ints("axes"), c.Node.Attrs.Has("axes")))
		}}
	now := &ops.Op{Name: name, Since: 13, MinIn: minIn, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			axes, ok, err := form.ConstIntsOf(c, 1)
			if err != nil {
				return err
			}
			if !ok {
				c.SetType(0, c.In[0].DType)
				return nil
			}
			return view(c, bind(axes, c.Has(1)))
		},
		Eval: func(c *ops.Call) error {
			axes, err := form.IntsOf(c, 1)
			if err != nil {
				return err
			}
			return evalView(c, bind(axes, c.Has(1)))
		}}
	return []*ops.Op{old, now}
}
