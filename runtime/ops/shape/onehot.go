package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func oneHot() []*ops.Op {
	return []*ops.Op{{Name: "OneHot", Since: 9, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[2].DType)
			if !c.In[0].Known || c.In[1].Tensor() == nil {
				return nil
			}
			_, s, err := oneHotTo(c.Node, c.In[0].Shape, c.In[1].Tensor())
			if err != nil {
				return err
			}
			c.Set(0, c.In[2].DType, s)
			return nil
		},
		Eval: oneHotEval}}
}

func oneHotTo(n *graph.Node, idx tensor.Shape, depth *tensor.Tensor) (int, tensor.Shape, error) {
	axis, err := tensor.Axis(n.Attrs.Int("axis", -1), len(idx)+1)
	if err != nil {
		return 0, nil, err
	}
	if depth.Elements() != 1 {
		return 0, nil, fmt.Errorf("depth is %v, expected one element", depth)
	}
	d, err := tensor.Float64s(depth)
	if err != nil {
		return 0, nil, err
	}
	if !(d[0] >= 0 && d[0] <= tensor.MaxElements) {
		return 0, nil, fmt.Errorf("depth is %v", d[0])
	}
	s := append(idx[:axis].Clone(), int(d[0]))
	s = append(s, idx[axis:]...)
	return axis, s, s.Check()
}

func oneHotEval(c *ops.Call) error {
	idx, values := c.T(0), c.T(2)
	axis, s, err := oneHotTo(c.Node, idx.Shape, c.T(1))
	if err != nil {
		return err
	}
	if values.Elements() != 2 {
		return fmt.Errorf("values are %v, expected the two of off and on", values)
	}
	v, err := wholeNumbers(idx)
	if err != nil {
		return err
	}
	y, err := c.Output(0, values.DType, s)
	if err != nil {
		return err
	}
	d, src := layout.Open(y), layout.Open(values)
	d.Fill(0, y.Elements(), src, 0)
	_, depth, inner := layout.Split3(s, axis)
	for i, k := range v {
		if k < 0 {
			k += int64(depth)
		}
		if k >= 0 && k < int64(depth) {
			d.Copy((i/inner*depth+int(k))*inner+i%inner, src, 1, 1)
		}
	}
	d.Flush()
	return nil
}

// wholeNumbers reads indices that may come in any numeric type.
func wholeNumbers(t *tensor.Tensor) ([]int64, error) {
	if !t.DType.IsFloat() {
		return tensor.Int64s(t)
	}
	f, err := tensor.Float64s(t)
	if err != nil {
		return nil, err
	}
	v := make([]int64, len(f))
	for i := range f {
		v[i] = int64(f[i])
	}
	return v, nil
}
