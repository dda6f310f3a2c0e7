package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func svmRegressor() []*ops.Op {
	return []*ops.Op{{
		Name: "SVMRegressor", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Floats("coefficients", "kernel_params", "rho", "support_vectors"),
			form.Int("n_supports", "one_class"), form.Str("kernel_type", "post_transform")),
		Shape: func(c *ops.ShapeCall) error { return rowShape(1, c) },
		Bind:  bindSVMRegressor, Eval: ops.Bound(bindSVMRegressor),
	}}
}

// SVR is a bound SVMRegressor: the vectors' kernels, or without vectors the features
// themselves, in a weighted sum.
type SVR struct {
	vectors   Vectors
	coef, rho []float32
	oneClass  bool
}

// NewSVR reads the attributes of an SVMRegressor.
func NewSVR(n *graph.Node) (*SVR, error) {
	a := n.Attrs
	k, err := readKernel(a)
	if err != nil {
		return nil, err
	}
	if _, err := parsePost(a.Str("post_transform", "NONE")); err != nil {
		return nil, err
	}
	m := &SVR{coef: a.Floats("coefficients"), rho: a.Floats("rho"), oneClass: a.Int("one_class", 0) != 0}
	sv, count := a.Floats("support_vectors"), a.Int("n_supports", 0)
	if count < 0 || len(m.rho) == 0 || len(m.coef) == 0 {
		return nil, fmt.Errorf("n_supports is %d, with %d coefficients and %d rho", count, len(m.coef), len(m.rho))
	}
	m.vectors = Vectors{Kernel: k, Data: sv, Count: int(count), Features: len(m.coef)}
	if count > 0 {
		if int64(len(sv))%count != 0 || int64(len(m.coef)) < count {
			return nil, fmt.Errorf("%d numbers in support_vectors and %d coefficients do not fit %d vectors", len(sv), len(m.coef), count)
		}
		m.vectors.Features = len(sv) / int(count)
	}
	return m, nil
}

// Vectors are the support vectors that the model compares a row with; none in a linear model.
func (m *SVR) Vectors() Vectors { return m.vectors }

// Score is the answer for a row whose kernels, or features if there are no vectors, are given.
func (m *SVR) Score(kernels []float32) float32 {
	y := float32(dot(kernels, m.coef) + float64(m.rho[0]))
	if m.oneClass {
		return float32(2*positiveClass(y > 0) - 1)
	}
	return y
}

func bindSVMRegressor(n *graph.Node) (func(*ops.Call) error, error) {
	m, err := NewSVR(n)
	if err != nil {
		return nil, err
	}
	v := m.vectors
	return func(c *ops.Call) error {
		x, rows, err := floats32(c, v.Features)
		if err != nil {
			return err
		}
		y, err := c.Output(0, tensor.Float32, tensor.Shape{rows, 1})
		if err != nil {
			return err
		}
		out := tensor.Data[float32](y)
		kernels := make([]float32, v.Count)
		for i := range rows {
			row := x[i*v.Features : (i+1)*v.Features]
			if v.Count > 0 {
				v.Kernel.values(kernels, row, v.Data)
				row = kernels
			}
			out[i] = m.Score(row)
		}
		return nil
	}, nil
}
