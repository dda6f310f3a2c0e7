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
			y, err := c.Output(0, x.DType, c.T(1).Shape.Clone())
			if err != nil {
				return err
			}
			return gatherRuns(y, x, layout.ElementPlaces(x.Shape, c.T(1).Shape, axis), c.T(1), 1)
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

// somePlaces is how many places are computed at a time.
const somePlaces = 1024

// eachRun calls do with the places of some indices at a time, each that of a run of n elements, and the first element of
// the first of these runs where all lie one after the other.
func eachRun(p *layout.Places, idx *tensor.Tensor, n int, do func(at []int64, first int)) error {
	var some [somePlaces]int64
	var w layout.PlaceWalk
	if err := w.Start(p, idx); err != nil {
		return err
	}
	for first := 0; w.Left() > 0; {
		at, err := w.Next(some[:])
		if err != nil {
			return err
		}
		do(at, first)
		first += len(at) * n
	}
	return nil
}

// gatherRuns makes y of runs of n elements of x, one from each place.
func gatherRuns(y, x *tensor.Tensor, from *layout.Places, idx *tensor.Tensor, n int) error {
	d, s := layout.Open(y), layout.Open(x)
	defer d.Flush()
	return eachRun(from, idx, n, func(at []int64, to int) { d.Gather(to, s, at, n) })
}
