package contrib

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func expandDims() *ops.Op {
	insert := func(s tensor.Shape, t *tensor.Tensor) (tensor.Shape, error) {
		v, err := tensor.Int64s(t)
		if err != nil {
			return nil, err
		}
		at := int64(0)
		if len(v) > 0 {
			at = v[0]
		}
		k, err := tensor.Axis(at, len(s)+1)
		if err != nil {
			return nil, err
		}
		return append(append(s[:k].Clone(), 1), s[k:]...), nil
	}
	return &ops.Op{
		Name: "ExpandDims", Domain: Domain, Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			if t := c.In[1].Tensor(); t != nil && c.In[0].Known {
				s, err := insert(c.In[0].Shape, t)
				if err != nil {
					return err
				}
				c.Set(0, c.In[0].DType, s)
			}
			return nil
		},
		Eval: func(c *ops.Call) error {
			s, err := insert(c.T(0).Shape, c.T(1))
			if err != nil {
				return err
			}
			c.Set(0, c.T(0).Reshaped(s))
			return nil
		},
	}
}
