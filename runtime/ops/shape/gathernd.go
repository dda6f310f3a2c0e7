package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func gatherND() []*ops.Op {
	old := &ops.Op{Name: "GatherND", Since: 11, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			if !c.Known(2) {
				return nil
			}
			_, s, err := gatherNDTo(c.Node, c.In[0].Shape, c.In[1].Shape)
			if err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, s)
			return nil
		},
		Eval: gatherNDEval}
	now := *old
	now.Since, now.Attrs = 12, form.Int("batch_dims")
	return []*ops.Op{old, &now}
}

func gatherNDTo(n *graph.Node, data, idx tensor.Shape) (batch int, out tensor.Shape, err error) {
	b := n.Attrs.Int("batch_dims", 0)
	if len(idx) == 0 || b < 0 || b >= int64(len(idx)) || b >= int64(len(data)) {
		return 0, nil, fmt.Errorf("batch_dims %d does not suit data %v and indices %v", b, data, idx)
	}
	batch = int(b)
	if !data[:batch].Equal(idx[:batch]) {
		return 0, nil, fmt.Errorf("data %v and indices %v differ in their %d batch axes", data, idx, batch)
	}
	last := len(idx) - 1
	depth := idx[last]
	if depth < 1 || depth > len(data)-batch {
		return 0, nil, fmt.Errorf("indices %v name %d axes of data %v, expected 1 to %d", idx, depth, data, len(data)-batch)
	}
	out = append(idx[:last].Clone(), data[batch+depth:]...)
	return batch, out, out.Check()
}

func gatherNDEval(c *ops.Call) error {
	x, idx := c.T(0), c.T(1)
	batch, s, err := gatherNDTo(c.Node, x.Shape, idx.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	return gatherRuns(y, x, layout.TuplePlaces(x.Shape, idx.Shape, batch), idx, x.Shape[batch+idx.Shape[idx.Rank()-1]:].Elements())
}
