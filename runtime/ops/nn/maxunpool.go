package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

var maxUnpoolAttrs = form.Join(form.Required(form.Ints("kernel_shape")), form.Ints("pads", "strides"))

// unpoolShape is the shape of the pool's input, as far as the attributes tell.
func unpoolShape(n *graph.Node, x tensor.Shape) (tensor.Shape, error) {
	in, err := image("X", x)
	if err != nil {
		return nil, err
	}
	w, err := readWindow(n, in, kernelAttr(n))
	if err != nil {
		return nil, err
	}
	s := tensor.Shape{x[0], x[1]}
	for i, d := range in {
		s = append(s, (d-1)*w.stride[i]-w.begin[i]-w.end[i]+w.kernel[i])
	}
	return s, s.Check()
}

func askedShape(t *tensor.Tensor, rank int) (tensor.Shape, error) {
	if t.DType != tensor.Int64 || t.Elements() != rank {
		return nil, fmt.Errorf("output_shape: expected %d int64, got %v", rank, t)
	}
	return tensor.ShapeOf(tensor.Data[int64](t))
}

func shapeMaxUnpool(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 1, d) {
		return nil
	}
	if c.Has(2) {
		t := c.In[2].Tensor()
		if t == nil {
			c.SetType(0, d)
			return nil
		}
		s, err := askedShape(t, len(c.In[0].Shape))
		if err != nil {
			return err
		}
		c.Set(0, d, s)
		return nil
	}
	s, err := unpoolShape(c.Node, c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// evalMaxUnpool puts each element at its index and 0 elsewhere. Indices are flat in the
// shape that the attributes give; an output_shape only crops or extends the result.
func evalMaxUnpool(c *ops.Call) error {
	x, idx := c.T(0), c.T(1)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	if idx == nil || idx.DType != tensor.Int64 || !idx.Shape.Equal(x.Shape) {
		return fmt.Errorf("indices: expected int64%v, got %v", x.Shape, idx)
	}
	inner, err := unpoolShape(c.Node, x.Shape)
	if err != nil {
		return err
	}
	s := inner
	if t := c.T(2); t != nil {
		if s, err = askedShape(t, x.Rank()); err != nil {
			return err
		}
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	e := x.DType.Bits() / 8
	total := int64(inner.Elements())
	at, strides := make([]int, len(inner)), s.Strides()
	for i, p := range tensor.Data[int64](idx) {
		if p < 0 || p >= total {
			return fmt.Errorf("index %d is outside of %v", p, inner)
		}
		unravel(at, inner, int(p))
		to, inside := 0, true
		for a, v := range at {
			inside = inside && v < s[a]
			to += v * strides[a]
		}
		if inside {
			copy(y.Bytes()[to*e:(to+1)*e], x.Bytes()[i*e:])
		}
	}
	return nil
}
