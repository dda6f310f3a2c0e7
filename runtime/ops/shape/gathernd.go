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
	at, err := tupleOffsets(x.Shape, idx, batch)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	depth := idx.Shape[idx.Rank()-1]
	run := x.Shape[batch+depth:].Elements()
	d, src := layout.Open(y), layout.Open(x)
	for i, k := range at {
		d.Copy(i*run, src, k, run)
	}
	d.Flush()
	return nil
}

// tupleOffsets gives, for each tuple in the last axis of idx, the offset in data of the
// part that it names below its batch axes.
func tupleOffsets(data tensor.Shape, idx *tensor.Tensor, batch int) ([]int, error) {
	v, err := tensor.Int64s(idx)
	if err != nil {
		return nil, fmt.Errorf("indices: %w", err)
	}
	last := idx.Rank() - 1
	depth, st := idx.Shape[last], data.Strides()
	n := idx.Shape[:last].Elements()
	each := 1
	if b := idx.Shape[:batch].Elements(); b > 0 {
		each = max(n/b, 1)
	}
	size := data[batch:].Elements()
	out := make([]int, n)
	for i := range out {
		at := i / each * size
		for j, k := range v[i*depth : (i+1)*depth] {
			m := int64(data[batch+j])
			if k < -m || k >= m {
				return nil, fmt.Errorf("index %d is outside of axis %d of %v", k, batch+j, data)
			}
			if k < 0 {
				k += m
			}
			at += int(k) * st[batch+j]
		}
		out[i] = at
	}
	return out, nil
}
