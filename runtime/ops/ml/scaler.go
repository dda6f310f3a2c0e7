package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func scaler() []*ops.Op {
	return []*ops.Op{{
		Name: "Scaler", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Floats("offset", "scale"),
		Shape: form.SameAs(tensor.Float32),
		Eval:  evalScaler,
	}}
}

// evalScaler computes (x − offset)·scale, each of one value or one for each feature.
func evalScaler(c *ops.Call) error {
	x := c.T(0)
	features, err := featureCount(x.Shape)
	if err != nil {
		return err
	}
	offset, err := perFeature(c.Node.Attrs.Floats("offset"), 0, features, "offset")
	if err != nil {
		return err
	}
	scale, err := perFeature(c.Node.Attrs.Floats("scale"), 1, features, "scale")
	if err != nil {
		return err
	}
	y, err := c.Output(0, tensor.Float32, x.Shape)
	if err != nil {
		return err
	}
	out := tensor.Data[float32](y)
	if x.DType == tensor.Float64 {
		for i, v := range tensor.Data[float64](x) {
			k := i % features
			out[i] = float32((v - float64(offset[k])) * float64(scale[k]))
		}
		return nil
	}
	in, err := tensor.Float32s(x)
	if err != nil {
		return err
	}
	for i := 0; i < len(in); i += features {
		for k := range features {
			out[i+k] = (in[i+k] - offset[k]) * scale[k]
		}
	}
	return nil
}

// featureCount is the number of features a row: the second axis, or the only one.
func featureCount(s tensor.Shape) (int, error) {
	if len(s) == 0 {
		return 0, fmt.Errorf("input 0 is a scalar, expected [N,C] or [C]")
	}
	f := s[min(len(s)-1, 1)]
	if n := s.Elements(); n > 0 && n%f != 0 {
		return 0, fmt.Errorf("input 0 is of shape %v, expected [N,C] or [C]", s)
	}
	return max(f, 1), nil
}

// perFeature spreads an attribute of one value, or of none, over all features.
func perFeature(v []float32, def float32, features int, name string) ([]float32, error) {
	switch len(v) {
	case features:
		return v, nil
	case 1:
		def = v[0]
	case 0:
	default:
		return nil, fmt.Errorf("%s has %d entries for %d features", name, len(v), features)
	}
	out := make([]float32, features)
	for i := range out {
		out[i] = def
	}
	return out, nil
}
