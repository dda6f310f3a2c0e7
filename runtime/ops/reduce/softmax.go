package reduce

import (
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// softForms are the forms of a softmax-like operator: before opset 13 it works on all
// axes from axis (default 1) on as if they were one, since then on one axis (default −1).
func softForms(name string, f softFunc) []*ops.Op {
	op := func(since int) *ops.Op {
		return &ops.Op{
			Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: form.Int("axis"),
			Shape: shapeSoft, Eval: func(c *ops.Call) error { return evalSoft(c, f) },
		}
	}
	return []*ops.Op{op(1), op(13)}
}

// softFunc computes one line: y and x hold n elements. half, where it is set, gives the
// function for a type of 16 bits.
type softFunc struct {
	f32  func(y, x []float32)
	f64  func(y, x []float64)
	half func(tensor.DType) func(y, x []float32)
}

func softAlong(n *graph.Node, s tensor.Shape) (along, error) {
	if n.Opset >= 13 {
		if len(s) == 0 {
			return along{1, 1, 1}, nil
		}
		axis, err := tensor.Axis(n.Attrs.Int("axis", -1), len(s))
		if err != nil {
			return along{}, err
		}
		return split(s, axis), nil
	}
	at := n.Attrs.Int("axis", 1)
	rank := len(s)
	if at >= 0 {
		rank++
	}
	axis, err := tensor.Axis(at, rank)
	if err != nil {
		return along{}, err
	}
	return along{s[:axis].Elements(), s[axis:].Elements(), 1}, nil
}

func shapeSoft(c *ops.ShapeCall) error {
	if c.Known(1) {
		if _, err := softAlong(c.Node, c.In[0].Shape); err != nil {
			return err
		}
	}
	return form.Same(c)
}

func evalSoft(c *ops.Call, f softFunc) error {
	x := c.T(0)
	if err := form.NeedReal("input", x); err != nil {
		return err
	}
	g, err := softAlong(c.Node, x.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	switch {
	case x.DType == tensor.Float64:
		return lines(g, y, x, f.f64)
	case x.DType != tensor.Float32 && f.half != nil:
		return lines(g, y, x, f.half(x.DType))
	}
	return lines(g, y, x, f.f32)
}

// lines applies f to every line along the axis.
func lines[T form.Real](g along, y, x *tensor.Tensor, f func(y, x []T)) error {
	src, err := form.Load[T](x)
	if err != nil {
		return err
	}
	dst, flush := form.Sink[T](y)
	if g.n > 0 && g.inner == 1 {
		for o := range g.outer {
			f(dst[o*g.n:(o+1)*g.n], src[o*g.n:(o+1)*g.n])
		}
		return flush()
	}
	in, out := make([]T, g.n), make([]T, g.n)
	for o := range g.outer {
		for i := range g.inner {
			base := o*g.n*g.inner + i
			for k := range in {
				in[k] = src[base+k*g.inner]
			}
			if g.n > 0 {
				f(out, in)
			}
			for k := range out {
				dst[base+k*g.inner] = out[k]
			}
		}
	}
	return flush()
}

func softmax[T form.Real](y, x []T) {
	m := x[0]
	for _, v := range x {
		m = max(m, v)
	}
	s := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - m))
		y[i] = T(e)
		s += e
	}
	for i := range y {
		y[i] = T(float64(y[i]) / s)
	}
}

// softmaxHalf rounds after each primitive of the standard's function body, as its
// reference does; see form.SumRounded for the sum.
func softmaxHalf(d tensor.DType) func(y, x []float32) {
	round := form.Rounder(d)
	return func(y, x []float32) {
		m := x[0]
		for _, v := range x {
			m = max(m, v)
		}
		for i, v := range x {
			y[i] = float32(round(math.Exp(round(float64(v) - float64(m)))))
		}
		s := form.SumRounded(d, y)
		for i, e := range y {
			y[i] = float32(round(float64(e) / s))
		}
	}
}

func logSoftmax[T form.Real](y, x []T) {
	m := x[0]
	for _, v := range x {
		m = max(m, v)
	}
	s := 0.0
	for _, v := range x {
		s += math.Exp(float64(v - m))
	}
	l := math.Log(s)
	for i, v := range x {
		y[i] = T(float64(v-m) - l)
	}
}

// hardmax is 1 at the first of the greatest elements and 0 elsewhere.
func hardmax[T form.Real](y, x []T) {
	best := 0
	for i, v := range x {
		y[i] = 0
		if beats(v, x[best], false) {
			best = i
		}
	}
	y[best] = 1
}
