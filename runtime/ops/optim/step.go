package optim

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// rule makes the update of one element from the learning rate r and the count t of
// updates: v holds parameter, gradient and states, and gets the new parameter in v[0]
// and the new states in v[2:].
type rule func(a graph.Attrs, r, t float64) (func(v []float64), error)

func step(name string, groups int, attrs []ops.Attr, make rule) *ops.Op {
	// source gives the input of which output i is the successor: the gradients have none.
	source := func(i, n int) int {
		if i < n {
			return 2 + i
		}
		return 2 + n + i
	}
	return &ops.Op{
		Name: name, Domain: Domain, Since: 1, MinIn: 2 + groups, MaxIn: -1, MinOut: groups - 1, MaxOut: -1, Attrs: attrs,
		Shape: func(c *ops.ShapeCall) error {
			n, err := tensors(len(c.In), groups)
			if err != nil {
				return err
			}
			for i := range c.Out {
				if from := source(i, n); from < len(c.In) {
					form.Like(c, i, c.In[from].DType, from)
				}
			}
			return nil
		},
		Eval: func(c *ops.Call) error {
			n, err := tensors(len(c.In), groups)
			if err != nil {
				return err
			}
			r, err := one(c, 0)
			if err != nil {
				return err
			}
			t, err := one(c, 1)
			if err != nil {
				return err
			}
			update, err := make(c.Node.Attrs, r, t)
			if err != nil {
				return err
			}
			for k := range n {
				if err := apply(c, k, n, groups, update); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func tensors(inputs, groups int) (int, error) {
	if (inputs-2)%groups != 0 {
		return 0, fmt.Errorf("%d inputs, expected 2 and a multiple of %d", inputs, groups)
	}
	return (inputs - 2) / groups, nil
}

func one(c *ops.Call, i int) (float64, error) {
	t := c.T(i)
	if t == nil || t.Elements() != 1 {
		return 0, fmt.Errorf("input %d is %v, expected one number", i, t)
	}
	v, err := tensor.Float64s(t)
	if err != nil {
		return 0, fmt.Errorf("input %d: %w", i, err)
	}
	return v[0], nil
}

// apply updates tensor k of n.
func apply(c *ops.Call, k, n, groups int, update func([]float64)) error {
	in := make([][]float64, groups)
	out := make([][]float64, groups)
	var stores []func() error
	at := k
	for g := range groups {
		i := 2 + g*n + k
		x := c.T(i)
		if err := form.NeedReal(fmt.Sprintf("input %d", i), x); err != nil {
			return err
		}
		if !x.Shape.Equal(c.T(2 + k).Shape) {
			return fmt.Errorf("input %d is %v, its parameter is %v", i, x, c.T(2+k))
		}
		var err error
		if in[g], err = tensor.Float64s(x); err != nil {
			return err
		}
		if g == 1 {
			continue
		}
		y, err := c.Output(at, x.DType, x.Shape)
		if err != nil {
			return err
		}
		at += n
		var store func() error
		out[g], store = form.Sink[float64](y)
		stores = append(stores, store)
	}
	v := make([]float64, groups)
	for i := range in[0] {
		for g := range in {
			v[g] = in[g][i]
		}
		update(v)
		for g := range out {
			if g != 1 {
				out[g][i] = v[g]
			}
		}
	}
	for _, store := range stores {
		if err := store(); err != nil {
			return err
		}
	}
	return nil
}

func attr(a graph.Attrs, name string, def float32) float64 { return float64(a.Float(name, def)) }

func adagrad(a graph.Attrs, r, t float64) (func([]float64), error) {
	norm, eps := attr(a, "norm_coefficient", 0), attr(a, "epsilon", 1e-6)
	r /= 1 + t*attr(a, "decay_factor", 0)
	return func(v []float64) {
		g := norm*v[0] + v[1]
		v[2] += g * g
		v[0] -= r * g / (math.Sqrt(v[2]) + eps)
	}, nil
}

func adam(a graph.Attrs, r, t float64) (func([]float64), error) {
	norm, post, eps := attr(a, "norm_coefficient", 0), attr(a, "norm_coefficient_post", 0), attr(a, "epsilon", 1e-6)
	alpha, beta := attr(a, "alpha", 0.9), attr(a, "beta", 0.999)
	if t > 0 {
		r *= math.Sqrt(1-math.Pow(beta, t)) / (1 - math.Pow(alpha, t))
	}
	return func(v []float64) {
		g := norm*v[0] + v[1]
		v[2] = alpha*v[2] + (1-alpha)*g
		v[3] = beta*v[3] + (1-beta)*g*g
		v[0] = (1 - post) * (v[0] - r*v[2]/(math.Sqrt(v[3])+eps))
	}, nil
}

func momentum(a graph.Attrs, r, t float64) (func([]float64), error) {
	norm, alpha, beta := attr(a, "norm_coefficient", 0), attr(a, "alpha", 0), attr(a, "beta", 0)
	mode := a.Str("mode", "")
	if mode != "standard" && mode != "nesterov" {
		return nil, fmt.Errorf("mode %q is unknown", mode)
	}
	if t <= 0 {
		beta = 1
	}
	return func(v []float64) {
		g := norm*v[0] + v[1]
		v[2] = alpha*v[2] + beta*g
		if mode == "standard" {
			v[0] -= r * v[2]
		} else {
			v[0] -= r * (g + alpha*v[2])
		}
	}, nil
}
