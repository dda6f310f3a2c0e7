package quant

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func dynamicQuantizeLinear() []*ops.Op {
	return []*ops.Op{{Name: "DynamicQuantizeLinear", Since: 11, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 3,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.Uint8)
			if c.In[0].Known {
				c.Set(0, tensor.Uint8, c.In[0].Shape)
			}
			c.Set(1, tensor.Float32, tensor.Shape{})
			c.Set(2, tensor.Uint8, tensor.Shape{})
			return nil
		},
		Eval: dynamicQuantizeEval}}
}

func dynamicQuantizeEval(c *ops.Call) error {
	x := c.T(0)
	if x.DType != tensor.Float32 {
		return fmt.Errorf("the input is %v, expected float32", x)
	}
	v := tensor.Data[float32](x)
	lo, hi := float32(0), float32(0)
	for _, f := range v {
		lo, hi = min(lo, f), max(hi, f)
	}
	scale := float32(1)
	if lo != hi {
		scale = hi - lo
	}
	scale /= 255
	zero := float32(math.RoundToEven(float64(min(max(-lo/scale, 0), 255))))
	if zero != zero {
		zero = 0
	}
	y, err := c.Output(0, tensor.Uint8, x.Shape.Clone())
	if err != nil {
		return err
	}
	out := tensor.Data[uint8](y)
	for i, f := range v {
		out[i] = uint8(clip(math.RoundToEven(float64(f/scale)), float64(zero), 0, 255))
	}
	for i, t := range []*tensor.Tensor{tensor.Scalar(scale), tensor.Scalar(uint8(zero))} {
		if c.Wanted(i + 1) {
			c.Set(i+1, t)
		}
	}
	return nil
}
