package random

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// source makes the generator of one application from the attribute seed.
func source(a graph.Attrs) *rand.Rand {
	if a.Has("seed") {
		return rand.New(rand.NewPCG(uint64(math.Float32bits(a.Float("seed", 0))), 0x9e3779b97f4a7c15))
	}
	return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
}

// dtypeOf reads the attribute dtype; def holds where it is absent.
func dtypeOf(a graph.Attrs, def tensor.DType) (tensor.DType, error) {
	if !a.Has("dtype") {
		return def, nil
	}
	d, ok := tensor.FromONNX(a.Int("dtype", 0))
	if !ok {
		return 0, fmt.Errorf("dtype %d is unknown", a.Int("dtype", 0))
	}
	return d, nil
}

// distributions are RandomNormal, RandomUniform and their Like forms.
func distributions() []*ops.Op {
	var out []*ops.Op
	for _, since := range []int{1, 22} {
		out = append(out,
			distribution("RandomNormal", since, false, normal), distribution("RandomNormalLike", since, true, normal),
			distribution("RandomUniform", since, false, uniform), distribution("RandomUniformLike", since, true, uniform))
	}
	return out
}

func normal(a graph.Attrs, r *rand.Rand, v []float64) {
	mean, scale := float64(a.Float("mean", 0)), float64(a.Float("scale", 1))
	for i := range v {
		v[i] = mean + scale*r.NormFloat64()
	}
}

func uniform(a graph.Attrs, r *rand.Rand, v []float64) {
	low, high := float64(a.Float("low", 0)), float64(a.Float("high", 1))
	for i := range v {
		v[i] = low + (high-low)*r.Float64()
	}
}

func distribution(name string, since int, like bool, fill func(graph.Attrs, *rand.Rand, []float64)) *ops.Op {
	attrs := form.Join(form.Int("dtype"), form.Float("seed"))
	if name[:8] == "RandomNo" {
		attrs = append(attrs, form.Float("mean", "scale")...)
	} else {
		attrs = append(attrs, form.Float("low", "high")...)
	}
	inputs := 1
	if !like {
		inputs = 0
		attrs = append(attrs, form.Required(form.Ints("shape"))...)
	}
	return &ops.Op{
		Name: name, Since: since, MinIn: inputs, MaxIn: inputs, MinOut: 1, MaxOut: 1, Attrs: attrs, Impure: true,
		Shape: func(c *ops.ShapeCall) error {
			if like {
				d, err := floatType(c.Node.Attrs, c.In[0].DType)
				if err != nil {
					return err
				}
				form.Like(c, 0, d, 0)
				return nil
			}
			d, err := floatType(c.Node.Attrs, tensor.Float32)
			if err != nil {
				return err
			}
			s, err := tensor.ShapeOf(c.Node.Attrs.Ints("shape"))
			if err != nil {
				return err
			}
			c.Set(0, d, s)
			return nil
		},
		Eval: func(c *ops.Call) error {
			a := c.Node.Attrs
			def := tensor.Float32
			var s tensor.Shape
			var err error
			if like {
				def, s = c.T(0).DType, c.T(0).Shape
			} else if s, err = tensor.ShapeOf(a.Ints("shape")); err != nil {
				return err
			}
			d, err := floatType(a, def)
			if err != nil {
				return err
			}
			t, err := c.Output(0, d, s)
			if err != nil {
				return err
			}
			v, store := form.Sink[float64](t)
			fill(a, source(a), v)
			return store()
		},
	}
}

func floatType(a graph.Attrs, def tensor.DType) (tensor.DType, error) {
	d, err := dtypeOf(a, def)
	if err == nil && d != tensor.Invalid && !form.IsReal(d) {
		err = fmt.Errorf("the output would be %v, expected a floating-point type", d)
	}
	return d, err
}
