package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func gather() []*ops.Op {
	return []*ops.Op{{Name: "Gather", Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis"), Shape: gatherShape, Eval: gatherEval}}
}

func gatherTo(n *graph.Node, data, idx tensor.Shape) (int, tensor.Shape, error) {
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(data))
	if err != nil {
		return 0, nil, err
	}
	s := append(data[:axis].Clone(), idx...)
	s = append(s, data[axis+1:]...)
	return axis, s, s.Check()
}

func gatherShape(c *ops.ShapeCall) error {
	c.SetType(0, c.In[0].DType)
	if !c.Known(2) {
		return nil
	}
	_, s, err := gatherTo(c.Node, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func gatherEval(c *ops.Call) error {
	x := c.T(0)
	axis, s, err := gatherTo(c.Node, x.Shape, c.T(1).Shape)
	if err != nil {
		return err
	}
	idx, err := indices(c.T(1), x.Shape[axis])
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	d, src := layout.Open(y), layout.Open(x)
	outer, n, inner := layout.Split3(x.Shape, axis)
	at := 0
	for o := range outer {
		for _, k := range idx {
			d.Copy(at, src, (o*n+k)*inner, inner)
			at += inner
		}
	}
	d.Flush()
	return nil
}

// indices reads indices into an axis of n elements, negative ones from the end.
func indices(t *tensor.Tensor, n int) ([]int, error) {
	v, err := tensor.Int64s(t)
	if err != nil {
		return nil, fmt.Errorf("indices: %w", err)
	}
	out := make([]int, len(v))
	for i, k := range v {
		if k < -int64(n) || k >= int64(n) {
			return nil, fmt.Errorf("index %d is outside of an axis of %d", k, n)
		}
		if k < 0 {
			k += int64(n)
		}
		out[i] = int(k)
	}
	return out, nil
}
