package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func shapeWhere(c *ops.ShapeCall) error { return form.Broadcast(c, c.In[1].DType, 0, 3) }

// evalWhere picks elements of x where the condition holds, else of y, all three
// broadcast.
func evalWhere(c *ops.Call) error {
	cond, x, z := c.T(0), c.T(1), c.T(2)
	if cond == nil || x == nil || z == nil || cond.DType != tensor.Bool || x.DType != z.DType {
		return fmt.Errorf("expected a bool tensor and two of one type, got %v, %v and %v", cond, x, z)
	}
	s, err := tensor.Broadcast(cond.Shape, x.Shape)
	if err != nil {
		return err
	}
	if s, err = tensor.Broadcast(s, z.Shape); err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	if x.DType == tensor.String {
		pick(y.Strings(), cond, x.Strings(), z.Strings(), x, z, s)
		return nil
	}
	switch x.DType.Bits() {
	case 8:
		pick(y.Bytes(), cond, x.Bytes(), z.Bytes(), x, z, s)
	case 16:
		pickAs[uint16](y, cond, x, z, s)
	case 32:
		pickAs[uint32](y, cond, x, z, s)
	case 64:
		pickAs[uint64](y, cond, x, z, s)
	case 128:
		pickAs[complex128](y, cond, x, z, s)
	default:
		return fmt.Errorf("elements of %v can't be chosen", x)
	}
	return nil
}

func pickAs[T tensor.Number](y, cond, x, z *tensor.Tensor, s tensor.Shape) {
	pick(tensor.Data[T](y), cond, tensor.Data[T](x), tensor.Data[T](z), x, z, s)
}

func pick[T any](y []T, cond *tensor.Tensor, x, z []T, tx, tz *tensor.Tensor, s tensor.Shape) {
	m := tensor.Data[bool](cond)
	tensor.NewWalker(s, cond.Shape, tx.Shape, tz.Shape).Run(func(at, n int, off, step []int) {
		for i := range n {
			if m[off[0]+i*step[0]] {
				y[at+i] = x[off[1]+i*step[1]]
			} else {
				y[at+i] = z[off[2]+i*step[2]]
			}
		}
	})
}
