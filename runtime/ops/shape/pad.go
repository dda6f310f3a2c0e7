package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func pad() []*ops.Op {
	attrForm := func(since int, name string) *ops.Op {
		return &ops.Op{Name: "Pad", Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
			Attrs: form.Join(form.Required(form.Ints(name)), form.Str("mode"), form.Float("value")),
			Shape: func(c *ops.ShapeCall) error {
				return view(c, func(s tensor.Shape) (tensor.Shape, error) {
					_, out, err := padAxes(s, c.Node.Attrs.Ints(name), nil)
					return out, err
				})
			},
			Eval: func(c *ops.Call) error {
				fill := tensor.New(c.T(0).DType, tensor.Shape{})
				if f := c.Node.Attrs.Float("value", 0); f != 0 {
					if err := convert(fill, tensor.Scalar(f), castOptions{saturate: true}); err != nil {
						return err
					}
				}
				return padEval(c, c.Node.Attrs.Ints(name), nil, fill)
			}}
	}
	inputForm := func(since, maxIn int) *ops.Op {
		return &ops.Op{Name: "Pad", Since: since, MinIn: 2, MaxIn: maxIn, MinOut: 1, MaxOut: 1,
			Attrs: form.Str("mode"), Shape: padShape, Eval: padInputs}
	}
	return []*ops.Op{attrForm(1, "paddings"), attrForm(2, "pads"), inputForm(11, 3), inputForm(18, 4)}
}

func padShape(c *ops.ShapeCall) error {
	c.SetType(0, c.In[0].DType)
	pads, ok, err := form.ConstIntsOf(c, 1)
	if err != nil || !ok {
		return err
	}
	axes, ok, err := form.ConstIntsOf(c, 3)
	if err != nil || !ok {
		return err
	}
	return view(c, func(s tensor.Shape) (tensor.Shape, error) {
		_, out, err := padAxes(s, pads, axes)
		return out, err
	})
}

func padInputs(c *ops.Call) error {
	pads, err := form.IntsOf(c, 1)
	if err != nil {
		return err
	}
	axes, err := form.IntsOf(c, 3)
	if err != nil {
		return err
	}
	fill := tensor.New(c.T(0).DType, tensor.Shape{})
	if v := c.T(2); v != nil && v.Elements() > 0 {
		if v.DType != fill.DType || v.Elements() != 1 {
			return fmt.Errorf("constant_value is %v, expected one %v", v, fill.DType)
		}
		fill = v
	}
	return padEval(c, pads, axes, fill)
}

// margin is what is added to (or, if negative, taken from) one axis.
type margin struct{ before, after int }

func padAxes(s tensor.Shape, pads, axes []int64) ([]margin, tensor.Shape, error) {
	if axes == nil {
		for i := range s {
			axes = append(axes, int64(i))
		}
	}
	ks, err := form.Axes(axes, len(s))
	if err != nil {
		return nil, nil, err
	}
	n := len(ks)
	if len(pads) != 2*n {
		return nil, nil, fmt.Errorf("%d pads for %d axes, expected %d", len(pads), n, 2*n)
	}
	ms, out := make([]margin, len(s)), s.Clone()
	for i, k := range ks {
		b, e := pads[i], pads[n+i]
		if max(b, e) > tensor.MaxElements || min(b, e) < -tensor.MaxElements {
			return nil, nil, fmt.Errorf("pads %v are out of range", pads)
		}
		ms[k] = margin{int(b), int(e)}
		out[k] += int(b + e)
		if s[k]+min(int(b), 0)+min(int(e), 0) < 0 {
			return nil, nil, fmt.Errorf("pads %v take more than axis %d of %v has", pads, k, s)
		}
	}
	return ms, out, out.Check()
}

// edge is how one axis is padded: it is cropped to kept elements from first on, which
// then stand at before in an axis of size elements.
type edge struct {
	first, kept, before, size int
	mode                      string
}

func newEdge(n int, m margin, mode string) (edge, error) {
	e := edge{first: max(-m.before, 0), kept: n + min(m.before, 0) + min(m.after, 0), before: max(m.before, 0), mode: mode}
	e.size = e.before + e.kept + max(m.after, 0)
	if e.kept == 0 && e.size > 0 && mode != "constant" {
		return e, fmt.Errorf("mode %q can't pad an empty axis", mode)
	}
	return e, nil
}

// run gives the input's index that element o of the padded axis takes, −1 for the
// constant, and for how many elements it goes on so.
func (e edge) run(o int) (from, n int) {
	i := o - e.before
	switch {
	case i >= 0 && i < e.kept:
		return e.first + i, e.kept - i
	case e.mode == "constant" && i < 0:
		return -1, -i
	case e.mode == "constant":
		return -1, e.size - o
	case e.mode == "edge":
		return e.first + min(max(i, 0), e.kept-1), 1
	case e.mode == "wrap":
		i = ((i % e.kept) + e.kept) % e.kept
		return e.first + i, 1
	}
	return e.first + mirror(i, e.kept), 1
}

// mirror reflects an index about the first and last elements until it is inside.
func mirror(i, n int) int {
	if n == 1 {
		return 0
	}
	p := 2 * (n - 1)
	i = ((i % p) + p) % p
	return min(i, p-i)
}

func padEval(c *ops.Call, pads, axes []int64, fill *tensor.Tensor) error {
	x := c.T(0)
	mode := c.Node.Attrs.Str("mode", "constant")
	switch mode {
	case "constant", "reflect", "edge", "wrap":
	default:
		return fmt.Errorf("mode is %q, expected constant, reflect, edge or wrap", mode)
	}
	ms, s, err := padAxes(x.Shape, pads, axes)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil || s.Elements() == 0 {
		return err
	}
	rank := len(s)
	for rank > 0 && ms[rank-1] == (margin{}) {
		rank--
	}
	edges := make([]edge, rank)
	for k := range edges {
		if edges[k], err = newEdge(x.Shape[k], ms[k], mode); err != nil {
			return err
		}
	}
	p := padder{dst: layout.Open(y), src: layout.Open(x), fill: layout.Open(fill), edges: edges,
		to: s.Strides(), from: x.Shape.Strides(), inner: s[rank:].Elements()}
	p.axis(0, 0, 0)
	p.dst.Flush()
	return nil
}

// padder fills the output axis by axis; inner is the size of what is copied unchanged.
type padder struct {
	dst, src, fill layout.Cells
	edges          []edge
	to, from       []int
	inner          int
}

func (p *padder) axis(k, at, of int) {
	if k == len(p.edges) {
		p.dst.Copy(at, p.src, of, p.inner)
		return
	}
	e, to, from := p.edges[k], p.to[k], p.from[k]
	last := k == len(p.edges)-1
	for o := 0; o < e.size; {
		i, n := e.run(o)
		switch {
		case i < 0:
			p.dst.Fill(at+o*to, n*to, p.fill, 0)
		case last:
			p.dst.Copy(at+o*to, p.src, of+i*from, n*p.inner)
		default:
			n = 1
			p.axis(k+1, at+o*to, of+i*from)
		}
		o += n
	}
}
