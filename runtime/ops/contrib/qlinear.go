package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// qLinearPointwise are the pointwise operators on quantised tensors: what the operator
// does to the numbers that the integers stand for, quantised again.
func qLinearPointwise() []*ops.Op {
	binary := func(name string, f func(a, b, y point) func(a, b int32) int32) *ops.Op {
		return &ops.Op{
			Name: name, Domain: Domain, Since: 1, MinIn: 7, MaxIn: 8, MinOut: 1, MaxOut: 1,
			Shape: func(c *ops.ShapeCall) error {
				c.SetType(0, c.In[0].DType)
				if !c.In[0].Known || !c.In[3].Known {
					return nil
				}
				s, err := tensor.Broadcast(c.In[0].Shape, c.In[3].Shape)
				c.Set(0, c.In[0].DType, s)
				return err
			},
			Eval: func(c *ops.Call) error { return evalQBinary(c, f) },
		}
	}
	unary := func(name string, attrs []ops.Attr, f func(graph.Attrs) func(float64) float64) *ops.Op {
		return &ops.Op{
			Name: name, Domain: Domain, Since: 1, MinIn: 4, MaxIn: 5, MinOut: 1, MaxOut: 1,
			Attrs: attrs, Shape: form.Same,
			Eval: func(c *ops.Call) error { return evalQUnary(c, f(c.Node.Attrs)) },
		}
	}
	return []*ops.Op{
		binary("QLinearAdd", addPoints),
		binary("QLinearMul", mulPoints),
		unary("QLinearSigmoid", nil, func(graph.Attrs) func(float64) float64 { return sigmoid }),
		unary("QLinearLeakyRelu", form.Float("alpha"), func(a graph.Attrs) func(float64) float64 {
			f, _ := activation("LeakyRelu", func(_ int, def float32) float64 { return float64(a.Float("alpha", def)) })
			return f
		}),
	}
}

// addPoints sums in float32 with the scales divided by the output's, in the order in
// which ONNX Runtime does, so that ties fall the same way.
func addPoints(a, b, y point) func(a, b int32) int32 {
	ra, rb := a.scale/y.scale, b.scale/y.scale
	fixed := float32(y.zero) - (float32(ra*float32(a.zero)) + float32(rb*float32(b.zero)))
	return func(p, q int32) int32 {
		s := fixed + float32(float32(p)*ra)
		return y.clip(s + float32(float32(q)*rb))
	}
}

// mulPoints multiplies the integers and scales once, for the same reason.
func mulPoints(a, b, y point) func(a, b int32) int32 {
	r := a.scale * b.scale / y.scale
	return func(p, q int32) int32 {
		v := float32(float32((p-a.zero)*(q-b.zero)) * r)
		return y.clip(v + float32(y.zero))
	}
}

func evalQBinary(c *ops.Call, rule func(a, b, y point) func(a, b int32) int32) error {
	d := c.T(0).DType
	var p [3]point
	for i := range p {
		var err error
		if p[i], err = pointAt(c, []int{1, 4, 6}[i], d); err != nil {
			return err
		}
	}
	if c.T(3).DType != d {
		return fmt.Errorf("inputs 0 and 3 are %v and %v", c.T(0), c.T(3))
	}
	a, _, _, err := bytesOf(c.T(0))
	if err != nil {
		return err
	}
	b, _, _, err := bytesOf(c.T(3))
	if err != nil {
		return err
	}
	s, err := tensor.Broadcast(c.T(0).Shape, c.T(3).Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, d, s)
	if err != nil {
		return err
	}
	f := rule(p[0], p[1], p[2])
	out := make([]int32, s.Elements())
	tensor.NewWalker(s, c.T(0).Shape, c.T(3).Shape).Run(func(at, n int, off, step []int) {
		for i := range n {
			out[at+i] = f(a[off[0]+i*step[0]], b[off[1]+i*step[1]])
		}
	})
	storeBytes(y, out)
	return nil
}

