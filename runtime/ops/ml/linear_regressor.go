package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func linearRegressor() []*ops.Op {
	return []*ops.Op{{
		Name: "LinearRegressor", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Floats("coefficients", "intercepts"), form.Int("targets"), form.Str("post_transform")),
		Shape: func(c *ops.ShapeCall) error { return rowShape(int(c.Node.Attrs.Int("targets", 1)), c) },
		Bind:  bindLinearRegressor, Eval: ops.Bound(bindLinearRegressor),
	}}
}

func bindLinearRegressor(n *graph.Node) (func(*ops.Call) error, error) {
	a := n.Attrs
	coef, intercepts := a.Floats("coefficients"), a.Floats("intercepts")
	post, err := parsePost(a.Str("post_transform", "NONE"))
	if err != nil {
		return nil, err
	}
	t := a.Int("targets", 1)
	if t < 1 || t > maxTargets || len(coef) == 0 || len(coef)%int(t) != 0 {
		return nil, fmt.Errorf("%d coefficients do not fit %d targets", len(coef), t)
	}
	targets := int(t)
	if len(intercepts) != targets {
		intercepts = nil
	}
	features := len(coef) / targets
	return func(c *ops.Call) error {
		x, rows, err := floats32(c, features)
		if err != nil {
			return err
		}
		y, err := c.Output(0, tensor.Float32, tensor.Shape{rows, targets})
		if err != nil {
			return err
		}
		out := tensor.Data[float32](y)
		for i := range rows {
			z := out[i*targets : (i+1)*targets]
			linear(z, x[i*features:(i+1)*features], coef, intercepts)
			if targets == 1 {
				z[0], _, _ = post.pair(z[0], alone)
			} else {
				post.Apply(z)
			}
		}
		return nil
	}, nil
}
