package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

var flexAttentionAttrs = form.Join(form.Float("scale"), form.Int("softmax_precision"),
	[]ops.Attr{{Name: "score_mod", Kind: graph.AttrGraph}, {Name: "prob_mod", Kind: graph.AttrGraph}})

func newFlex(n *graph.Node, q, k, v tensor.Shape) (*attention, error) {
	if len(q) != 4 {
		return nil, fmt.Errorf("expected Q of rank 4, got shape %v", q)
	}
	return newAttention(n, q, k, v, nil)
}

func shapeFlexAttention(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 3, d) {
		return nil
	}
	a, err := newFlex(c.Node, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, a.out())
	return nil
}

// evalFlexAttention is attention whose scores and probabilities pass through nested
// graphs, in the softmax's precision: float32, float64 for float64 inputs, or as asked.
func evalFlexAttention(c *ops.Call) error {
	q, k, v := c.T(0), c.T(1), c.T(2)
	if err := sameReal(q, k, v); err != nil {
		return err
	}
	if k == nil || v == nil {
		return fmt.Errorf("expected Q, K and V")
	}
	a, err := newFlex(c.Node, q.Shape, k.Shape, v.Shape)
	if err != nil {
		return err
	}
	d := tensor.Float32
	if q.DType == tensor.Float64 {
		d = tensor.Float64
	}
	if code := c.Node.Attrs.Int("softmax_precision", 0); code != 0 {
		d = stash(code)
	}
	if q.DType == tensor.Float64 || d == tensor.Float64 {
		return flex[float64](c, a, d)
	}
	return flex[float32](c, a, d)
}

func flex[T form.Real](c *ops.Call, a *attention, d tensor.DType) error {
	scores := tensor.New(d, a.scores())
	if err := flexScores[T](c, a, scores); err != nil {
		return err
	}
	scores, err := modify(c, "score_mod", scores)
	if err != nil {
		return err
	}
	if scores, err = flexSoftmax(scores); err != nil {
		return err
	}
	if scores, err = modify(c, "prob_mod", scores); err != nil {
		return err
	}
	p, err := form.Load[T](scores)
	if err != nil {
		return err
	}
	v, err := form.Load[T](c.T(2))
	if err != nil {
		return err
	}
	y, err := c.Output(0, c.T(0).DType, a.out())
	if err != nil {
		return err
	}
	dst, flush := form.Sink[T](y)
	n, group := a.keys(), a.heads/a.kvHeads
	for i := range a.batch * a.heads {
		kv := i/a.heads*a.kvHeads + i%a.heads/group
		linalg.Gemm(a.queries, a.dv, n, p[i*a.queries*n:], n, v[kv*n*a.dv:], a.dv, dst[i*a.queries*a.dv:], a.dv)
	}
	return flush()
}

// flexScores computes Q·Kᵀ, each scaled by the root of the scale, rounded to the inputs'
// type and converted to the scores'.
func flexScores[T form.Real](c *ops.Call, a *attention, scores *tensor.Tensor) error {
	q, err := form.Load[T](c.T(0))
	if err != nil {
		return err
	}
	k, err := form.Load[T](c.T(1))
	if err != nil {
		return err
	}
	r := form.Rounder(c.T(0).DType)
	scale := 1 / math.Sqrt(float64(a.dk))
	if c.Node.Attrs.Has("scale") {
		scale = float64(c.Node.Attrs.Float("scale", 1))
	}
	scale = r(math.Sqrt(scale))
	scaled := func(v []T) []T {
		out := make([]T, len(v))
		for i, e := range v {
			out[i] = T(r(float64(e) * scale))
		}
		return out
	}
	q, k = scaled(q), scaled(k)
	dst, flush := form.Sink[T](scores)
	n, group := a.keys(), a.heads/a.kvHeads
	for i := range a.batch * a.heads {
		kv := i/a.heads*a.kvHeads + i%a.heads/group
		kt := linalg.Transpose(k[kv*n*a.dk:(kv+1)*n*a.dk], n, a.dk)
		linalg.Gemm(a.queries, n, a.dk, q[i*a.queries*a.dk:], a.dk, kt, n, dst[i*a.queries*n:], n)
	}
	for i, e := range dst {
		dst[i] = T(r(float64(e)))
	}
	return flush()
}

// modify passes t through the nested graph of an attribute, if there is one.
func modify(c *ops.Call, name string, t *tensor.Tensor) (*tensor.Tensor, error) {
	g := c.Node.Attrs.Graph(name)
	if g == nil {
		return t, nil
	}
	if c.Sub == nil || len(g.In) != 1 || len(g.Out) != 1 {
		return nil, fmt.Errorf("%s: expected a graph of one input and one output", name)
	}
	out, err := c.Sub(g, []tensor.Value{t})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m, ok := out[0].(*tensor.Tensor)
	if !ok || m.DType != t.DType || !m.Shape.Equal(t.Shape) {
		return nil, fmt.Errorf("%s: expected a result of %v, got %v", name, t, m)
	}
	return m, nil
}

// flexSoftmax normalises along the last axis.
func flexSoftmax(t *tensor.Tensor) (*tensor.Tensor, error) {
	v, err := tensor.Float64s(t)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(v))
	n := t.Shape[3]
	for at := 0; n > 0 && at < len(v); at += n {
		top, sum := math.Inf(-1), 0.0
		for _, e := range v[at : at+n] {
			top = max(top, e)
		}
		for i, e := range v[at : at+n] {
			out[at+i] = math.Exp(e - top)
			sum += out[at+i]
		}
		for i := at; i < at+n; i++ {
			out[i] /= sum
		}
	}
	p := tensor.New(t.DType, t.Shape)
	return p, tensor.StoreFloat64s(p, out)
}
