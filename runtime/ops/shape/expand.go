package shape

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func expand() []*ops.Op {
	return []*ops.Op{{Name: "Expand", Since: 8, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			want, ok, err := form.ConstIntsOf(c, 1)
			if err != nil || !ok {
				return err
			}
			return view(c, func(s tensor.Shape) (tensor.Shape, error) { return expanded(s, want) })
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			want, err := form.IntsOf(c, 1)
			if err != nil {
				return err
			}
			s, err := expanded(x.Shape, want)
			if err != nil {
				return err
			}
			if s.Equal(x.Shape) {
				c.Set(0, x)
				return nil
			}
			y, err := c.Output(0, x.DType, s)
			if err != nil {
				return err
			}
			repeat(y, x)
			return nil
		}}}
}

func expanded(s tensor.Shape, want []int64) (tensor.Shape, error) {
	w, err := tensor.ShapeOf(want)
	if err != nil {
		return nil, err
	}
	return tensor.Broadcast(s, w)
}

// repeat broadcasts x to y's shape.
func repeat(y, x *tensor.Tensor) {
	box := layout.Box{Stride: make([]int, y.Rank())}
	lead := y.Rank() - x.Rank()
	for i, st := range x.Shape.Strides() {
		if x.Shape[i] != 1 {
			box.Stride[lead+i] = st
		}
	}
	d := layout.Open(y)
	layout.Move(d, layout.Whole(y.Shape), layout.Open(x), box, y.Shape)
	d.Flush()
}
