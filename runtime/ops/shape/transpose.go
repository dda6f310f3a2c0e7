package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func transpose() []*ops.Op {
	return []*ops.Op{{Name: "Transpose", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Ints("perm"),
		Shape: func(c *ops.ShapeCall) error {
			return view(c, func(s tensor.Shape) (tensor.Shape, error) {
				_, out, err := permuted(c.Node, s)
				return out, err
			})
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			perm, s, err := permuted(c.Node, x.Shape)
			if err != nil {
				return err
			}
			y, err := c.Output(0, x.DType, s)
			if err != nil {
				return err
			}
			permute(y, x, perm)
			return nil
		}}}
}

func permuted(n *graph.Node, s tensor.Shape) (perm []int, out tensor.Shape, err error) {
	rank := len(s)
	if !n.Attrs.Has("perm") || rank > 0 && len(n.Attrs.Ints("perm")) == 0 {
		for i := rank - 1; i >= 0; i-- {
			perm = append(perm, i)
			out = append(out, s[i])
		}
		return perm, out, nil
	}
	perm, err = form.Axes(n.Attrs.Ints("perm"), rank)
	if err != nil {
		return nil, nil, fmt.Errorf("perm: %w", err)
	}
	if len(perm) != rank {
		return nil, nil, fmt.Errorf("perm %v has %d axes, the input %v has %d", perm, len(perm), s, rank)
	}
	out = make(tensor.Shape, rank)
	for i, k := range perm {
		out[i] = s[k]
	}
	return perm, out, nil
}

// permute writes x to y with axis i of y being axis perm[i] of x.
func permute(y, x *tensor.Tensor, perm []int) {
	from := x.Shape.Strides()
	box := layout.Box{Stride: make([]int, len(perm))}
	shape := make(tensor.Shape, len(perm))
	for i, k := range perm {
		box.Stride[i] = from[k]
		shape[i] = x.Shape[k]
	}
	d := layout.Open(y)
	layout.Move(d, layout.Whole(shape), layout.Open(x), box, shape)
	d.Flush()
}
