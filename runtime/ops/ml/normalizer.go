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
	of := rowNorms[norm]
	if of == nil {
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
		divide(out[i*features:(i+1)*features], in[i*features:(i+1)*features], of)
	}
	return nil
}

// Normalize is Normalizer of one row into dst, which is as long; norm is MAX, L1 or L2.
func Normalize(dst, row []float32, norm string) { divide(dst, row, rowNorms[norm]) }

func divide(dst, row []float32, of func(row []float32) float64) {
	by := of(row)
	if by == 0 {
		by = 1
	}
	if f := float32(by); float64(f) == by { // one rounding either way
		for k, v := range row {
			dst[k] = v / f
		}
		return
	}
	for k, v := range row {
		dst[k] = float32(float64(v) / by)
	}
}

// rowNorms are what a row is divided by.
var rowNorms = map[string]func(row []float32) float64{
	"MAX": func(row []float32) float64 {
		top := float32(-math.MaxFloat32)
		for _, v := range row {
			if v > top || v != v {
				top = v
			}
			if v != v {
				break
			}
		}
		return float64(top)
	},
	"L1": func(row []float32) (s float64) {
		for _, v := range row {
			s += math.Abs(float64(v))
		}
		return s
	},
	"L2": func(row []float32) (s float64) {
		for _, v := range row {
			s += float64(v) * float64(v)
		}
		return math.Sqrt(s)
	},
}
