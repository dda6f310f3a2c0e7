package contrib

import (
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// pointwise are the operators of one function of two attributes that ONNX Runtime keeps
// in the standard's domain from its experimental days.
func pointwise() []*ops.Op {
	op := func(name string, alpha, beta float32, f func(x, a, b float64) float64) *ops.Op {
		return &ops.Op{
			Name: name, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
			Attrs: form.Float("alpha", "beta"), Shape: form.Same,
			Eval: func(c *ops.Call) error {
				a, b := float64(c.Node.Attrs.Float("alpha", alpha)), float64(c.Node.Attrs.Float("beta", beta))
				return biased(c, func(x float64) float64 { return f(x, a, b) })
			},
		}
	}
	scale := &ops.Op{
		Name: "Scale", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: form.Float("scale"), Shape: form.Same,
		Eval: func(c *ops.Call) error {
			s := float64(c.Node.Attrs.Float("scale", 1))
			return biased(c, func(x float64) float64 { return s * x })
		},
	}
	return []*ops.Op{
		op("Affine", 1, 0, func(x, a, b float64) float64 { return a*x + b }),
		op("ParametricSoftplus", 1, 1, func(x, a, b float64) float64 { return a * softplus(b*x) }),
		op("ScaledTanh", 1, 1, func(x, a, b float64) float64 { return a * math.Tanh(b*x) }),
		scale,
	}
}

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// activation makes the function that a fused operator applies at its end. p gives its
// parameters in order, with what the standard has where they are left out.
func activation(name string, p func(i int, def float32) float64) (func(float64) float64, bool) {
	switch name {
	case "":
		return nil, true
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }, true
	case "Tanh":
		return math.Tanh, true
	case "Sigmoid":
		return sigmoid, true
	case "Softplus":
		return softplus, true
	case "Softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }, true
	case "LeakyRelu":
		a := p(0, 0.01)
		return func(x float64) float64 {
			if x < 0 {
				return a * x
			}
			return x
		}, true
	case "Elu":
		a := p(0, 1)
		return func(x float64) float64 {
			if x < 0 {
				return a * math.Expm1(x)
			}
			return x
		}, true
	case "Clip":
		lo, hi := p(0, -math.MaxFloat32), p(1, math.MaxFloat32)
		return func(x float64) float64 { return min(max(x, lo), hi) }, true
	case "HardSigmoid":
		a, b := p(0, 0.2), p(1, 0.5)
		return func(x float64) float64 { return min(max(a*x+b, 0), 1) }, true
	}
	return nil, false
}

// params reads activation parameters from a list attribute.
func params(a graph.Attrs, name string) func(int, float32) float64 {
	list := a.Floats(name)
	return func(i int, def float32) float64 {
		if i < len(list) {
			return float64(list[i])
		}
		return float64(def)
	}
}
