package signal

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func dft() []*ops.Op {
	op := func(since, inputs int, attrs []ops.Attr, axis func(graph.Attrs, *tensor.Tensor) (int64, error)) *ops.Op {
		return &ops.Op{
			Name: "DFT", Since: since, MinIn: 1, MaxIn: inputs, MinOut: 1, MaxOut: 1,
			Attrs: form.Join(attrs, form.Int("inverse", "onesided")),
			Shape: func(c *ops.ShapeCall) error {
				c.SetType(0, c.In[0].DType)
				if !c.In[0].Known || c.Has(1) && c.In[1].Tensor() == nil || c.Has(2) && c.In[2].Tensor() == nil {
					return nil
				}
				at, err := axis(c.Node.Attrs, tensorOf(c, 2))
				if err != nil {
					return err
				}
				p, err := planDFT(c.In[0].Shape, at, tensorOf(c, 1), c.Node.Attrs.Int("inverse", 0) != 0, c.Node.Attrs.Int("onesided", 0) != 0)
				if err != nil {
					return err
				}
				c.Set(0, c.In[0].DType, p.out)
				return nil
			},
			Eval: func(c *ops.Call) error {
				at, err := axis(c.Node.Attrs, c.T(2))
				if err != nil {
					return err
				}
				p, err := planDFT(c.T(0).Shape, at, c.T(1), c.Node.Attrs.Int("inverse", 0) != 0, c.Node.Attrs.Int("onesided", 0) != 0)
				if err != nil {
					return err
				}
				return p.run(c)
			},
		}
	}
	return []*ops.Op{
		op(17, 2, form.Int("axis"), func(a graph.Attrs, _ *tensor.Tensor) (int64, error) { return a.Int("axis", 1), nil }),
		op(20, 3, nil, func(_ graph.Attrs, in *tensor.Tensor) (int64, error) {
			if in == nil {
				return -2, nil
			}
			return scalar(in, "axis")
		}),
	}
}

func tensorOf(c *ops.ShapeCall, i int) *tensor.Tensor {
	if !c.Has(i) {
		return nil
	}
	return c.In[i].Tensor()
}

// scalar reads an integer input of one element.
func scalar(t *tensor.Tensor, name string) (int64, error) {
	if t == nil || t.Elements() != 1 {
		return 0, fmt.Errorf("%s is %v, expected one integer", name, t)
	}
	v, err := tensor.Int64s(t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v[0], nil
}

// maxLength bounds a transform, whose tables are sized by it before any output is.
const maxLength = 1 << 24

// dftPlan is a DFT with everything known but the data: lines of inner-strided elements,
// of width 1 (real) or 2 (real and imaginary part).
type dftPlan struct {
	outer, in, length, kept, inner int
	inWidth, outWidth              int
	inverse, real                  bool
	out                            tensor.Shape
}

func planDFT(s tensor.Shape, axis int64, lengthIn *tensor.Tensor, inverse, onesided bool) (*dftPlan, error) {
	if len(s) < 2 || s[len(s)-1] != 1 && s[len(s)-1] != 2 {
		return nil, fmt.Errorf("input 0 is of shape %v, expected [..., 1] or [..., 2]", s)
	}
	at, err := tensor.Axis(axis, len(s))
	if err != nil {
		return nil, err
	}
	if at == len(s)-1 {
		return nil, fmt.Errorf("axis %d is that of the real and imaginary parts", axis)
	}
	p := &dftPlan{in: s[at], inWidth: s[len(s)-1], outWidth: 2, inverse: inverse, real: inverse && onesided}
	length := int64(p.in)
	if p.real {
		length = 2 * (int64(p.in) - 1)
	}
	if lengthIn != nil {
		if length, err = scalar(lengthIn, "dft_length"); err != nil {
			return nil, err
		}
	}
	if length < 1 || length > maxLength {
		return nil, fmt.Errorf("dft_length is %d, expected 1 to %d", length, maxLength)
	}
	p.length, p.kept = int(length), int(length)
	if p.real {
		p.outWidth = 1
	} else if onesided {
		p.kept = p.length/2 + 1
	}
	p.outer, p.inner = s[:at].Elements(), s[at+1:len(s)-1].Elements()
	p.out = s.Clone()
	p.out[at], p.out[len(s)-1] = p.kept, p.outWidth
	return p, p.out.Check()
}

func (p *dftPlan) run(c *ops.Call) error {
	if err := form.NeedReal("input 0", c.T(0)); err != nil {
		return err
	}
	x, err := tensor.Float64s(c.T(0))
	if err != nil {
		return err
	}
	t, err := c.Output(0, c.T(0).DType, p.out)
	if err != nil {
		return err
	}
	y, store := form.Sink[float64](t)
	if len(y) == 0 {
		return nil
	}
	f := newFFT(p.length)
	line := make([]complex128, p.length)
	for o := range p.outer {
		for i := range p.inner {
			p.load(line, x, o, i)
			if p.inverse {
				f.inverse(line)
			} else {
				f.forward(line)
			}
			for k := range p.kept {
				at := ((o*p.kept+k)*p.inner + i) * p.outWidth
				y[at] = real(line[k])
				if p.outWidth == 2 {
					y[at+1] = imag(line[k])
				}
			}
		}
	}
	return store()
}

// load reads one line, cut or filled up with zeros. The one-sided inverse is given half
// of a symmetric spectrum and makes up the rest.
func (p *dftPlan) load(line []complex128, x []float64, o, i int) {
	clear(line)
	n := min(p.in, p.length)
	if p.real {
		n = min(p.in, p.length/2+1)
	}
	for k := range n {
		at := ((o*p.in+k)*p.inner + i) * p.inWidth
		var im float64
		if p.inWidth == 2 {
			im = x[at+1]
		}
		line[k] = complex(x[at], im)
	}
	if !p.real {
		return
	}
	for k := range n {
		switch mirror := p.length - k; {
		case k == 0 || mirror == k:
			line[k] = complex(real(line[k]), 0)
		case mirror > k:
			line[mirror] = complex(real(line[k]), -imag(line[k]))
		}
	}
}
