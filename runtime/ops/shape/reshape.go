package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func reshape() []*ops.Op {
	old := &ops.Op{Name: "Reshape", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Ints("shape", "consumed_inputs")}
	old.Shape = func(c *ops.ShapeCall) error {
		return view(c, func(s tensor.Shape) (tensor.Shape, error) {
			return reshaped(s, c.Node.Attrs.Ints("shape"), false)
		})
	}
	old.Eval = func(c *ops.Call) error {
		return evalView(c, func(s tensor.Shape) (tensor.Shape, error) {
			return reshaped(s, c.Node.Attrs.Ints("shape"), false)
		})
	}
	mid := &ops.Op{Name: "Reshape", Since: 5, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Shape: reshapeShape, Eval: reshapeEval}
	now := *mid
	now.Since, now.Attrs = 14, form.Int("allowzero")
	return []*ops.Op{old, mid, &now}
}

// view states output 0 as input 0 seen under the shape that f gives.
func view(c *ops.ShapeCall, f func(tensor.Shape) (tensor.Shape, error)) error {
	if !c.In[0].Known {
		c.SetType(0, c.In[0].DType)
		return nil
	}
	s, err := f(c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func evalView(c *ops.Call, f func(tensor.Shape) (tensor.Shape, error)) error {
	x := c.T(0)
	s, err := f(x.Shape)
	if err != nil {
		return err
	}
	c.Set(0, x.Reshaped(s))
	return nil
}

func reshapeShape(c *ops.ShapeCall) error {
	want, ok, err := form.ConstIntsOf(c, 1)
	if err != nil {
		return err
	}
	if !ok {
		c.SetType(0, c.In[0].DType)
		return nil
	}
	return view(c, func(s tensor.Shape) (tensor.Shape, error) {
		return reshaped(s, want, c.Node.Attrs.Int("allowzero", 0) != 0)
	})
}

func reshapeEval(c *ops.Call) error {
	want, err := form.IntsOf(c, 1)
	if err != nil {
		return err
	}
	return evalView(c, func(s tensor.Shape) (tensor.Shape, error) {
		return reshaped(s, want, c.Node.Attrs.Int("allowzero", 0) != 0)
	})
}

// reshaped is the shape that Reshape asks for: 0 keeps the input's extent (unless
// allowzero), a single −1 takes what is left.
func reshaped(in tensor.Shape, want []int64, allowzero bool) (tensor.Shape, error) {
	out := make(tensor.Shape, len(want))
	infer := -1
	// Extents that are kept cancel out, so that −1 has an answer beside a kept 0.
	kept := make([]bool, len(in))
	for i, d := range want {
		switch {
		case d == -1 && infer >= 0:
			return nil, fmt.Errorf("shape %v has more than one −1", want)
		case d == -1:
			infer = i
		case d < 0 || d > tensor.MaxElements:
			return nil, fmt.Errorf("shape %v: %d is out of range", want, d)
		case d == 0 && !allowzero:
			if i >= len(in) {
				return nil, fmt.Errorf("shape %v keeps axis %d, which %v has not", want, i, in)
			}
			out[i], kept[i] = in[i], true
		default:
			out[i] = int(d)
		}
	}
	if infer >= 0 {
		have, rest := 1, tensor.Shape{}
		for i, d := range in {
			if !kept[i] {
				have *= d
			}
		}
		for i := range out {
			if i != infer && !(i < len(in) && kept[i]) {
				rest = append(rest, out[i])
			}
		}
		if err := rest.Check(); err != nil {
			return nil, err
		}
		n := rest.Elements()
		if n == 0 || have%n != 0 {
			return nil, fmt.Errorf("%v does not reshape to %v", in, want)
		}
		out[infer] = have / n
	}
	if err := out.Check(); err != nil {
		return nil, err
	}
	if out.Elements() != in.Elements() {
		return nil, fmt.Errorf("%v (%d elements) does not reshape to %v", in, in.Elements(), want)
	}
	return out, nil
}
