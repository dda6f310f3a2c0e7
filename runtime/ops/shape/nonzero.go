package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func nonZero() []*ops.Op {
	return []*ops.Op{{Name: "NonZero", Since: 9, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.Int64)
			return nil
		},
		Eval: nonZeroEval}}
}

func nonZeroEval(c *ops.Call) error {
	x := c.T(0)
	hit, err := nonZeros(x)
	if err != nil {
		return err
	}
	rank, n := x.Rank(), len(hit)
	y, err := c.Output(0, tensor.Int64, tensor.Shape{rank, n})
	if err != nil {
		return err
	}
	out, st := tensor.Data[int64](y), x.Shape.Strides()
	for j, at := range hit {
		for k := range rank {
			out[k*n+j] = int64(at / st[k])
			at %= st[k]
		}
	}
	return nil
}

// nonZeros gives the offsets of the elements that are not zero, false or empty.
func nonZeros(x *tensor.Tensor) ([]int, error) {
	var hit []int
	if x.DType == tensor.String {
		for i, s := range x.Strings() {
			if s != "" {
				hit = append(hit, i)
			}
		}
		return hit, nil
	}
	if x.DType.IsFloat() {
		v, err := tensor.Float64s(x)
		if err != nil {
			return nil, err
		}
		for i, f := range v {
			if f != 0 {
				hit = append(hit, i)
			}
		}
		return hit, nil
	}
	v, err := tensor.Int64s(x)
	if err != nil {
		return nil, fmt.Errorf("NonZero of %v is not supported: %w", x, err)
	}
	for i, f := range v {
		if f != 0 {
			hit = append(hit, i)
		}
	}
	return hit, nil
}
