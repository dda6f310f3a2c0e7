package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// integer and number list the element types of arithmetic.
type integer interface {
	uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64
}

type number interface{ integer | float32 | float64 }

type opcode uint8

const (
	opAdd opcode = iota
	opSub
	opMul
	opDiv
	opMin
	opMax
	opFMod // truncating, the sign of the dividend
	opMod  // flooring, the sign of the divisor
	opEqual
	opLess
	opLessOrEqual
	opGreater
	opGreaterOrEqual
	opAnd
	opOr
	opXor
	opShiftLeft
	opShiftRight
)

var legacyBroadcast = form.Int("axis", "broadcast")

// operands are the two inputs of a pointwise operator and how they broadcast.
type operands struct {
	a, b *tensor.Tensor
	out  tensor.Shape
}

// pair reads inputs 0 and 1 and applies the broadcasting rule of the node's opset.
func pair(c *ops.Call) (operands, error) {
	a, b := c.T(0), c.T(1)
	if a == nil || b == nil {
		return operands{}, fmt.Errorf("expected two inputs")
	}
	sb, err := legacyShape(c.Node, a.Shape, b.Shape)
	if err != nil {
		return operands{}, err
	}
	out, err := tensor.Broadcast(a.Shape, sb)
	if err != nil {
		return operands{}, err
	}
	return operands{a, b.Reshaped(sb), out}, nil
}

// legacyShape gives the shape under which b broadcasts to a. Before opset 7 broadcasting
// went from b to a only, was asked for by an attribute, and matched b's axes to those of
// a from attribute axis on (without it, to the last ones).
func legacyShape(n *graph.Node, a, b tensor.Shape) (tensor.Shape, error) {
	if n.Opset >= 7 || n.Attrs.Int("broadcast", 0) == 0 || !n.Attrs.Has("axis") {
		return b, nil
	}
	at, rank := n.Attrs.Int("axis", 0), len(a)
	if at >= 0 {
		rank++
	}
	axis, err := tensor.Axis(at, rank)
	if err != nil {
		return nil, err
	}
	for len(b) > 0 && axis+len(b) > len(a) && b[len(b)-1] == 1 {
		b = b[:len(b)-1]
	}
	if axis+len(b) > len(a) {
		return nil, fmt.Errorf("broadcast of %v to %v from axis %d does not fit", b, a, axis)
	}
	s := b.Clone()
	for len(s)+axis < len(a) {
		s = append(s, 1)
	}
	return s, nil
}

// binaryShape states output 0 as the broadcast of inputs 0 and 1, of type d or, where d
// is Invalid, of input 0's type.
func binaryShape(d tensor.DType) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		t := d
		if t == tensor.Invalid {
			t = c.In[0].DType
		}
		if !c.Known(2) {
			c.SetType(0, t)
			return nil
		}
		sb, err := legacyShape(c.Node, c.In[0].Shape, c.In[1].Shape)
		if err != nil {
			return err
		}
		s, err := tensor.Broadcast(c.In[0].Shape, sb)
		if err != nil {
			return err
		}
		c.Set(0, t, s)
		return nil
	}
}

// each walks two broadcast operands run by run. Operands of one shape make a single run.
func each(out, a, b tensor.Shape, f func(at, n, ia, sa, ib, sb int)) {
	if a.Equal(b) && a.Equal(out) {
		if n := out.Elements(); n > 0 {
			f(0, n, 0, 1, 0, 1)
		}
		return
	}
	tensor.NewWalker(out, a, b).Run(func(at, n int, off, step []int) {
		f(at, n, off[0], step[0], off[1], step[1])
	})
}

func sameType(o operands) error {
	if o.a.DType != o.b.DType {
		return fmt.Errorf("expected inputs of one type, got %v and %v", o.a, o.b)
	}
	return nil
}

func evalArith(code opcode) func(*ops.Call) error {
	return func(c *ops.Call) error {
		o, err := pair(c)
		if err != nil {
			return err
		}
		if err := sameType(o); err != nil {
			return err
		}
		y, err := c.Output(0, o.a.DType, o.out)
		if err != nil {
			return err
		}
		return arith(code, y, o)
	}
}

// arith computes a pointwise operator whose result has the operands' type.
func arith(code opcode, y *tensor.Tensor, o operands) error {
	switch o.a.DType {
	case tensor.Float32:
		return arithOf(code, y, o, realLoop[float32])
	case tensor.Float64:
		return arithOf(code, y, o, realLoop[float64])
	case tensor.Float16, tensor.BFloat16:
		return arithHalf(code, y, o)
	case tensor.Uint8:
		return arithOf(code, y, o, intLoop[uint8])
	case tensor.Uint16:
		return arithOf(code, y, o, intLoop[uint16])
	case tensor.Uint32:
		return arithOf(code, y, o, intLoop[uint32])
	case tensor.Uint64:
		return arithOf(code, y, o, intLoop[uint64])
	case tensor.Int8:
		return arithOf(code, y, o, intLoop[int8])
	case tensor.Int16:
		return arithOf(code, y, o, intLoop[int16])
	case tensor.Int32:
		return arithOf(code, y, o, intLoop[int32])
	case tensor.Int64:
		return arithOf(code, y, o, intLoop[int64])
	}
	return fmt.Errorf("expected numbers, got %v", o.a)
}

