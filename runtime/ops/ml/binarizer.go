package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func binarizer() []*ops.Op {
	return []*ops.Op{{
		Name: "Binarizer", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Float("threshold"),
		Shape: form.Same,
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			y, err := c.Output(0, x.DType, x.Shape)
			if err != nil {
				return err
			}
			th := c.Node.Attrs.Float("threshold", 0)
			switch x.DType {
			case tensor.Float32:
				binarize[float32](x, y, th)
			case tensor.Float64:
				binarize[float64](x, y, th)
			case tensor.Int64:
				binarize[int64](x, y, th)
			case tensor.Int32:
				binarize[int32](x, y, th)
			default:
				return fmt.Errorf("input 0 is %v, expected float32, float64, int32 or int64", x)
			}
			return nil
		},
	}}
}

// binarize gives 1 above the threshold and 0 elsewhere.
func binarize[T float32 | float64 | int64 | int32](x, y *tensor.Tensor, threshold float32) {
	in := tensor.Data[T](x)
	out := tensor.Data[T](y)[:len(in)]
	for i, v := range in {
		out[i] = T(positiveClass(float64(v) > float64(threshold)))
	}
}
