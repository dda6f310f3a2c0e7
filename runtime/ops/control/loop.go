package control

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func loop() []*ops.Op {
	return []*ops.Op{{Name: "Loop", Since: 1, MinIn: 2, MaxIn: -1, MinOut: 1, MaxOut: -1,
		Attrs: form.Required(form.Graph("body")),
		Shape: func(c *ops.ShapeCall) error {
			if g := c.Node.Attrs.Graph("body"); g != nil {
				for i := range c.Out {
					if i+1 < len(g.Out) {
						declare(c, i, g.Out[i+1])
					}
				}
			}
			return nil
		},
		Eval: loopEval}}
}

func loopEval(c *ops.Call) error {
	carried := len(c.In) - 2
	g, err := body(c, "body", len(c.In))
	if err != nil {
		return err
	}
	scans := len(g.Out) - 1 - carried
	if scans < 0 || len(c.Node.Out) > carried+scans {
		return fmt.Errorf("the body gives %d outputs, expected a condition, %d carried values and what is collected for %d outputs", len(g.Out), carried, len(c.Node.Out))
	}
	most := int64(math.MaxInt64)
	if c.Has(0) {
		v, err := tensor.Int64s(c.T(0))
		if err != nil || len(v) != 1 {
			return fmt.Errorf("the trip count is %v, expected one int64", c.T(0))
		}
		most = v[0]
	}
	going := true
	if c.Has(1) {
		if going, err = truth("the condition", c.In[1]); err != nil {
			return err
		}
	}
	state := append([]tensor.Value{}, c.In[2:]...)
	collected := newCollectors(c, scans)
	for i := int64(0); going && i < most; i++ {
		in := append([]tensor.Value{shaped(g.In[0], tensor.Scalar(i)), shaped(g.In[1], tensor.Scalar(true))}, state...)
		out, err := c.Sub(g, in)
		if err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		if going, err = truth("the body's condition", out[0]); err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		copy(state, out[1:])
		for k := range collected {
			if err := collected[k].add(out[1+carried+k]); err != nil {
				return fmt.Errorf("iteration %d: output %d %w", i, carried+k, err)
			}
		}
	}
	for i, v := range state {
		c.Set(i, v)
	}
	for k := range collected {
		if err := collected[k].stack(c, carried+k, 0, false, g.Out[1+carried+k]); err != nil {
			return err
		}
	}
	return nil
}

// shaped gives one element the rank that the body declares for it: 0 or 1.
func shaped(v *graph.Value, t *tensor.Tensor) *tensor.Tensor {
	if v.Type.Ranked && len(v.Type.Shape) == 1 {
		return t.Reshaped(tensor.Shape{1})
	}
	return t
}
