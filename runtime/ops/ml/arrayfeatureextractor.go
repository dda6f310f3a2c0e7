package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func arrayFeatureExtractor() []*ops.Op {
	return []*ops.Op{{
		Name: "ArrayFeatureExtractor", Domain: Domain, Since: 1,
		MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			if !c.Known(2) {
				c.SetType(0, c.In[0].DType)
				return nil
			}
			s, err := extractedShape(c.In[0].Shape, c.In[1].Shape)
			if err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, s)
			return nil
		},
		Eval: evalArrayFeatureExtractor,
	}}
}

// extractedShape: the last axis shrinks to the indices given; a vector becomes one row. There may be no index: a
// classifier asks for the names of no rows.
func extractedShape(x, y tensor.Shape) (tensor.Shape, error) {
	if len(x) == 0 {
		return nil, fmt.Errorf("input 0 is a scalar")
	}
	if len(x) == 1 {
		return tensor.Shape{1, y.Elements()}, nil
	}
	return append(x[:len(x)-1].Clone(), y.Elements()), nil
}

func evalArrayFeatureExtractor(c *ops.Call) error {
	x, t := c.T(0), c.T(1)
	s, err := extractedShape(x.Shape, t.Shape)
	if err != nil {
		return err
	}
	index, err := tensor.Int64s(t)
	if err != nil {
		return fmt.Errorf("input 1: %w", err)
	}
	features := x.Shape[len(x.Shape)-1]
	for _, k := range index {
		if k < 0 || k >= int64(features) {
			return fmt.Errorf("input 1 asks for feature %d of %d", k, features)
		}
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	if x.DType == tensor.String {
		pick(y.Strings(), x.Strings(), features, index)
		return nil
	}
	switch x.DType.Bits() {
	case 8:
		pick(tensor.Data[uint8](y), tensor.Data[uint8](x), features, index)
	case 16:
		pick(tensor.Data[uint16](y), tensor.Data[uint16](x), features, index)
	case 32:
		pick(tensor.Data[uint32](y), tensor.Data[uint32](x), features, index)
	case 64:
		pick(tensor.Data[uint64](y), tensor.Data[uint64](x), features, index)
	default:
		return fmt.Errorf("input 0 is %v", x)
	}
	return nil
}

func pick[T any](out, in []T, features int, index []int64) {
	at := 0
	for from := 0; at < len(out); from += features {
		for _, k := range index {
			out[at] = in[from+int(k)]
			at++
		}
	}
}
