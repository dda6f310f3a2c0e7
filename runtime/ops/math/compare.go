package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func evalCompare(code opcode) func(*ops.Call) error {
	return func(c *ops.Call) error {
		o, err := pair(c)
		if err != nil {
			return err
		}
		if err := sameType(o); err != nil {
			return err
		}
		y, err := c.Output(0, tensor.Bool, o.out)
		if err != nil {
			return err
		}
		return compare(code, tensor.Data[bool](y), o)
	}
}

func compare(code opcode, y []bool, o operands) error {
	switch o.a.DType {
	case tensor.Float32:
		compareAs[float32](code, y, o)
	case tensor.Float64:
		compareAs[float64](code, y, o)
	case tensor.Uint8:
		compareAs[uint8](code, y, o)
	case tensor.Uint16:
		compareAs[uint16](code, y, o)
	case tensor.Uint32:
		compareAs[uint32](code, y, o)
	case tensor.Uint64:
		compareAs[uint64](code, y, o)
	case tensor.Int8:
		compareAs[int8](code, y, o)
	case tensor.Int16:
		compareAs[int16](code, y, o)
	case tensor.Int32:
		compareAs[int32](code, y, o)
	case tensor.Int64:
		compareAs[int64](code, y, o)
	case tensor.Float16, tensor.BFloat16:
		a, err := tensor.Float32s(o.a)
		if err != nil {
			return err
		}
		b, err := tensor.Float32s(o.b)
		if err != nil {
			return err
		}
		compareRuns(code, y, a, b, o)
	case tensor.Bool:
		return compareBits(code, y, o)
	case tensor.String:
		compareRuns(code, y, o.a.Strings(), o.b.Strings(), o)
	default:
		return fmt.Errorf("can't compare %v", o.a)
	}
	return nil
}

// compareBits compares truth values for equality; they have no order.
func compareBits(code opcode, y []bool, o operands) error {
	if code != opEqual {
		return fmt.Errorf("expected numbers, got %v", o.a)
	}
	a, b := o.a.Bytes(), o.b.Bytes()
	compareRuns(code, y, a, b, o)
	return nil
}

func compareAs[T number](code opcode, y []bool, o operands) {
	compareRuns(code, y, tensor.Data[T](o.a), tensor.Data[T](o.b), o)
}

func compareRuns[T number | string](code opcode, y []bool, a, b []T, o operands) {
	each(o.out, o.a.Shape, o.b.Shape, func(at, n, ia, sa, ib, sb int) {
		compareLoop(code, y[at:at+n], a[ia:], b[ib:], sa, sb)
	})
}

func compareLoop[T number | string](code opcode, y []bool, a, b []T, sa, sb int) {
	switch code {
	case opEqual:
		for i := range y {
			y[i] = a[i*sa] == b[i*sb]
		}
	case opLess:
		for i := range y {
			y[i] = a[i*sa] < b[i*sb]
		}
	case opLessOrEqual:
		for i := range y {
			y[i] = a[i*sa] <= b[i*sb]
		}
	case opGreater:
		for i := range y {
			y[i] = a[i*sa] > b[i*sb]
		}
	case opGreaterOrEqual:
		for i := range y {
			y[i] = a[i*sa] >= b[i*sb]
		}
	}
}

func evalLogic(code opcode) func(*ops.Call) error {
	return func(c *ops.Call) error {
		o, err := pair(c)
		if err != nil {
			return err
		}
		if o.a.DType != tensor.Bool || o.b.DType != tensor.Bool {
			return fmt.Errorf("expected bool inputs, got %v and %v", o.a, o.b)
		}
		y, err := c.Output(0, tensor.Bool, o.out)
		if err != nil {
			return err
		}
		return runLoop(code, o, y.Bytes(), o.a.Bytes(), o.b.Bytes(), intLoop[uint8])
	}
}

func evalNot(c *ops.Call) error {
	x := c.T(0)
	if x == nil || x.DType != tensor.Bool {
		return fmt.Errorf("expected a bool tensor, got %v", x)
	}
	y, err := c.Output(0, tensor.Bool, x.Shape)
	if err != nil {
		return err
	}
	dst := tensor.Data[bool](y)
	for i, v := range tensor.Data[bool](x) {
		dst[i] = !v
	}
	return nil
}