type loop[T number] func(code opcode, y, a, b []T, sa, sb int) error

func arithOf[T number](code opcode, y *tensor.Tensor, o operands, f loop[T]) error {
	return runLoop(code, o, tensor.Data[T](y), tensor.Data[T](o.a), tensor.Data[T](o.b), f)
}

func arithHalf(code opcode, y *tensor.Tensor, o operands) error {
	a, err := tensor.Float32s(o.a)
	if err != nil {
		return err
	}
	b, err := tensor.Float32s(o.b)
	if err != nil {
		return err
	}
	dst := make([]float32, y.Elements())
	if err := runLoop(code, o, dst, a, b, realLoop[float32]); err != nil {
		return err
	}
	return tensor.StoreFloat32s(y, dst)
}

func runLoop[T number](code opcode, o operands, y, a, b []T, f loop[T]) error {
	var err error
	each(o.out, o.a.Shape, o.b.Shape, func(at, n, ia, sa, ib, sb int) {
		if e := f(code, y[at:at+n], a[ia:], b[ib:], sa, sb); e != nil {
			err = e
		}
	})
	return err
}

// common computes what integers and floats share; ok is false for another code.
func common[T number](code opcode, y, a, b []T, sa, sb int) (ok bool) {
	switch {
	case code == opAdd && sa == 1 && sb == 1:
		for i := range y {
			y[i] = a[i] + b[i]
		}
	case code == opAdd:
		for i := range y {
			y[i] = a[i*sa] + b[i*sb]
		}
	case code == opMul && sa == 1 && sb == 1:
		for i := range y {
			y[i] = a[i] * b[i]
		}
	case code == opMul:
		for i := range y {
			y[i] = a[i*sa] * b[i*sb]
		}
	case code == opSub:
		for i := range y {
			y[i] = a[i*sa] - b[i*sb]
		}
	case code == opMin:
		for i := range y {
			y[i] = min(a[i*sa], b[i*sb])
		}
	case code == opMax:
		for i := range y {
			y[i] = max(a[i*sa], b[i*sb])
		}
	default:
		return false
	}
	return true
}

func realLoop[T float32 | float64](code opcode, y, a, b []T, sa, sb int) error {
	if common(code, y, a, b, sa, sb) {
		return nil
	}
	switch code {
	case opDiv:
		for i := range y {
			y[i] = a[i*sa] / b[i*sb]
		}
	case opFMod:
		for i := range y {
			y[i] = T(gomath.Mod(float64(a[i*sa]), float64(b[i*sb])))
		}
	case opMod:
		for i := range y {
			y[i] = T(floorMod(float64(a[i*sa]), float64(b[i*sb])))
		}
	default:
		return fmt.Errorf("expected integers, got floating-point tensors")
	}
	return nil
}

func floorMod(x, y float64) float64 {
	m := gomath.Mod(x, y)
	switch {
	case m == 0:
		return gomath.Copysign(0, y)
	case (m < 0) != (y < 0):
		return m + y
	}
	return m
}

func intLoop[T integer](code opcode, y, a, b []T, sa, sb int) error {
	if common(code, y, a, b, sa, sb) {
		return nil
	}
	switch code {
	case opDiv, opMod, opFMod:
		return divLoop(code, y, a, b, sa, sb)
	case opAnd:
		for i := range y {
			y[i] = a[i*sa] & b[i*sb]
		}
	case opOr:
		for i := range y {
			y[i] = a[i*sa] | b[i*sb]
		}
	case opXor:
		for i := range y {
			y[i] = a[i*sa] ^ b[i*sb]
		}
	case opShiftLeft:
		for i := range y {
			if s := b[i*sb]; s >= 0 {
				y[i] = a[i*sa] << uint64(s)
			}
		}
	case opShiftRight:
		for i := range y {
			s := b[i*sb]
			if s < 0 {
				s = 127
			}
			y[i] = a[i*sa] >> uint64(s)
		}
	}
	return nil
}

// divLoop divides integers toward zero. A zero divisor is an error: the standard leaves
// it undefined.
func divLoop[T integer](code opcode, y, a, b []T, sa, sb int) error {
	for i := range y {
		p, q := a[i*sa], b[i*sb]
		switch {
		case q == 0:
			return fmt.Errorf("integer division by zero")
		case code == opDiv:
			y[i] = p / q
		default:
			r := p % q
			if code == opMod && r != 0 && (r < 0) != (q < 0) {
				r += q
			}
			y[i] = r
		}
	}
	return nil
}
