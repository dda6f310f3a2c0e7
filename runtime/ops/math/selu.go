package math

import (
	gomath "math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// selu gives Selu's forms: opset 1 has shorter default coefficients than opset 6.
func selu() []*ops.Op {
	make := func(since int, alpha, gamma float32, attrs []ops.Attr) *ops.Op {
		return &ops.Op{
			Name: "Selu", Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: form.Same,
			Eval: evalReal(func(n *graph.Node, _ func(float64) float64) func(float64) float64 {
				a, g := float64(n.Attrs.Float("alpha", alpha)), float64(n.Attrs.Float("gamma", gamma))
				return func(x float64) float64 {
					if x > 0 {
						return g * x
					}
					return g * a * gomath.Expm1(x)
				}
			}),
		}
	}
	attrs := form.Float("alpha", "gamma")
	return []*ops.Op{
		make(1, 1.6732, 1.0507, form.Join(attrs, form.Consumed())),
		make(6, 1.67326319217681884765625, 1.05070102214813232421875, attrs),
	}
}
