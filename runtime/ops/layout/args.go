package layout

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Attrs lists attributes of one kind; a name that ends in "!" is required.
func Attrs(k graph.AttrKind, names ...string) []ops.Attr {
	out := make([]ops.Attr, len(names))
	for i, n := range names {
		required := n[len(n)-1] == '!'
		if required {
			n = n[:len(n)-1]
		}
		out[i] = ops.Attr{Name: n, Kind: k, Required: required}
	}
	return out
}

// Join puts lists of attributes together.
func Join(lists ...[]ops.Attr) []ops.Attr {
	var out []ops.Attr
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// Ints gives the integers of an input of rank 0 or 1, nil if it is left out.
func Ints(c *ops.Call, i int) ([]int64, error) {
	if !c.Has(i) {
		return nil, nil
	}
	return list(c.T(i), i)
}

// ConstInts is Ints for shape rules: ok is false where the input is given but not a
// constant.
func ConstInts(c *ops.ShapeCall, i int) (v []int64, ok bool, err error) {
	if !c.Has(i) {
		return nil, true, nil
	}
	t := c.In[i].Tensor()
	if t == nil {
		return nil, false, nil
	}
	v, err = list(t, i)
	return v, err == nil, err
}

func list(t *tensor.Tensor, i int) ([]int64, error) {
	if t.Rank() > 1 {
		return nil, fmt.Errorf("input %d is %v, expected rank 0 or 1", i, t)
	}
	v, err := tensor.Int64s(t)
	if err != nil {
		return nil, fmt.Errorf("input %d: %w", i, err)
	}
	return v, nil
}

// Axes normalises a list of axes of a tensor of the given rank and refuses repetitions.
func Axes(axes []int64, rank int) ([]int, error) {
	out := make([]int, len(axes))
	seen := make([]bool, rank)
	for i, a := range axes {
		k, err := tensor.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		if seen[k] {
			return nil, fmt.Errorf("axis %d is given twice", a)
		}
		seen[k] = true
		out[i] = k
	}
	return out, nil
}

// Same is the shape rule of operators whose outputs have the first input's type and shape.
func Same(c *ops.ShapeCall) error {
	for i := range c.Out {
		if c.In[0].Known {
			c.Set(i, c.In[0].DType, c.In[0].Shape)
		} else {
			c.SetType(i, c.In[0].DType)
		}
	}
	return nil
}

// Required makes an operator refuse calls that leave out one of its first MinIn inputs,
// for operators none of which is optional.
func Required(list []*ops.Op) []*ops.Op {
	for _, o := range list {
		shape, eval, n := o.Shape, o.Eval, o.MinIn
		if shape != nil {
			o.Shape = func(c *ops.ShapeCall) error {
				for i := range n {
					if !c.Has(i) {
						return fmt.Errorf("input %d is left out", i)
					}
				}
				return shape(c)
			}
		}
		o.Eval = func(c *ops.Call) error {
			for i := range n {
				if !c.Has(i) {
					return fmt.Errorf("input %d is left out", i)
				}
			}
			return eval(c)
		}
	}
	return list
}
