package form

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// IntsOf gives the integers of an input of rank 0 or 1, nil if it is left out.
func IntsOf(c *ops.Call, i int) ([]int64, error) {
	if !c.Has(i) {
		return nil, nil
	}
	return list(c.T(i), i)
}

// ConstIntsOf is IntsOf for shape rules: ok is false where the input is given but not a
// constant.
func ConstIntsOf(c *ops.ShapeCall, i int) (v []int64, ok bool, err error) {
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

// SameAll states that every output has the type and shape of input 0.
func SameAll(c *ops.ShapeCall) error {
	for i := range c.Out {
		if c.In[0].Known {
			c.Set(i, c.In[0].DType, c.In[0].Shape)
		} else {
			c.SetType(i, c.In[0].DType)
		}
	}
	return nil
}

// NoneLeftOut makes each operator refuse calls that leave out one of its first MinIn inputs,
// for operators none of which is optional.
func NoneLeftOut(list []*ops.Op) []*ops.Op {
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
