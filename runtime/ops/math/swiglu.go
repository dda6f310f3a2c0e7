package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalSwiGLU multiplies the Swish of a gate by a value of the same shape.
func evalSwiGLU(c *ops.Call) error {
	a, b := c.T(0), c.T(1)
	if err := form.NeedReal("gate", a); err != nil {
		return err
	}
	if b == nil || a.DType != b.DType || !a.Shape.Equal(b.Shape) {
		return fmt.Errorf("expected two inputs of one type and shape, got %v and %v", a, b)
	}
	y, err := c.Output(0, a.DType, a.Shape)
	if err != nil {
		return err
	}
	p, err := tensor.Float64s(a)
	if err != nil {
		return err
	}
	q, err := tensor.Float64s(b)
	if err != nil {
		return err
	}
	alpha, r := float64(c.Node.Attrs.Float("alpha", 1)), form.Rounder(a.DType)
	dst := make([]float64, len(p))
	for i, v := range p {
		dst[i] = r(v*swishGate(alpha, v, r)) * q[i]
	}
	return tensor.StoreFloat64s(y, dst)
}