func evalQUnary(c *ops.Call, f func(float64) float64) error {
	x := c.T(0)
	px, err := pointAt(c, 1, x.DType)
	if err != nil {
		return err
	}
	py, err := pointAt(c, 3, x.DType)
	if err != nil {
		return err
	}
	in, lo, hi, err := bytesOf(x)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	table := make([]int32, hi-lo+1)
	for q := range table {
		table[q] = py.quant(float32(f(float64(px.real(int32(q) + lo)))))
	}
	for i, q := range in {
		in[i] = table[q-lo]
	}
	storeBytes(y, in)
	return nil
}

func qLinearConcat() *ops.Op {
	return &ops.Op{
		Name: "QLinearConcat", Domain: Domain, Since: 1, MinIn: 5, MaxIn: -1, MinOut: 1, MaxOut: 1,
		Attrs: form.Required(form.Int("axis")),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[1].DType)
			return nil
		},
		Eval: evalQConcat,
	}
}

// evalQConcat joins the tensors of inputs 2, 5, 8, … each with a scale and a zero point,
// quantised anew by inputs 0 and 1.
func evalQConcat(c *ops.Call) error {
	if (len(c.In)-2)%3 != 0 || c.T(1) == nil || c.T(2) == nil {
		return fmt.Errorf("%d inputs, expected 2 and threes of tensor, scale and zero point", len(c.In))
	}
	d := c.T(1).DType
	py, err := pointAt(c, 0, d)
	if err != nil {
		return err
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", 0), c.T(2).Rank())
	if err != nil {
		return err
	}
	s := c.T(2).Shape.Clone()
	s[axis] = 0
	for i := 2; i < len(c.In); i += 3 {
		t := c.T(i)
		if t == nil || t.Rank() != len(s) || t.DType != d {
			return fmt.Errorf("input %d is %v, which does not join %v", i, t, c.T(2))
		}
		for ax, n := range t.Shape {
			if ax != axis && n != s[ax] {
				return fmt.Errorf("input %d is %v, which does not join %v", i, t, c.T(2))
			}
		}
		s[axis] += t.Shape[axis]
	}
	y, err := c.Output(0, d, s)
	if err != nil {
		return err
	}
	out := make([]int32, s.Elements())
	outer, inner := s[:axis].Elements(), s[axis+1:].Elements()
	at := 0
	for i := 2; i < len(c.In); i += 3 {
		p, err := pointAt(c, i+1, d)
		if err != nil {
			return err
		}
		v, _, _, err := bytesOf(c.T(i))
		if err != nil {
			return err
		}
		n := c.T(i).Shape[axis] * inner
		for o := range outer {
			for k := range n {
				q := v[o*n+k]
				if p != py {
					q = py.quant(p.real(q))
				}
				out[o*s[axis]*inner+at+k] = q
			}
		}
		at += n
	}
	storeBytes(y, out)
	return nil
}

func qLinearSoftmax() *ops.Op {
	return &ops.Op{
		Name: "QLinearSoftmax", Domain: Domain, Since: 1, MinIn: 5, MaxIn: 5, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Int("axis"), form.Required(form.Int("opset"))), Shape: form.Same,
		Eval: evalQSoftmax,
	}
}

