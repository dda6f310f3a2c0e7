package ml

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func normalizer() []*ops.Op {
	return []*ops.Op{{
		Name: "Normalizer", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Str("norm"),
		Shape: form.SameAs(tensor.Float32),
		Eval:  evalNormalizer,
	}}
}

// evalNormalizer divides each row by its greatest value (MAX), by the sum of its
// magnitudes (L1) or by its length (L2); rows for which that is zero stay as they are.
func evalNormalizer(c *ops.Call) error {
	norm := c.Node.Attrs.Str("norm", "MAX")
	if norm != "MAX" && norm != "L1" && norm != "L2" {
		return fmt.Errorf("norm %q is unknown", norm)
	}
	x := c.T(0)
	n, features, err := rows(x.Shape)
	if err != nil {
		return err
	}
	in, err := tensor.Float32s(x)
	if err != nil {
		return err
	}
	y, err := c.Output(0, tensor.Float32, x.Shape)
	if err != nil {
		return err
	}
	out := tensor.Data[float32](y)
	for i := range n {
		row := in[i*features : (i+1)*features]
		by := rowNorm(row, norm)
		for k, v := range row {
			if by != 0 {
				v = float32(float64(v) / by)
			}
			out[i*features+k] = v
		}
	}
	return nil
}

func rowNorm(row []float32, norm string) float64 {
	var s float64
	switch norm {
	case "MAX":
		s = -math.MaxFloat32
		for _, v := range row {
			s = max(s, float64(v))
		}
	case "L1":
		for _, v := range row {
			s += math.Abs(float64(v))
		}
	case "L2":
		for _, v := range row {
			s += float64(v) * float64(v)
		}
		s = math.Sqrt(s)
	}
	return s
}
