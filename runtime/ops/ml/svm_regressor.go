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

func bindSVMRegressor(n *graph.Node) (func(*ops.Call) error, error) {
	a := n.Attrs
	k, err := readKernel(a)
	if err != nil {
		return nil, err
	}
	if _, err := parsePost(a.Str("post_transform", "NONE")); err != nil {
		return nil, err
	}
	coef, sv, rho := a.Floats("coefficients"), a.Floats("support_vectors"), a.Floats("rho")
	count := a.Int("n_supports", 0)
	if count < 0 || len(rho) == 0 || len(coef) == 0 {
		return nil, fmt.Errorf("n_supports is %d, with %d coefficients and %d rho", count, len(coef), len(rho))
	}
	vectors, features := int(count), len(coef)
	if vectors > 0 {
		if len(sv)%vectors != 0 || len(coef) < vectors {
			return nil, fmt.Errorf("%d numbers in support_vectors and %d coefficients do not fit %d vectors", len(sv), len(coef), vectors)
		}
		features = len(sv) / vectors
	}
	oneClass := a.Int("one_class", 0) != 0
	return func(c *ops.Call) error {
		x, rows, err := floats32(c, features)
		if err != nil {
			return err
		}
		y, err := c.Output(0, tensor.Float32, tensor.Shape{rows, 1})
		if err != nil {
			return err
		}
		out := tensor.Data[float32](y)
		kernels := make([]float32, vectors)
		for i := range rows {
			row := x[i*features : (i+1)*features]
			if vectors > 0 {
				k.values(kernels, row, sv)
				linear(out[i:i+1], kernels, coef, rho)
			} else {
				linear(out[i:i+1], row, coef, rho)
			}
			if oneClass {
				out[i] = float32(2*positiveClass(out[i] > 0) - 1)
			}
		}
		return nil
	}, nil
}