// evalQSoftmax takes the softmax along one axis, or, for opsets before 13, over all axes
// from it on.
func evalQSoftmax(c *ops.Call) error {
	x := c.T(0)
	px, err := pointAt(c, 1, x.DType)
	if err != nil {
		return err
	}
	py, err := pointAt(c, 3, x.DType)
	if err != nil {
		return err
	}
	legacy := c.Node.Attrs.Int("opset", 13) < 13
	def := int64(-1)
	if legacy {
		def = 1
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", def), x.Rank())
	if err != nil {
		return err
	}
	v, _, _, err := bytesOf(x)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	outer, n, inner := x.Shape[:axis].Elements(), x.Shape[axis], x.Shape[axis+1:].Elements()
	if legacy {
		n, inner = n*inner, 1
	}
	e := make([]float64, n)
	for o := range outer {
		for i := range inner {
			at := func(k int) int { return (o*n+k)*inner + i }
			top, sum := int32(math.MinInt32), 0.0
			for k := range n {
				top = max(top, v[at(k)])
			}
			for k := range n {
				e[k] = math.Exp(float64(v[at(k)]-top) * float64(px.scale))
				sum += e[k]
			}
			for k := range n {
				v[at(k)] = py.quant(float32(e[k] / sum))
			}
		}
	}
	storeBytes(y, v)
	return nil
}

func qLinearWhere() *ops.Op {
	return &ops.Op{
		Name: "QLinearWhere", Domain: Domain, Since: 1, MinIn: 9, MaxIn: 9, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[1].DType)
			return nil
		},
		Eval: func(c *ops.Call) error {
			x, y := c.T(1), c.T(4)
			if c.T(0).DType != tensor.Bool || x.DType != y.DType {
				return fmt.Errorf("inputs 0, 1 and 4 are %v, %v and %v", c.T(0), x, y)
			}
			var p [3]point
			for i := range p {
				var err error
				if p[i], err = pointAt(c, []int{2, 5, 7}[i], x.DType); err != nil {
					return err
				}
			}
			a, _, _, err := bytesOf(x)
			if err != nil {
				return err
			}
			b, _, _, err := bytesOf(y)
			if err != nil {
				return err
			}
			s, err := tensor.Broadcast(x.Shape, y.Shape)
			if err != nil {
				return err
			}
			if s, err = tensor.Broadcast(s, c.T(0).Shape); err != nil {
				return err
			}
			z, err := c.Output(0, x.DType, s)
			if err != nil {
				return err
			}
			cond, out := tensor.Data[bool](c.T(0)), make([]int32, s.Elements())
			tensor.NewWalker(s, c.T(0).Shape, x.Shape, y.Shape).Run(func(at, n int, off, step []int) {
				for i := range n {
					if cond[off[0]+i*step[0]] {
						out[at+i] = p[2].quant(p[0].real(a[off[1]+i*step[1]]))
					} else {
						out[at+i] = p[2].quant(p[1].real(b[off[2]+i*step[2]]))
					}
				}
			})
			storeBytes(z, out)
			return nil
		},
	}
}

func qLinearGlobalAveragePool() *ops.Op {
	return &ops.Op{
		Name: "QLinearGlobalAveragePool", Domain: Domain, Since: 1, MinIn: 5, MaxIn: 5, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("channels_last"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			if c.In[0].Known && len(c.In[0].Shape) > 2 {
				c.Set(0, c.In[0].DType, pooledShape(c.In[0].Shape, c.Node.Attrs.Int("channels_last", 0) != 0))
			}
			return nil
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			last := c.Node.Attrs.Int("channels_last", 0) != 0
			if x.Rank() < 3 {
				return fmt.Errorf("input 0 is %v, expected rank 3 or more", x)
			}
			px, err := pointAt(c, 1, x.DType)
			if err != nil {
				return err
			}
			py, err := pointAt(c, 3, x.DType)
			if err != nil {
				return err
			}
			v, _, _, err := bytesOf(x)
			if err != nil {
				return err
			}
			s := pooledShape(x.Shape, last)
			y, err := c.Output(0, x.DType, s)
			if err != nil {
				return err
			}
			out := make([]int32, s.Elements())
			channels, size := s[1], x.Shape[2:].Elements()
			step := 1
			if last {
				channels = s[len(s)-1]
				size, step = x.Shape[1:len(s)-1].Elements(), channels
			}
			for i := range out {
				from := i * size
				if last {
					from = i/channels*size*channels + i%channels
				}
				var sum int64
				for k := range size {
					sum += int64(v[from+k*step] - px.zero)
				}
				out[i] = point{scale: 1, zero: py.zero, lo: py.lo, hi: py.hi}.quant(float32(sum) * (px.scale / (py.scale * float32(size))))
			}
			storeBytes(y, out)
			return nil
		},
	}
}

func pooledShape(s tensor.Shape, last bool) tensor.Shape {
	out := s.Clone()
	for i := range out {
		if i > 0 && (last && i < len(s)-1 || !last && i > 1) {
			out[i] = 1
		}
	}
	return out
}
