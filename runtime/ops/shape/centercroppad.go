package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func centerCropPad() []*ops.Op {
	return []*ops.Op{{Name: "CenterCropPad", Since: 18, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Ints("axes"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			want, ok, err := form.ConstIntsOf(c, 1)
			if err != nil || !ok {
				return err
			}
			return view(c, func(s tensor.Shape) (tensor.Shape, error) { return centered(c.Node, s, want) })
		},
		Eval: centerCropPadEval}}
}

func centered(n *graph.Node, s tensor.Shape, want []int64) (tensor.Shape, error) {
	out := s.Clone()
	axes := n.Attrs.Ints("axes")
	if !n.Attrs.Has("axes") {
		for i := range s {
			axes = append(axes, int64(i))
		}
	}
	ks, err := form.Axes(axes, len(s))
	if err != nil {
		return nil, err
	}
	if len(want) != len(ks) {
		return nil, fmt.Errorf("shape %v for %d axes", want, len(ks))
	}
	for i, k := range ks {
		if want[i] < 0 || want[i] > tensor.MaxElements {
			return nil, fmt.Errorf("shape %v is out of range", want)
		}
		out[k] = int(want[i])
	}
	return out, out.Check()
}

func centerCropPadEval(c *ops.Call) error {
	x := c.T(0)
	want, err := form.IntsOf(c, 1)
	if err != nil {
		return err
	}
	s, err := centered(c.Node, x.Shape, want)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	to, from, both := layout.Whole(s), layout.Whole(x.Shape), s.Clone()
	for k := range s {
		both[k] = min(s[k], x.Shape[k])
		if s[k] < x.Shape[k] {
			from.At += (x.Shape[k] - s[k]) / 2 * from.Stride[k]
		} else {
			to.At += (s[k] - x.Shape[k]) / 2 * to.Stride[k]
		}
	}
	d := layout.Open(y)
	layout.Move(d, to, layout.Open(x), from, both)
	d.Flush()
	return nil
}
