package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// gelus are Gelu, BiasGelu, FastGelu and QuickGelu: a pointwise function of the input
// plus, where there is a second input, a bias along the last axis.
func gelus() []*ops.Op {
	op := func(name string, least, most int, attrs []ops.Attr, f func(graph.Attrs) func(float64) float64) *ops.Op {
		return &ops.Op{
			Name: name, Domain: Domain, Since: 1, MinIn: least, MaxIn: most, MinOut: 1, MaxOut: 1,
			Attrs: attrs, Shape: form.Same,
			Eval: func(c *ops.Call) error { return biased(c, f(c.Node.Attrs)) },
		}
	}
	exact := func(graph.Attrs) func(float64) float64 { return gelu }
	return []*ops.Op{
		op("Gelu", 1, 1, nil, exact),
		op("BiasGelu", 2, 2, nil, exact),
		op("FastGelu", 1, 2, nil, func(graph.Attrs) func(float64) float64 { return fastGelu }),
		op("QuickGelu", 1, 1, form.Float("alpha"), func(a graph.Attrs) func(float64) float64 {
			alpha := float64(a.Float("alpha", 1.702))
			return func(x float64) float64 { return x * sigmoid(alpha*x) }
		}),
	}
}

func gelu(x float64) float64 { return 0.5 * x * (1 + math.Erf(x*math.Sqrt2/2)) }

func fastGelu(x float64) float64 {
	const a = 0.7978845608028654 // √(2/π)
	return 0.5 * x * (1 + math.Tanh(x*(a+a*0.044715*x*x)))
}

func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

func biased(c *ops.Call, f func(float64) float64) error {
	x := c.T(0)
	if err := form.NeedReal("input 0", x); err != nil {
		return err
	}
	in, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	var bias []float64
	if c.Has(1) {
		if err := form.NeedReal("input 1", c.T(1)); err != nil {
			return err
		}
		if bias, err = tensor.Float64s(c.T(1)); err != nil {
			return err
		}
		if n, err := lastAxis(x); err != nil || n != len(bias) {
			return fmt.Errorf("input 1 is %v, which does not fit the last axis of %v", c.T(1), x)
		}
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	out, store := form.Sink[float64](y)
	for i, v := range in {
		if bias != nil {
			v += bias[i%len(bias)]
		}
		out[i] = f(v)
	}
	return store()
}
