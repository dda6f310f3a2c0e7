package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// pooling is one way to make one number of a window.
type pooling uint8

const (
	average pooling = iota
	lp
)

func poolForms() []*ops.Op {
	op := func(name string, since int, eval func(*ops.Call) error, more ...[]ops.Attr) *ops.Op {
		attrs := form.Join(windowAttrs, form.Join(more...))
		return &ops.Op{Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shapePool, Eval: eval}
	}
	avg := func(c *ops.Call) error { return evalPool(c, average) }
	norm := func(c *ops.Call) error { return evalPool(c, lp) }
	ceil, dilated, counted := form.Int("ceil_mode"), form.Ints("dilations"), form.Int("count_include_pad")
	return []*ops.Op{
		op("AveragePool", 1, avg),
		op("AveragePool", 7, avg, counted),
		op("AveragePool", 10, avg, counted, ceil),
		op("AveragePool", 19, avg, counted, ceil, dilated),
		op("LpPool", 1, norm, form.Float("p")),
		op("LpPool", 2, norm, form.Int("p")),
		op("LpPool", 18, norm, form.Int("p"), ceil, dilated),
	}
}

// newPool is the window of a pool and its output's shape.
func newPool(n *graph.Node, x tensor.Shape) (*window, tensor.Shape, error) {
	in, err := image("X", x)
	if err != nil {
		return nil, nil, err
	}
	w, err := newWindow(n, in, kernelAttr(n))
	if err != nil {
		return nil, nil, err
	}
	s := append(tensor.Shape{x[0], x[1]}, w.out...)
	return w, s, s.Check()
}

func shapePool(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 1, d) {
		return nil
	}
	_, s, err := newPool(c.Node, c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// power is the exponent of an LpPool or GlobalLpPool: a float in opset 1.
func power(n *graph.Node) float64 {
	if a := n.Attrs["p"]; a != nil && a.Kind == graph.AttrFloat {
		return float64(a.F)
	}
	return float64(n.Attrs.Int("p", 2))
}

func evalPool(c *ops.Call, kind pooling) error {
	x := c.T(0)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	w, s, err := newPool(c.Node, x.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	acc := make([]float64, y.Elements())
	if kind == lp {
		p := power(c.Node)
		pow := make([]float64, len(v))
		for i, e := range v {
			pow[i] = math.Pow(math.Abs(e), p)
		}
		sumPool(w, acc, pow, s)
		for i, e := range acc {
			acc[i] = math.Pow(e, 1/p)
		}
		return tensor.StoreFloat64s(y, acc)
	}
	sumPool(w, acc, v, s)
	counts := w.counts(c.Node.Attrs.Int("count_include_pad", 0) != 0)
	for i := range acc {
		acc[i] /= counts[i%len(counts)]
	}
	return tensor.StoreFloat64s(y, acc)
}

// sumPool adds up each window of each plane.
func sumPool(w *window, acc, x []float64, s tensor.Shape) {
	size, spots := tensor.Shape(w.in).Elements(), tensor.Shape(w.out).Elements()
	planes := s[0] * s[1]
	w.visit(0, spots, func(_, at, n, from, step int) {
		for p := range planes {
			to, src := acc[p*spots+at:][:n], x[p*size+from:]
			for i := range to {
				to[i] += src[i*step]
			}
		}
	})
}

// counts is the number of elements that each window averages over; with padded, its
// elements in the explicit padding count too, those beyond it never do.
func (w *window) counts(padded bool) []float64 {
	perAxis := make([][]float64, len(w.out))
	for a := range w.out {
		lo, hi := w.begin[a], w.begin[a]+w.in[a]
		if padded {
			lo, hi = 0, hi+w.end[a]
		}
		perAxis[a] = make([]float64, w.out[a])
		for o := range perAxis[a] {
			for k := range w.kernel[a] {
				if p := o*w.stride[a] + k*w.dilation[a]; p >= lo && p < hi {
					perAxis[a][o]++
				}
			}
		}
	}
	out := make([]float64, tensor.Shape(w.out).Elements())
	idx := make([]int, len(w.out))
	for i := range out {
		out[i] = 1
		for a, o := range idx {
			out[i] *= perAxis[a][o]
		}
		odometer(idx, w.out)
	}
	return out
}

func globalForms() []*ops.Op {
	op := func(name string, since int, attrs []ops.Attr, f func(n *graph.Node, line []float64) float64) *ops.Op {
		return &ops.Op{Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shapeGlobal, Eval: func(c *ops.Call) error { return evalGlobal(c, f) }}
	}
	return []*ops.Op{
		op("GlobalAveragePool", 1, nil, globalAverage),
		op("GlobalMaxPool", 1, nil, globalMax),
		op("GlobalLpPool", 1, form.Float("p"), globalLp),
		op("GlobalLpPool", 2, form.Int("p"), globalLp),
	}
}

func globalShape(s tensor.Shape) (tensor.Shape, error) {
	if len(s) < 2 {
		return nil, fmt.Errorf("expected rank 2 or more, got shape %v", s)
	}
	out := tensor.Shape{s[0], s[1]}
	for range s[2:] {
		out = append(out, 1)
	}
	return out, nil
}

func shapeGlobal(c *ops.ShapeCall) error {
	if !known(c, 1, c.In[0].DType) {
		return nil
	}
	s, err := globalShape(c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

// evalGlobal pools each plane to one number.
func evalGlobal(c *ops.Call, f func(n *graph.Node, line []float64) float64) error {
	x := c.T(0)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	s, err := globalShape(x.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	out := make([]float64, y.Elements())
	size := x.Shape[2:].Elements()
	for i := range out {
		out[i] = f(c.Node, v[i*size:(i+1)*size])
	}
	return tensor.StoreFloat64s(y, out)
}

func globalAverage(_ *graph.Node, line []float64) float64 {
	s := 0.0
	for _, v := range line {
		s += v
	}
	return s / float64(len(line))
}

func globalMax(_ *graph.Node, line []float64) float64 {
	m := math.Inf(-1)
	for _, v := range line {
		m = max(m, v)
	}
	return m
}

func globalLp(n *graph.Node, line []float64) float64 {
	p, s := power(n), 0.0
	for _, v := range line {
		s += math.Pow(math.Abs(v), p)
	}
	return math.Pow(s, 1/p)
}
