package ml

import (
	"fmt"
	"sync"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func treeEnsembleRegressor() []*ops.Op {
	var out []*ops.Op
	for _, since := range []int{1, 3} {
		out = append(out, &ops.Op{
			Name: "TreeEnsembleRegressor", Domain: Domain, Since: since,
			MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
			Attrs: form.Join(treeAttrs(since, "target"), form.Int("n_targets"), form.Str("aggregate_function")),
			Shape: func(c *ops.ShapeCall) error {
				return rowShape(int(c.Node.Attrs.Int("n_targets", 0)), c)
			},
			Bind: bindTreeRegressor, Eval: ops.Bound(bindTreeRegressor),
		})
	}
	return out
}

// maxTargets bounds n_targets, which sizes the scores before any leaf is read.
const maxTargets = 1 << 20

// NewRegressor reads the attributes of a TreeEnsembleRegressor.
func NewRegressor[T float32 | float64](n *graph.Node) (*Ensemble[T], error) {
	a := n.Attrs
	e := &Ensemble[T]{}
	t := a.Int("n_targets", 0)
	if t < 1 || t > maxTargets {
		return nil, fmt.Errorf("n_targets is %d, expected 1 to %d", t, maxTargets)
	}
	e.Targets = int(t)
	var err error
	if e.Post, err = parsePost(a.Str("post_transform", "NONE")); err != nil {
		return nil, err
	}
	if e.Aggregate, err = parseAggregate(a.Str("aggregate_function", "SUM")); err != nil {
		return nil, err
	}
	if e.Base, err = numbers[T](a, "base_values"); err != nil {
		return nil, err
	}
	ix, err := treeNodes(a, e)
	if err != nil {
		return nil, err
	}
	if err := leafWeights(a, "target", ix, e); err != nil {
		return nil, err
	}
	return e, e.check()
}

func parseAggregate(s string) (Aggregate, error) {
	switch s {
	case "AVERAGE":
		return Average, nil
	case "SUM":
		return Sum, nil
	case "MIN":
		return Min, nil
	case "MAX":
		return Max, nil
	}
	return 0, fmt.Errorf("aggregate_function %q is unknown", s)
}

func bindTreeRegressor(n *graph.Node) (func(*ops.Call) error, error) {
	e, err := NewRegressor[float32](n)
	if err != nil {
		return nil, err
	}
	wide := sync.OnceValues(func() (*Ensemble[float64], error) { return NewRegressor[float64](n) })
	double := hasDouble(n.Attrs)
	if double {
		if _, err := wide(); err != nil {
			return nil, err
		}
	}
	return func(c *ops.Call) error {
		if c.T(0).DType != tensor.Float64 && !double {
			x, err := tensor.Float32s(c.T(0))
			if err != nil {
				return err
			}
			return regress(e, c, x, tensor.Float32)
		}
		x, err := tensor.Float64s(c.T(0))
		if err != nil {
			return err
		}
		w, err := wide()
		if err != nil {
			return err
		}
		return regress(w, c, x, tensor.Float32)
	}, nil
}

// regress runs an ensemble over all rows into output 0 of type d, [N, Targets].
func regress[T float32 | float64](e *Ensemble[T], c *ops.Call, x []T, d tensor.DType) error {
	n, features, err := rows(c.T(0).Shape)
	if err != nil {
		return err
	}
	if features < e.Features {
		return fmt.Errorf("input 0 has %d features, the trees ask for feature %d", features, e.Features-1)
	}
	t, err := c.Output(0, d, tensor.Shape{n, e.Targets})
	if err != nil {
		return err
	}
	out := make([]T, n*e.Targets)
	s := &scores[T]{make([]T, e.Targets), make([]bool, e.Targets)}
	for i := range n {
		e.gather(x[i*features:(i+1)*features], s)
		e.finish(s)
		e.transform(s.v)
		copy(out[i*e.Targets:], s.v)
	}
	switch v := any(out).(type) {
	case []float32:
		return tensor.StoreFloat32s(t, v)
	case []float64:
		return tensor.StoreFloat64s(t, v)
	}
	return nil
}

// transform applies the end transform, in float32. A single target knows only a probit.
func (e *Ensemble[T]) transform(v []T) {
	if e.Post == None || len(v) == 1 && e.Post != Probit {
		return
	}
	f := make([]float32, len(v))
	for i := range v {
		f[i] = float32(v[i])
	}
	e.Post.Apply(f)
	for i := range v {
		v[i] = T(f[i])
	}
}
