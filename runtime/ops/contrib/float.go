package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// floats gives the elements of input i as float32, nil if it is left out.
func floats(c *ops.Call, i int) ([]float32, error) {
	if !c.Has(i) {
		return nil, nil
	}
	if err := form.NeedReal(fmt.Sprintf("input %d", i), c.T(i)); err != nil {
		return nil, err
	}
	return tensor.Float32s(c.T(i))
}

// vector gives input i, a float tensor of n elements, as float32; nil if it is left out.
func vector(c *ops.Call, i, n int) ([]float32, error) {
	v, err := floats(c, i)
	if err != nil || v == nil {
		return nil, err
	}
	if len(v) != n {
		return nil, fmt.Errorf("input %d is %v, expected %d elements", i, c.T(i), n)
	}
	return v, nil
}

// number gives input i, a tensor of one number, as float32; def if it is left out.
func number(c *ops.Call, i int, def float32) (float32, error) {
	if !c.Has(i) {
		return def, nil
	}
	t := c.T(i)
	if t.Elements() != 1 {
		return 0, fmt.Errorf("input %d is %v, expected one number", i, t)
	}
	v, err := tensor.Float32s(t)
	if err != nil {
		return 0, fmt.Errorf("input %d: %w", i, err)
	}
	return v[0], nil
}

// need gives input i, which must be of the given rank.
func need(c *ops.Call, i, rank int) (*tensor.Tensor, error) {
	t := c.T(i)
	if t == nil || t.Rank() != rank {
		return nil, fmt.Errorf("input %d is %v, expected rank %d", i, t, rank)
	}
	return t, nil
}

// lastAxis is the extent of the last axis; a scalar has none.
func lastAxis(t *tensor.Tensor) (int, error) {
	if t == nil || t.Rank() == 0 {
		return 0, fmt.Errorf("input 0 is %v, expected rank 1 or more", t)
	}
	return t.Shape[t.Rank()-1], nil
}

// typed states the element type alone of every output wanted: that of input 0.
func typed(c *ops.ShapeCall) error {
	for i := range c.Out {
		c.SetType(i, c.In[0].DType)
	}
	return nil
}
