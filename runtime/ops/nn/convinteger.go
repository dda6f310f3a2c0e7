package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func shapeConvInteger(c *ops.ShapeCall) error {
	if !known(c, 2, tensor.Int32) {
		return nil
	}
	g, err := newConv(c.Node, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, tensor.Int32, g.shape)
	return nil
}

// evalConvInteger convolves 8-bit tensors, less their zero points, into int32. Padding
// stands for the zero point.
func evalConvInteger(c *ops.Call) error {
	x, w := c.T(0), c.T(1)
	for _, t := range []*tensor.Tensor{x, w} {
		if t == nil || t.DType != tensor.Int8 && t.DType != tensor.Uint8 {
			return fmt.Errorf("expected int8 or uint8 tensors, got %v and %v", x, w)
		}
	}
	g, err := newConv(c.Node, x.Shape, w.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, tensor.Int32, g.shape)
	if err != nil {
		return err
	}
	vx, err := centred(x, c.T(2), 1)
	if err != nil {
		return fmt.Errorf("x_zero_point: %w", err)
	}
	vw, err := centred(w, c.T(3), w.Shape[0])
	if err != nil {
		return fmt.Errorf("w_zero_point: %w", err)
	}
	convolve(g, tensor.Data[int32](y), vx, vw)
	return nil
}

// centred widens t and takes its zero point off: one, or one for each of the outermost
// axis's rows.
func centred(t, zero *tensor.Tensor, rows int) ([]int32, error) {
	v, err := tensor.Int64s(t)
	if err != nil {
		return nil, err
	}
	zs := []int64{0}
	if zero != nil {
		if zero.DType != t.DType || zero.Elements() != 1 && zero.Elements() != rows {
			return nil, fmt.Errorf("expected 1 or %d of %v, got %v", rows, t.DType, zero)
		}
		if zs, err = tensor.Int64s(zero); err != nil {
			return nil, err
		}
	}
	out := make([]int32, len(v))
	per := len(v)
	if len(zs) > 1 {
		per = len(v) / len(zs)
	}
	for i, x := range v {
		out[i] = int32(x - zs[i/per])
	}
	return out, nil
}
