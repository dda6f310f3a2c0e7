package ragged

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// RunningSum names the operator that sums along each sequence.
const RunningSum = "SegmentRunningSum"

// runningSum is CumSum of x [1, tokens] that begins again with each sequence, by the positions [tokens].
func runningSum() *ops.Op {
	return &ops.Op{
		Name: RunningSum, Domain: Domain, Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			if !c.Known(2) {
				c.SetType(0, c.In[0].DType)
				return nil
			}
			if err := summed(c.In[0].Shape, c.In[1].Shape); err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, c.In[0].Shape)
			return nil
		},
		Eval: func(c *ops.Call) error {
			x, p := c.T(0), c.T(1)
			if p.DType != tensor.Int64 {
				return fmt.Errorf("the positions are %v, expected %v", p.DType, tensor.Int64)
			}
			if err := summed(x.Shape, p.Shape); err != nil {
				return err
			}
			out, err := c.Output(0, x.DType, x.Shape)
			if err != nil {
				return err
			}
			switch x.DType {
			case tensor.Int32:
				sumAlong(tensor.Data[int32](out), tensor.Data[int32](x), tensor.Data[int64](p))
			case tensor.Int64:
				sumAlong(tensor.Data[int64](out), tensor.Data[int64](x), tensor.Data[int64](p))
			default:
				return fmt.Errorf("can't sum %v", x.DType)
			}
			return nil
		},
	}
}

func summed(x, positions tensor.Shape) error {
	if len(x) != 2 || x[0] != 1 || len(positions) != 1 || positions[0] != x[1] {
		return fmt.Errorf("the shapes %v and %v do not fit", x, positions)
	}
	return nil
}

func sumAlong[T int32 | int64](y, x []T, positions []int64) {
	sum := T(0)
	for i, v := range x {
		if positions[i] == 0 {
			sum = 0
		}
		sum += v
		y[i] = sum
	}
}
