package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func gatherElements() []*ops.Op {
	return []*ops.Op{{Name: "GatherElements", Since: 11, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			if !c.Known(2) {
				return nil
			}
			if _, err := elementsAxis(c.Node, c.In[0].Shape, c.In[1].Shape); err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, c.In[1].Shape)
			return nil
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			axis, err := elementsAxis(c.Node, x.Shape, c.T(1).Shape)
			if err != nil {
				return err
			}
			at, err := elementOffsets(x.Shape, c.T(1), axis)
			if err != nil {
				return err
			}
			y, err := c.Output(0, x.DType, c.T(1).Shape.Clone())
			if err != nil {
				return err
			}
			d, src := layout.Open(y), layout.Open(x)
			for i, k := range at {
				d.Copy(i, src, k, 1)
			}
			d.Flush()
			return nil
		}}}
}

// elementsAxis checks that indices fit data on every axis but the one they index.
func elementsAxis(n *graph.Node, data, idx tensor.Shape) (int, error) {
	if len(idx) != len(data) {
		return 0, fmt.Errorf("indices have shape %v, expected rank %d", idx, len(data))
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(data))
	if err != nil {
		return 0, err
	}
	for i := range data {
		if i != axis && idx[i] > data[i] {
			return 0, fmt.Errorf("indices have shape %v, which is beyond %v on axis %d", idx, data, i)
		}
	}
	return axis, nil
}

// elementOffsets gives, for each index, the offset in data of the element that it means:
// that of its own position with the index in place of the axis.
func elementOffsets(data tensor.Shape, idx *tensor.Tensor, axis int) ([]int, error) {
	at, err := indices(idx, data[axis])
	if err != nil {
		return nil, err
	}
	st := data.Strides()
	line := st[axis]
	st[axis] = 0
	pos := make([]int, len(st))
	base := 0
	for i := range at {
		at[i] = base + at[i]*line
		for k := len(pos) - 1; k >= 0; k-- {
			pos[k]++
			base += st[k]
			if pos[k] < idx.Shape[k] {
				break
			}
			base -= pos[k] * st[k]
			pos[k] = 0
		}
	}
	return at, nil
}
