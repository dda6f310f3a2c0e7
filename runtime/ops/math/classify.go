package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func shapeBool(c *ops.ShapeCall) error {
	form.Like(c, 0, tensor.Bool, 0)
	return nil
}

func evalIsNaN(c *ops.Call) error {
	return classify(c, func(v float64) bool { return v != v })
}

func evalIsInf(c *ops.Call) error {
	a := c.Node.Attrs
	neg, pos := a.Int("detect_negative", 1) != 0, a.Int("detect_positive", 1) != 0
	return classify(c, func(v float64) bool { return pos && gomath.IsInf(v, 1) || neg && gomath.IsInf(v, -1) })
}

func classify(c *ops.Call, f func(float64) bool) error {
	x := c.T(0)
	if x == nil || !x.DType.IsFloat() {
		return fmt.Errorf("expected a floating-point tensor, got %v", x)
	}
	y, err := c.Output(0, tensor.Bool, x.Shape)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	dst := tensor.Data[bool](y)
	for i, e := range v {
		dst[i] = f(e)
	}
	return nil
}
