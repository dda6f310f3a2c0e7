package control

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

// body gives a graph attribute after checking how many inputs it takes.
func body(c *ops.Call, name string, inputs int) (*graph.Graph, error) {
	g := c.Node.Attrs.Graph(name)
	if g == nil {
		return nil, fmt.Errorf("attribute %q holds no graph", name)
	}
	if c.Sub == nil {
		return nil, fmt.Errorf("nested graphs can't be run here")
	}
	if len(g.In) != inputs {
		return nil, fmt.Errorf("graph %q of attribute %q takes %d inputs, expected %d", g.Name, name, len(g.In), inputs)
	}
	return g, nil
}

// declare states the element type of output i as a nested graph declares it, where it
// is a tensor.
func declare(c *ops.ShapeCall, i int, v *graph.Value) {
	if v.Type.Kind == graph.TensorKind && v.Type.DType != tensor.Invalid {
		c.SetType(i, v.Type.DType)
	}
}

// truth reads a condition.
func truth(what string, v tensor.Value) (bool, error) {
	t, ok := v.(*tensor.Tensor)
	if !ok || t.DType != tensor.Bool || t.Elements() != 1 {
		return false, fmt.Errorf("%s is %s, expected one bool", what, describe(v))
	}
	return tensor.Data[bool](t)[0], nil
}

func describe(v tensor.Value) string {
	if t, ok := v.(*tensor.Tensor); ok {
		return t.String()
	}
	return fmt.Sprintf("%T", v)
}

// collector gathers what one output of a body gives in each iteration.
type collector struct {
	parts []*tensor.Tensor
	bytes int
	limit int
}

func newCollectors(c *ops.Call, n int) []collector {
	limit := c.MaxBytes
	if limit == 0 {
		limit = ops.DefaultMaxBytes
	}
	out := make([]collector, n)
	for i := range out {
		out[i].limit = limit
	}
	return out
}

func (k *collector) add(v tensor.Value) error {
	t, ok := v.(*tensor.Tensor)
	if !ok {
		return fmt.Errorf("is a %T, expected a tensor", v)
	}
	if len(k.parts) > 0 && (t.DType != k.parts[0].DType || !t.Shape.Equal(k.parts[0].Shape)) {
		return fmt.Errorf("is %v, in the first iteration it was %v", t, k.parts[0])
	}
	if k.bytes += len(t.Bytes()) + 16*len(t.Strings()); k.bytes > k.limit {
		return ops.TooLargef("grows beyond %d bytes", k.limit)
	}
	k.parts = append(k.parts, t)
	return nil
}

// stack sets output i to the parts along a new axis (counted from the end if negative),
// last first if reverse. Without parts it is empty, in the type that the body declares.
func (k *collector) stack(c *ops.Call, i int, axis int64, reverse bool, declared *graph.Value) error {
	if !c.Wanted(i) {
		return nil
	}
	like := k.like(declared)
	at, err := tensor.Axis(axis, like.Rank()+1)
	if err != nil {
		return err
	}
	y, err := c.Output(i, like.DType, layout.Insert(like.Shape, at, len(k.parts)))
	if err != nil {
		return err
	}
	parts := k.parts
	if reverse {
		parts = make([]*tensor.Tensor, len(k.parts))
		for j, p := range k.parts {
			parts[len(parts)-1-j] = p
		}
	}
	layout.Stack(y, parts, at)
	return nil
}

// like is the first part or, if there is none, an empty tensor with the rank that the
// body declares, extents that it leaves open being 0.
func (k *collector) like(declared *graph.Value) *tensor.Tensor {
	if len(k.parts) > 0 {
		return k.parts[0]
	}
	t := &tensor.Tensor{DType: declared.Type.DType, Shape: tensor.Shape{}}
	if t.DType == tensor.Invalid {
		t.DType = tensor.Float32
	}
	for _, d := range declared.Type.Shape {
		t.Shape = append(t.Shape, max(d.Size, 0))
	}
	return t
}
