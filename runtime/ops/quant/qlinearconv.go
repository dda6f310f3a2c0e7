package quant

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func qLinearConv() []*ops.Op {
	return []*ops.Op{{Name: "QLinearConv", Since: 10, MinIn: 8, MaxIn: 9, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Int("group"), form.Str("auto_pad"),
			form.Ints("kernel_shape", "dilations", "pads", "strides")),
		Shape: func(c *ops.ShapeCall) error {
			d := c.In[7].DType
			c.SetType(0, d)
			if !c.In[0].Known || !c.In[3].Known {
				return nil
			}
			g, err := newWindow(c.Node, c.In[0].Shape, c.In[3].Shape)
			if err != nil {
				return err
			}
			c.Set(0, d, g.out)
			return nil
		},
		Eval: qLinearConvEval}}
}

func qLinearConvEval(c *ops.Call) error {
	x, w, yz := c.T(0), c.T(3), c.T(7)
	g, err := newWindow(c.Node, x.Shape, w.Shape)
	if err != nil {
		return err
	}
	xv, err := centred(x, c.T(2), lines{1, 1, 1})
	if err != nil {
		return fmt.Errorf("x: %w", err)
	}
	channels := w.Shape[0]
	wv, err := centred(w, c.T(5), lines{channels, max(w.Shape[1:].Elements(), 1), max(channels, 1)})
	if err != nil {
		return fmt.Errorf("w: %w", err)
	}
	y, acc, err := accumulator(c, yz.DType, g.out)
	if err != nil {
		return err
	}
	plane := g.out[2:].Elements()
	if b := c.T(8); b != nil {
		bias, err := tensor.Float64s(b)
		if err != nil || len(bias) != channels {
			return fmt.Errorf("the bias is %v, expected %d numbers", b, channels)
		}
		for i := range acc {
			acc[i] = bias[i/plane%channels]
		}
	}
	g.convolve(acc, xv, wv)
	xs, err := single(c, 1)
	if err != nil {
		return err
	}
	ys, err := single(c, 6)
	if err != nil {
		return err
	}
	zero, err := single(c, 7)
	if err != nil {
		return err
	}
	ws, err := tensor.Float64s(c.T(4))
	if err != nil || len(ws) != 1 && len(ws) != channels {
		return fmt.Errorf("w_scale is %v, expected 1 or %d numbers", c.T(4), channels)
	}
	return requantize(y, acc, func(i int) (float64, float64) {
		s := float32(xs) * float32(pick(ws, i/plane%channels)) / float32(ys)
		return float64(s), zero
	})
}

// single reads an input of one number.
func single(c *ops.Call, i int) (float64, error) {
	v, err := tensor.Float64s(c.T(i))
	if err != nil || len(v) != 1 {
		return 0, fmt.Errorf("input %d is %v, expected one number", i, c.T(i))
	}
	return v[0], nil
}
