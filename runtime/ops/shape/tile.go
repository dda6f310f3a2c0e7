package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func tile() []*ops.Op {
	return []*ops.Op{
		{Name: "Tile", Since: 1, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1,
			Shape: func(c *ops.ShapeCall) error {
				c.SetType(0, c.In[0].DType)
				if !c.In[0].Known || c.In[1].Tensor() == nil || c.In[2].Tensor() == nil {
					return nil
				}
				repeats, err := tileAxis(c.In[0].Shape, c.In[1].Tensor(), c.In[2].Tensor())
				if err != nil {
					return err
				}
				return view(c, func(s tensor.Shape) (tensor.Shape, error) { return tiled(s, repeats) })
			},
			Eval: func(c *ops.Call) error {
				repeats, err := tileAxis(c.T(0).Shape, c.T(1), c.T(2))
				if err != nil {
					return err
				}
				return tileEval(c, repeats)
			}},
		{Name: "Tile", Since: 6, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
			Shape: func(c *ops.ShapeCall) error {
				c.SetType(0, c.In[0].DType)
				repeats, ok, err := form.ConstIntsOf(c, 1)
				if err != nil || !ok {
					return err
				}
				return view(c, func(s tensor.Shape) (tensor.Shape, error) { return tiled(s, repeats) })
			},
			Eval: func(c *ops.Call) error {
				repeats, err := form.IntsOf(c, 1)
				if err != nil {
					return err
				}
				return tileEval(c, repeats)
			}},
	}
}

// tileAxis reads opset 1's inputs, one number of tiles and one axis in the data's type.
func tileAxis(s tensor.Shape, tiles, axis *tensor.Tensor) ([]int64, error) {
	if tiles.Elements() != 1 || axis.Elements() != 1 {
		return nil, fmt.Errorf("tiles are %v and axis %v, expected one element each", tiles, axis)
	}
	n, err := tensor.Float64s(tiles)
	if err != nil {
		return nil, err
	}
	a, err := tensor.Float64s(axis)
	if err != nil {
		return nil, err
	}
	k, err := tensor.Axis(int64(a[0]), len(s))
	if err != nil {
		return nil, err
	}
	repeats := make([]int64, len(s))
	for i := range repeats {
		repeats[i] = 1
	}
	repeats[k] = int64(n[0])
	return repeats, nil
}

func tiled(s tensor.Shape, repeats []int64) (tensor.Shape, error) {
	if len(repeats) != len(s) {
		return nil, fmt.Errorf("%d repeats for an input of rank %d", len(repeats), len(s))
	}
	out := make(tensor.Shape, len(s))
	for i, r := range repeats {
		if r < 0 || s[i] > 0 && r > tensor.MaxElements/int64(s[i]) {
			return nil, fmt.Errorf("repeats %v are out of range", repeats)
		}
		out[i] = s[i] * int(r)
	}
	return out, out.Check()
}

func tileEval(c *ops.Call, repeats []int64) error {
	x := c.T(0)
	s, err := tiled(x.Shape, repeats)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	// Each axis is walked as (repetition, index), the input standing still on the first.
	shape, from := make(tensor.Shape, 0, 2*len(s)), layout.Box{}
	for i, st := range x.Shape.Strides() {
		shape = append(shape, int(repeats[i]), x.Shape[i])
		from.Stride = append(from.Stride, 0, st)
	}
	d := layout.Open(y)
	layout.Move(d, layout.Whole(shape), layout.Open(x), from, shape)
	d.Flush()
	return nil
}
