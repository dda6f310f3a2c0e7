package random

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func bernoulli() []*ops.Op {
	var out []*ops.Op
	for _, since := range []int{15, 22} {
		out = append(out, &ops.Op{
			Name: "Bernoulli", Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Impure: true,
			Attrs: form.Join(form.Int("dtype"), form.Float("seed")),
			Shape: func(c *ops.ShapeCall) error {
				d, err := dtypeOf(c.Node.Attrs, c.In[0].DType)
				if err != nil {
					return err
				}
				form.Like(c, 0, d, 0)
				return nil
			},
			Eval: evalBernoulli,
		})
	}
	return out
}

// evalBernoulli draws 1 with the probability that each element gives, else 0.
func evalBernoulli(c *ops.Call) error {
	d, err := dtypeOf(c.Node.Attrs, c.T(0).DType)
	if err != nil {
		return err
	}
	p, err := tensor.Float64s(c.T(0))
	if err != nil {
		return err
	}
	y, err := c.Output(0, d, c.T(0).Shape)
	if err != nil {
		return err
	}
	one, err := oneOf(d)
	if err != nil {
		return err
	}
	r := source(c.Node.Attrs)
	width, out := len(one), y.Bytes()
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("element %d is %v, which is no probability", i, v)
		}
		if r.Float64() < v {
			copy(out[i*width:], one)
		}
	}
	return nil
}

// oneOf is the number one in memory.
func oneOf(d tensor.DType) ([]byte, error) {
	t := tensor.New(d, tensor.Shape{1})
	switch {
	case form.IsReal(d):
		return t.Bytes(), tensor.StoreFloat64s(t, []float64{1})
	case d == tensor.Bool || d.IsInt() && d.Bits() >= 8:
		t.Bytes()[0] = 1
		return t.Bytes(), nil
	}
	return nil, fmt.Errorf("the output would be %v, expected numbers or bool", d)
}
