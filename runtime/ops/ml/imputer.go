package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func imputer() []*ops.Op {
	return []*ops.Op{{
		Name: "Imputer", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Floats("imputed_value_floats"), form.Ints("imputed_value_int64s"),
			form.Float("replaced_value_float"), form.Int("replaced_value_int64")),
		Shape: form.Same,
		Eval:  evalImputer,
	}}
}

// evalImputer replaces one value (NaN among floats matches NaN) by the imputed value of
// its feature, or by the only one.
func evalImputer(c *ops.Call) error {
	x := c.T(0)
	floats, ints := c.Node.Attrs.Floats("imputed_value_floats"), c.Node.Attrs.Ints("imputed_value_int64s")
	old, oldInt := c.Node.Attrs.Float("replaced_value_float", 0), c.Node.Attrs.Int("replaced_value_int64", 0)
	switch x.DType {
	case tensor.Float32:
		return impute(c, floats, old, func(v float32) float32 { return v })
	case tensor.Float64:
		return impute(c, floats, old, func(v float32) float64 { return float64(v) })
	case tensor.Int64:
		return impute(c, ints, oldInt, func(v int64) int64 { return v })
	case tensor.Int32:
		return impute(c, ints, oldInt, func(v int64) int32 { return int32(v) })
	}
	return fmt.Errorf("input 0 is %v, expected float32, float64, int32 or int64", x)
}

func impute[T float32 | float64 | int64 | int32, A float32 | int64](c *ops.Call, values []A, old A, to func(A) T) error {
	x := c.T(0)
	features, err := featureCount(x.Shape)
	if err != nil {
		return err
	}
	if len(values) != 1 && len(values) != features {
		return fmt.Errorf("%d imputed values for %d features of %v", len(values), features, x)
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	in, out, was := tensor.Data[T](x), tensor.Data[T](y), to(old)
	for i, v := range in {
		if v == was || v != v && was != was {
			v = to(values[i%features%len(values)])
		}
		out[i] = v
	}
	return nil
}
