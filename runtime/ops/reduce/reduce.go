package reduce

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// kind is one member of the Reduce family.
type kind uint8

const (
	sum kind = iota
	mean
	prod
	maximum
	minimum
	l1
	l2
	sumSquare
	logSum
	logSumExp
)

// reduceForms are a member's forms: axes are an attribute before opset inputSince, an
// input from then on.
func reduceForms(name string, k kind, inputSince int) []*ops.Op {
	op := func(since, maxIn int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{
			Name: name, Since: since, MinIn: 1, MaxIn: maxIn, MinOut: 1, MaxOut: 1, Attrs: attrs,
			Shape: shapeReduce, Eval: func(c *ops.Call) error { return evalReduce(c, k) },
		}
	}
	return []*ops.Op{
		op(1, 1, form.Join(form.Ints("axes"), form.Int("keepdims"))),
		op(inputSince, 2, form.Int("keepdims", "noop_with_empty_axes")),
	}
}

func axesOf(n *graph.Node, t *tensor.Tensor) ([]int64, error) {
	if t == nil {
		return n.Attrs.Ints("axes"), nil
	}
	if t.DType != tensor.Int64 || t.Rank() > 1 {
		return nil, fmt.Errorf("axes: expected int64 of rank 1, got %v", t)
	}
	return tensor.Data[int64](t), nil
}

func shapeReduce(c *ops.ShapeCall) error {
	d := c.In[0].DType
	var at *tensor.Tensor
	if c.Has(1) {
		at = c.In[1].Tensor()
	}
	if !c.Known(1) || c.Has(1) && at == nil {
		c.SetType(0, d)
		return nil
	}
	axes, err := axesOf(c.Node, at)
	if err != nil {
		return err
	}
	p, err := newPlan(c.In[0].Shape, axes, c.Node)
	if err != nil {
		return err
	}
	c.Set(0, d, p.out)
	return nil
}

func evalReduce(c *ops.Call, k kind) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("data is missing")
	}
	axes, err := axesOf(c.Node, c.T(1))
	if err != nil {
		return err
	}
	p, err := newPlan(x.Shape, axes, c.Node)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, p.out)
	if err != nil {
		return err
	}
	whole := x.DType.IsInt() || x.DType == tensor.Bool
	if whole && k != l2 && k != logSum && k != logSumExp {
		return reduceInts(k, p, y, x)
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	acc := make([]float64, y.Elements())
	reduceFloats(k, p, acc, v)
	if whole {
		return tensor.StoreInt64s(y, truncate(acc))
	}
	return tensor.StoreFloat64s(y, acc)
}

func truncate(v []float64) []int64 {
	out := make([]int64, len(v))
	for i, e := range v {
		out[i] = int64(e)
	}
	return out
}

func reduceFloats(k kind, p plan, acc, v []float64) {
	add := func(a, x float64) float64 { return a + x }
	switch k {
	case sum, mean:
		addUp(p, acc, v)
	case logSum:
		addUp(p, acc, v)
	case prod:
		run(p, acc, v, 1, func(a, x float64) float64 { return a * x })
	case maximum:
		run(p, acc, v, math.Inf(-1), func(a, x float64) float64 { return max(a, x) })
	case minimum:
		run(p, acc, v, math.Inf(1), func(a, x float64) float64 { return min(a, x) })
	case l1:
		run(p, acc, v, 0, func(a, x float64) float64 { return a + math.Abs(x) })
	case l2, sumSquare:
		run(p, acc, v, 0, func(a, x float64) float64 { return a + x*x })
	case logSumExp:
		sumExp(p, acc, v, add)
		return
	}
	for i, a := range acc {
		switch k {
		case mean:
			acc[i] = a / float64(p.count)
		case l2:
			acc[i] = math.Sqrt(a)
		case logSum:
			acc[i] = math.Log(a)
		}
	}
}

// sumExp computes log Σ exp(x), taking the largest finite element out of the exponent.
func sumExp(p plan, acc, v []float64, add func(a, x float64) float64) {
	top := make([]float64, len(acc))
	run(p, top, v, math.Inf(-1), func(a, x float64) float64 {
		if math.IsInf(x, 1) {
			return a
		}
		return max(a, x)
	})
	for i, t := range top {
		if math.IsInf(t, -1) {
			top[i] = 0
		}
	}
	shifted := make([]float64, len(v))
	tensor.NewWalker(p.in, p.keep).Run(func(at, n int, off, step []int) {
		for i := range n {
			shifted[at+i] = math.Exp(v[at+i] - top[off[0]+i*step[0]])
		}
	})
	run(p, acc, shifted, 0, add)
	for i, a := range acc {
		acc[i] = math.Log(a) + top[i]
	}
}

func addUp(p plan, acc, v []float64) {
	tensor.NewWalker(p.in, p.keep).Run(func(at, n int, off, step []int) {
		if step[0] == 0 {
			s := acc[off[0]]
			for _, x := range v[at : at+n] {
				s += x
			}
			acc[off[0]] = s
			return
		}
		dst := acc[off[0] : off[0]+n]
		for i, x := range v[at : at+n] {
			dst[i] += x
		}
	})
}

// run folds every element into its accumulator, which begins as init.
func run[T float64 | int64](p plan, acc, v []T, init T, f func(a, x T) T) {
	for i := range acc {
		acc[i] = init
	}
	tensor.NewWalker(p.in, p.keep).Run(func(at, n int, off, step []int) {
		if step[0] == 0 {
			s := acc[off[0]]
			for _, x := range v[at : at+n] {
				s = f(s, x)
			}
			acc[off[0]] = s
			return
		}
		for i, x := range v[at : at+n] {
			acc[off[0]+i] = f(acc[off[0]+i], x)
		}
	})
}
