package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalPow raises base to exponent, which may be of different types; the result has the
// base's. Integers raised to integers are exact modulo their width.
func evalPow(c *ops.Call) error {
	o, err := pair(c)
	if err != nil {
		return err
	}
	y, err := c.Output(0, o.a.DType, o.out)
	if err != nil {
		return err
	}
	if o.a.DType.IsInt() && o.b.DType.IsInt() {
		return powInts(y, o)
	}
	a, err := tensor.Float64s(o.a)
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	b, err := tensor.Float64s(o.b)
	if err != nil {
		return fmt.Errorf("exponent: %w", err)
	}
	dst := make([]float64, y.Elements())
	each(o.out, o.a.Shape, o.b.Shape, func(at, n, ia, sa, ib, sb int) {
		if sb == 0 && b[ib] == 2 {
			for i := range n {
				v := a[ia+i*sa]
				dst[at+i] = v * v
			}
			return
		}
		for i := range n {
			dst[at+i] = gomath.Pow(a[ia+i*sa], b[ib+i*sb])
		}
	})
	return storeNumbers(y, dst)
}

func powInts(y *tensor.Tensor, o operands) error {
	a, err := tensor.Int64s(o.a)
	if err != nil {
		return err
	}
	b, err := tensor.Int64s(o.b)
	if err != nil {
		return err
	}
	unsigned := o.b.DType == tensor.Uint64
	dst := make([]int64, y.Elements())
	each(o.out, o.a.Shape, o.b.Shape, func(at, n, ia, sa, ib, sb int) {
		for i := range n {
			dst[at+i] = powInt(a[ia+i*sa], b[ib+i*sb], unsigned)
		}
	})
	return tensor.StoreInt64s(y, dst)
}

// powInt computes x to the power of e by squaring; negative exponents truncate.
func powInt(x, e int64, unsigned bool) int64 {
	if e < 0 && !unsigned {
		switch x {
		case 1:
			return 1
		case -1:
			return 1 - 2*(e&1)
		}
		return 0
	}
	r := int64(1)
	for n := uint64(e); n > 0; n >>= 1 {
		if n&1 == 1 {
			r *= x
		}
		x *= x
	}
	return r
}
