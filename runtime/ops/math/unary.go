package math

import (
	gomath "math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// scalarFunc makes the function of one element from a node's attributes. It computes in
// float64; the result is rounded to the element type. The rounder is the element
// type's, for definitions that round between steps.
type scalarFunc func(n *graph.Node, r func(float64) float64) func(float64) float64

func plain(f func(float64) float64) scalarFunc {
	return func(*graph.Node, func(float64) float64) func(float64) float64 { return f }
}

// real is a floating-point operator of one tensor: y = f(x).
type real struct {
	name     string
	since    int
	consumed bool // the opset-1 form carries consumed_inputs
	attrs    []ops.Attr
	f        scalarFunc
}

var reals = []real{
	{"Acos", 7, false, nil, plain(gomath.Acos)},
	{"Acosh", 9, false, nil, plain(gomath.Acosh)},
	{"Asin", 7, false, nil, plain(gomath.Asin)},
	{"Asinh", 9, false, nil, plain(gomath.Asinh)},
	{"Atan", 7, false, nil, plain(gomath.Atan)},
	{"Atanh", 9, false, nil, plain(gomath.Atanh)},
	{"Ceil", 1, true, nil, plain(gomath.Ceil)},
	{"Celu", 12, false, form.Float("alpha"), celu},
	{"Cos", 7, false, nil, plain(gomath.Cos)},
	{"Cosh", 9, false, nil, plain(gomath.Cosh)},
	{"Elu", 1, true, form.Float("alpha"), elu},
	{"Erf", 9, false, nil, plain(gomath.Erf)},
	{"Exp", 1, true, nil, plain(gomath.Exp)},
	{"Floor", 1, true, nil, plain(gomath.Floor)},
	{"Gelu", 20, false, form.Str("approximate"), gelu},
	{"HardSigmoid", 1, true, form.Float("alpha", "beta"), hardSigmoid},
	{"HardSwish", 14, false, nil, plain(hardSwish)},
	{"LeakyRelu", 1, true, form.Float("alpha"), leakyRelu},
	{"Log", 1, true, nil, plain(gomath.Log)},
	{"Mish", 18, false, nil, plain(func(x float64) float64 { return x * gomath.Tanh(softplus(x)) })},
	{"Reciprocal", 1, true, nil, plain(func(x float64) float64 { return 1 / x })},
	{"Round", 11, false, nil, plain(gomath.RoundToEven)},
	{"Sigmoid", 1, true, nil, plain(sigmoid)},
	{"Sin", 7, false, nil, plain(gomath.Sin)},
	{"Sinh", 9, false, nil, plain(gomath.Sinh)},
	{"Softplus", 1, false, nil, plain(softplus)},
	{"Softsign", 1, false, nil, plain(func(x float64) float64 { return x / (1 + gomath.Abs(x)) })},
	{"Sqrt", 1, true, nil, plain(gomath.Sqrt)},
	{"Swish", 24, false, form.Float("alpha"), swish},
	{"Tan", 7, false, nil, plain(gomath.Tan)},
	{"Tanh", 1, true, nil, plain(gomath.Tanh)},
	{"ThresholdedRelu", 10, false, form.Float("alpha"), thresholdedRelu},
}

func (u real) forms() []*ops.Op {
	op := ops.Op{
		Name: u.name, Since: u.since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: u.attrs, Shape: form.Same, Eval: evalReal(u.f),
	}
	return withConsumed(op, u.consumed)
}

// withConsumed gives the forms of an operator whose opset-1 form alone carries
// consumed_inputs.
func withConsumed(op ops.Op, consumed bool) []*ops.Op {
	if !consumed {
		return []*ops.Op{&op}
	}
	first := op
	first.Since, first.Attrs = 1, form.Join(op.Attrs, form.Consumed())
	op.Since = 6
	return []*ops.Op{&first, &op}
}

func evalReal(f scalarFunc) func(*ops.Call) error {
	return func(c *ops.Call) error {
		x := c.T(0)
		if err := form.NeedReal("input", x); err != nil {
			return err
		}
		y, err := c.Output(0, x.DType, x.Shape)
		if err != nil {
			return err
		}
		g := f(c.Node, form.Rounder(x.DType))
		if x.DType == tensor.Float64 {
			return mapReal[float64](y, x, g)
		}
		return mapReal[float32](y, x, g)
	}
}

func mapReal[T form.Real](y, x *tensor.Tensor, g func(float64) float64) error {
	src, err := form.Load[T](x)
	if err != nil {
		return err
	}
	dst, flush := form.Sink[T](y)
	for i, v := range src {
		dst[i] = T(g(float64(v)))
	}
	return flush()
}

func sigmoid(x float64) float64 {
	if x > 0 {
		return 1 / (1 + gomath.Exp(-x))
	}
	e := gomath.Exp(x)
	return e / (1 + e)
}

func softplus(x float64) float64 {
	return max(x, 0) + gomath.Log1p(gomath.Exp(-gomath.Abs(x)))
}

func hardSwish(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }

func celu(n *graph.Node, _ func(float64) float64) func(float64) float64 {
	a := float64(n.Attrs.Float("alpha", 1))
	return func(x float64) float64 { return max(0, x) + min(0, a*gomath.Expm1(x/a)) }
}

func elu(n *graph.Node, _ func(float64) float64) func(float64) float64 {
	a := float64(n.Attrs.Float("alpha", 1))
	return func(x float64) float64 {
		if x > 0 {
			return x
		}
		return a * gomath.Expm1(x)
	}
}

func gelu(n *graph.Node, _ func(float64) float64) func(float64) float64 {
	if n.Attrs.Str("approximate", "none") == "tanh" {
		k := gomath.Sqrt(2 / gomath.Pi)
		return func(x float64) float64 {
			return 0.5 * x * (1 + gomath.Tanh(k*(x+0.044715*x*x*x)))
		}
	}
	return func(x float64) float64 { return 0.5 * x * (1 + gomath.Erf(x/gomath.Sqrt2)) }
}

func hardSigmoid(n *graph.Node, _ func(float64) float64) func(float64) float64 {
	a, b := float64(n.Attrs.Float("alpha", 0.2)), float64(n.Attrs.Float("beta", 0.5))
	return func(x float64) float64 { return max(0, min(1, x*a+b)) }
}

func leakyRelu(n *graph.Node, _ func(float64) float64) func(float64) float64 {
	a := float64(n.Attrs.Float("alpha", 0.01))
	return func(x float64) float64 {
		if x < 0 {
			return x * a
		}
		return x
	}
}

func thresholdedRelu(n *graph.Node, _ func(float64) float64) func(float64) float64 {
	a := float64(n.Attrs.Float("alpha", 1))
	return func(x float64) float64 {
		if x > a {
			return x
		}
		return 0
	}
}

func swish(n *graph.Node, r func(float64) float64) func(float64) float64 {
	a := float64(n.Attrs.Float("alpha", 1))
	return func(x float64) float64 { return x * r(swishGate(a, x, r)) }
}

// swishGate is the logistic function of a·x with the roundings of its definition.
func swishGate(a, x float64, r func(float64) float64) float64 {
	return r(1 / r(1+r(gomath.Exp(r(-a*x)))))
}
