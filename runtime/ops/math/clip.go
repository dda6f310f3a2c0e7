package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalClip6 is Clip with its bounds as attributes (opset 1 to 10).
func evalClip6(c *ops.Call) error {
	a := c.Node.Attrs
	bound := func(name string, def float32) *tensor.Tensor {
		t := tensor.New(c.T(0).DType, tensor.Shape{})
		if storeNumbers(t, []float64{float64(a.Float(name, def))}) != nil {
			return nil
		}
		return t
	}
	if c.T(0) == nil || !c.T(0).DType.IsFloat() {
		return fmt.Errorf("expected a floating-point tensor, got %v", c.T(0))
	}
	var lo, hi *tensor.Tensor
	if a.Has("min") {
		lo = bound("min", -gomath.MaxFloat32)
	}
	if a.Has("max") {
		hi = bound("max", gomath.MaxFloat32)
	}
	return clip(c, lo, hi)
}

// evalClip is Clip with its bounds as inputs.
func evalClip(c *ops.Call) error {
	x := c.T(0)
	for i := 1; i < 3; i++ {
		if b := c.T(i); b != nil && (b.Elements() != 1 || x == nil || b.DType != x.DType) {
			return fmt.Errorf("expected bounds that are scalars of the input's type, got %v for %v", b, x)
		}
	}
	return clip(c, c.T(1), c.T(2))
}

// clip bounds from below first, so that an upper bound below the lower one wins.
func clip(c *ops.Call, lo, hi *tensor.Tensor) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("input is missing")
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	cur := x
	for _, s := range []struct {
		bound *tensor.Tensor
		code  opcode
	}{{lo, opMax}, {hi, opMin}} {
		if s.bound == nil {
			continue
		}
		o := operands{cur, s.bound.Reshaped(tensor.Shape{}), x.Shape}
		if err := arith(s.code, y, o); err != nil {
			return err
		}
		cur = y
	}
	if cur == x {
		copy(y.Bytes(), x.Bytes())
	}
	return nil
}

func clipForms() []*ops.Op {
	one := func(since, maxIn int, attrs []ops.Attr, eval func(*ops.Call) error) *ops.Op {
		return &ops.Op{Name: "Clip", Since: since, MinIn: 1, MaxIn: maxIn, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: form.Same, Eval: eval}
	}
	bounds := form.Float("min", "max")
	return []*ops.Op{
		one(1, 1, form.Join(bounds, form.Consumed()), evalClip6),
		one(6, 1, bounds, evalClip6),
		one(11, 3, nil, evalClip),
	}
}
