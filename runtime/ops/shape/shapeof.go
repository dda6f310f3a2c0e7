package shape

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func shapeOf() []*ops.Op {
	old := &ops.Op{Name: "Shape", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.Int64)
			if c.In[0].Known {
				known(c, shapeTensor(c.Node, c.In[0].Shape))
			}
			return nil
		},
		Eval: func(c *ops.Call) error {
			c.Set(0, shapeTensor(c.Node, c.T(0).Shape))
			return nil
		}}
	now := *old
	now.Since, now.Attrs = 15, form.Int("start", "end")
	return []*ops.Op{old, &now}
}

// known states output 0 as a constant.
func known(c *ops.ShapeCall, t *tensor.Tensor) {
	c.Set(0, t.DType, t.Shape)
	c.Out[0].Const = t
}

func shapeTensor(n *graph.Node, s tensor.Shape) *tensor.Tensor {
	rank := int64(len(s))
	clamp := func(i int64) int64 {
		if i < 0 {
			i += rank
		}
		return min(max(i, 0), rank)
	}
	from, to := clamp(n.Attrs.Int("start", 0)), clamp(n.Attrs.Int("end", rank))
	v := []int64{}
	for i := from; i < to; i++ {
		v = append(v, int64(s[i]))
	}
	return tensor.FromSlice(v, len(v))
}

func sizeOf() []*ops.Op {
	return []*ops.Op{{Name: "Size", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.Int64)
			if c.In[0].Known {
				known(c, tensor.Scalar(int64(c.In[0].Shape.Elements())))
			}
			return nil
		},
		Eval: func(c *ops.Call) error {
			c.Set(0, tensor.Scalar(int64(c.T(0).Elements())))
			return nil
		}}}
}
