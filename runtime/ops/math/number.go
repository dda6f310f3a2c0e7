package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// numberLoop computes y = f(x) for one element type.
type numberLoops struct {
	i8  func(y, x []int8)
	i16 func(y, x []int16)
	i32 func(y, x []int32)
	i64 func(y, x []int64)
	u8  func(y, x []uint8)
	u16 func(y, x []uint16)
	u32 func(y, x []uint32)
	u64 func(y, x []uint64)
	f32 func(y, x []float32)
	f64 func(y, x []float64)
}

var absLoops = numberLoops{
	abs[int8], abs[int16], abs[int32], abs[int64], abs[uint8], abs[uint16], abs[uint32], abs[uint64],
	func(y, x []float32) { mapSlice(y, x, gomath.Abs) }, func(y, x []float64) { mapSlice(y, x, gomath.Abs) },
}

var negLoops = numberLoops{
	neg[int8], neg[int16], neg[int32], neg[int64], neg[uint8], neg[uint16], neg[uint32], neg[uint64],
	neg[float32], neg[float64],
}

var signLoops = numberLoops{
	sign[int8], sign[int16], sign[int32], sign[int64], sign[uint8], sign[uint16], sign[uint32], sign[uint64],
	sign[float32], sign[float64],
}

var reluLoops = numberLoops{
	relu[int8], relu[int16], relu[int32], relu[int64], relu[uint8], relu[uint16], relu[uint32], relu[uint64],
	relu[float32], relu[float64],
}

func mapSlice[T form.Real](y, x []T, f func(float64) float64) {
	for i, v := range x {
		y[i] = T(f(float64(v)))
	}
}

func abs[T integer](y, x []T) {
	for i, v := range x {
		if v < 0 {
			v = -v
		}
		y[i] = v
	}
}

func neg[T number](y, x []T) {
	for i, v := range x {
		y[i] = -v
	}
}

func sign[T number](y, x []T) {
	for i, v := range x {
		switch {
		case v > 0:
			v = 1
		case v < 0:
			v = 0
			v--
		}
		y[i] = v
	}
}

func relu[T number](y, x []T) {
	for i, v := range x {
		y[i] = max(v, 0)
	}
}

// numberForms are the forms of an operator of one tensor of any number type.
func numberForms(name string, since int, consumed bool, l *numberLoops) []*ops.Op {
	op := ops.Op{
		Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Shape: form.Same,
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			if x == nil {
				return fmt.Errorf("input is missing")
			}
			y, err := c.Output(0, x.DType, x.Shape)
			if err != nil {
				return err
			}
			return l.run(y, x)
		},
	}
	return withConsumed(op, consumed)
}

func (l *numberLoops) run(y, x *tensor.Tensor) error {
	switch x.DType {
	case tensor.Int8:
		apply(l.i8, y, x)
	case tensor.Int16:
		apply(l.i16, y, x)
	case tensor.Int32:
		apply(l.i32, y, x)
	case tensor.Int64:
		apply(l.i64, y, x)
	case tensor.Uint8:
		apply(l.u8, y, x)
	case tensor.Uint16:
		apply(l.u16, y, x)
	case tensor.Uint32:
		apply(l.u32, y, x)
	case tensor.Uint64:
		apply(l.u64, y, x)
	case tensor.Float32:
		apply(l.f32, y, x)
	case tensor.Float64:
		apply(l.f64, y, x)
	case tensor.Float16, tensor.BFloat16:
		v, err := tensor.Float32s(x)
		if err != nil {
			return err
		}
		l.f32(v, v)
		return tensor.StoreFloat32s(y, v)
	default:
		return fmt.Errorf("expected numbers, got %v", x)
	}
	return nil
}

func apply[T number](f func(y, x []T), y, x *tensor.Tensor) {
	f(tensor.Data[T](y), tensor.Data[T](x))
}

// anyForm is an operator of any number type given by a float64 function; integers are
// converted and truncated back.
func anyForm(name string, since int, attrs []ops.Attr, f func(n *graph.Node) func(float64) float64) *ops.Op {
	return &ops.Op{
		Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: form.Same,
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			if x == nil {
				return fmt.Errorf("input is missing")
			}
			y, err := c.Output(0, x.DType, x.Shape)
			if err != nil {
				return err
			}
			v, err := tensor.Float64s(x)
			if err != nil {
				return err
			}
			g := f(c.Node)
			w := make([]float64, len(v))
			for i, e := range v {
				w[i] = g(e)
			}
			return storeNumbers(y, w)
		},
	}
}

// storeNumbers converts float64 values to a tensor's type, integers by truncation.
func storeNumbers(y *tensor.Tensor, v []float64) error {
	switch y.DType {
	case tensor.Int8:
		truncate[int8](y, v)
	case tensor.Int16:
		truncate[int16](y, v)
	case tensor.Int32:
		truncate[int32](y, v)
	case tensor.Int64:
		truncate[int64](y, v)
	case tensor.Uint8:
		truncate[uint8](y, v)
	case tensor.Uint16:
		truncate[uint16](y, v)
	case tensor.Uint32:
		truncate[uint32](y, v)
	case tensor.Uint64:
		truncate[uint64](y, v)
	default:
		return tensor.StoreFloat64s(y, v)
	}
	return nil
}

func truncate[T integer](y *tensor.Tensor, v []float64) {
	d := tensor.Data[T](y)
	for i, e := range v {
		if e < 0 {
			d[i] = T(int64(e))
		} else {
			d[i] = T(uint64(e))
		}
	}
}

func shrink(n *graph.Node) func(float64) float64 {
	bias, lambd := float64(n.Attrs.Float("bias", 0)), float64(n.Attrs.Float("lambd", 0.5))
	return func(x float64) float64 {
		switch {
		case x < -lambd:
			return x + bias
		case x > lambd:
			return x - bias
		}
		return 0
	}
}

func evalBitwiseNot(c *ops.Call) error {
	x := c.T(0)
	if x == nil || !x.DType.IsInt() {
		return fmt.Errorf("expected integers, got %v", x)
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	dst := y.Bytes()
	for i, b := range x.Bytes() {
		dst[i] = ^b
	}
	return nil
}
