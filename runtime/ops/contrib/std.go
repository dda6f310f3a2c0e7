package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/math"
	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/ops/quant"
	"github.com/aimass/aimass/runtime/ops/rnn"
	"github.com/aimass/aimass/runtime/ops/shape"
	"github.com/aimass/aimass/runtime/tensor"
)

// standard is the registry of the standard's operators that others here are made of.
type standard struct{ *ops.Registry }

func newStandard() standard {
	r := ops.NewRegistry()
	math.Register(r)
	nn.Register(r)
	quant.Register(r)
	rnn.Register(r)
	shape.Register(r)
	return standard{r}
}

// form gives the form of a standard operator under an opset.
func (s standard) form(name string, opset int) stdForm {
	o, err := s.Find("", name, opset)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	return stdForm{o, opset}
}

// stdForm is a standard operator under an opset.
type stdForm struct {
	*ops.Op
	opset int
}

// eval runs the operator for its first output.
func (f stdForm) eval(a graph.Attrs, in ...*tensor.Tensor) (*tensor.Tensor, error) {
	out, err := f.evalAll(a, 1, in...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// evalAll runs the operator for its first outputs, which must be tensors.
func (f stdForm) evalAll(a graph.Attrs, outputs int, in ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	n := &graph.Node{Op: f.Name, Opset: f.opset, Attrs: a}
	c := &ops.Call{Node: n, Out: make([]tensor.Value, outputs)}
	for range outputs {
		n.Out = append(n.Out, &graph.Value{})
	}
	for _, t := range in {
		if t == nil {
			n.In, c.In = append(n.In, nil), append(c.In, nil)
			continue
		}
		n.In, c.In = append(n.In, &graph.Value{}), append(c.In, t)
	}
	if err := f.Eval(c); err != nil {
		return nil, err
	}
	out := make([]*tensor.Tensor, outputs)
	for i := range out {
		t, ok := c.Out[i].(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("%s gave no tensor as output %d", f.Name, i)
		}
		out[i] = t
	}
	return out, nil
}

// under shows a node as one of the standard operator, with the attributes it knows.
func (f stdForm) under(n *graph.Node) *graph.Node {
	m := *n
	m.Op, m.Domain, m.Opset = f.Name, "", f.opset
	m.Attrs = graph.Attrs{}
	for _, a := range f.Attrs {
		if x := n.Attrs[a.Name]; x != nil {
			m.Attrs[a.Name] = x
		}
	}
	return &m
}

// alias is the operator under another domain and since opset 1.
func (f stdForm) alias(domain string) *ops.Op {
	o := *f.Op
	o.Domain, o.Since, o.Removed, o.Bind = domain, 1, 0, nil
	if f.Shape != nil {
		o.Shape = func(c *ops.ShapeCall) error {
			inner := *c
			inner.Node = f.under(c.Node)
			err := f.Shape(&inner)
			copy(c.Out, inner.Out)
			return err
		}
	}
	o.Eval = func(c *ops.Call) error {
		inner := *c
		inner.Node = f.under(c.Node)
		err := f.Eval(&inner)
		c.Out = inner.Out
		return err
	}
	return &o
}

// aliases are the standard's operators that ONNX Runtime had before the standard did, or
// has for more types.
func aliases(s standard) []*ops.Op {
	return []*ops.Op{
		s.form("DequantizeLinear", 21).alias(Domain),
		s.form("GatherND", 13).alias(Domain),
		s.form("GridSample", 16).alias(Domain),
		s.form("LayerNormalization", 17).alias(""),
		s.form("Pad", 18).alias(Domain),
		s.form("QuantizeLinear", 21).alias(Domain),
		s.form("Range", 11).alias(Domain),
		s.form("Trilu", 14).alias(Domain),
	}
}

// activated applies the activation that the attributes name to t, in place.
func activated(t *tensor.Tensor, f func(float64) float64) error {
	if f == nil {
		return nil
	}
	v, err := tensor.Float32s(t)
	if err != nil {
		return err
	}
	for i, x := range v {
		v[i] = float32(f(float64(x)))
	}
	return tensor.StoreFloat32s(t, v)
}

func fused(s standard) []*ops.Op {
	conv, gemm := s.form("Conv", 11), s.form("Gemm", 13)
	return []*ops.Op{{
		Name: "FusedConv", Domain: Domain, Since: 1, MinIn: 2, MaxIn: 4, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(conv.Attrs, form.Str("activation"), form.Floats("activation_params")),
		Shape: firstShape(conv, 3),
		Eval: func(c *ops.Call) error {
			f, ok := activation(c.Node.Attrs.Str("activation", ""), params(c.Node.Attrs, "activation_params"))
			if !ok {
				return fmt.Errorf("activation %q is unknown", c.Node.Attrs.Str("activation", ""))
			}
			y, err := conv.eval(conv.under(c.Node).Attrs, c.T(0), c.T(1), c.T(2))
			if err != nil {
				return err
			}
			if z := c.T(3); z != nil {
				if z.DType != y.DType || !z.Shape.Equal(y.Shape) {
					return fmt.Errorf("input 3 is %v, expected %v", z, y)
				}
				a, err := tensor.Float32s(y)
				if err != nil {
					return err
				}
				b, err := tensor.Float32s(z)
				if err != nil {
					return err
				}
				for i, v := range b {
					a[i] += v
				}
				if err := tensor.StoreFloat32s(y, a); err != nil {
					return err
				}
			}
			c.Set(0, y)
			return activated(y, f)
		},
	}, {
		Name: "FusedGemm", Domain: Domain, Since: 1, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(gemm.Attrs, form.Str("activation"), form.Float("activation_alpha", "activation_beta", "activation_gamma")),
		Shape: firstShape(gemm, 3),
		Eval: func(c *ops.Call) error {
			a := c.Node.Attrs
			f, ok := activation(a.Str("activation", ""), func(i int, def float32) float64 {
				return float64(a.Float([]string{"activation_alpha", "activation_beta", "activation_gamma"}[i], def))
			})
			if !ok {
				return fmt.Errorf("activation %q is unknown", a.Str("activation", ""))
			}
			y, err := gemm.eval(gemm.under(c.Node).Attrs, c.T(0), c.T(1), c.T(2))
			if err != nil {
				return err
			}
			c.Set(0, y)
			return activated(y, f)
		},
	}}
}

// firstShape is the shape rule of a standard operator that takes the first n inputs.
func firstShape(f stdForm, n int) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		inner := &ops.ShapeCall{Node: f.under(c.Node), In: c.In[:min(n, len(c.In))], Out: c.Out}
		inner.Node.In = c.Node.In[:len(inner.In)]
		return f.Shape(inner)
	}
}
