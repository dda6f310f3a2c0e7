package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func shapeMatMulInteger(c *ops.ShapeCall) error { return productShape(c, tensor.Int32) }

// evalMatMulInteger multiplies 8-bit matrices, less their zero points, into int32. A
// zero point is a scalar or one value for each row of A or each column of B.
func evalMatMulInteger(c *ops.Call) error {
	a, b := c.T(0), c.T(1)
	for _, t := range []*tensor.Tensor{a, b} {
		if t == nil || t.DType != tensor.Int8 && t.DType != tensor.Uint8 {
			return fmt.Errorf("expected int8 or uint8 matrices, got %v and %v", a, b)
		}
	}
	p, err := newProduct(a.Shape, b.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, tensor.Int32, p.out)
	if err != nil {
		return err
	}
	va, err := centred(a, c.T(2), p.m, p.k, true)
	if err != nil {
		return fmt.Errorf("a_zero_point: %w", err)
	}
	vb, err := centred(b, c.T(3), p.k, p.n, false)
	if err != nil {
		return fmt.Errorf("b_zero_point: %w", err)
	}
	multiply(p, tensor.Data[int32](y), va, vb)
	return nil
}

// centred widens t, batches of rows×cols matrices, and takes the zero point off: one in
// all, or one for each row (byRow) or column, the same for all batches or given for each.
func centred(t, zero *tensor.Tensor, rows, cols int, byRow bool) ([]int32, error) {
	v, err := tensor.Int64s(t)
	if err != nil {
		return nil, err
	}
	zs := []int64{0}
	if zero != nil {
		if zero.DType != t.DType {
			return nil, fmt.Errorf("expected type %v, got %v", t.DType, zero)
		}
		if zs, err = tensor.Int64s(zero); err != nil {
			return nil, err
		}
	}
	per := cols
	if byRow {
		per = rows
	}
	size := rows * cols
	if n := len(zs); n != 1 && n != per && (size == 0 || n != per*(len(v)/size)) {
		return nil, fmt.Errorf("expected 1 or %d values, got %v", per, zero)
	}
	out := make([]int32, len(v))
	if len(zs) == 1 {
		for i, x := range v {
			out[i] = int32(x - zs[0])
		}
		return out, nil
	}
	for i, x := range v {
		at := i % cols
		if byRow {
			at = i / cols % rows
		}
		if len(zs) > per {
			at += i / size * per
		}
		out[i] = int32(x - zs[at])
	}
	return out, nil
}
