package shape

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func slice() []*ops.Op {
	return []*ops.Op{
		{Name: "Slice", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
			Attrs: form.Join(form.Required(form.Ints("starts", "ends")), form.Ints("axes")),
			Shape: func(c *ops.ShapeCall) error {
				return view(c, func(s tensor.Shape) (tensor.Shape, error) {
					_, out, err := sliceAttrs(c.Node).cut(s)
					return out, err
				})
			},
			Eval: func(c *ops.Call) error { return sliceAttrs(c.Node).eval(c) }},
		{Name: "Slice", Since: 10, MinIn: 3, MaxIn: 5, MinOut: 1, MaxOut: 1, Shape: sliceShape, Eval: sliceEval},
	}
}

// sliceArgs are Slice's parameters; axes and steps are nil where left out.
type sliceArgs struct{ starts, ends, axes, steps []int64 }

func sliceAttrs(n *graph.Node) sliceArgs {
	return sliceArgs{n.Attrs.Ints("starts"), n.Attrs.Ints("ends"), n.Attrs.Ints("axes"), nil}
}

func (a *sliceArgs) fields() [4]*[]int64 { return [4]*[]int64{&a.starts, &a.ends, &a.axes, &a.steps} }

func sliceShape(c *ops.ShapeCall) error {
	c.SetType(0, c.In[0].DType)
	var a sliceArgs
	for i, f := range a.fields() {
		v, ok, err := form.ConstIntsOf(c, i+1)
		if err != nil || !ok {
			return err
		}
		*f = v
	}
	return view(c, func(s tensor.Shape) (tensor.Shape, error) {
		_, out, err := a.cut(s)
		return out, err
	})
}

func sliceEval(c *ops.Call) error {
	var a sliceArgs
	for i, f := range a.fields() {
		v, err := form.IntsOf(c, i+1)
		if err != nil {
			return err
		}
		*f = v
	}
	return a.eval(c)
}

func (a sliceArgs) eval(c *ops.Call) error {
	x := c.T(0)
	box, s, err := a.cut(x.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	d := layout.Open(y)
	layout.Move(d, layout.Whole(s), layout.Open(x), box, s)
	d.Flush()
	return nil
}

// cut gives the box of the input that is taken, and its shape.
func (a sliceArgs) cut(s tensor.Shape) (layout.Box, tensor.Shape, error) {
	box := layout.Whole(s)
	n := len(a.starts)
	if len(a.ends) != n || a.axes != nil && len(a.axes) != n || a.steps != nil && len(a.steps) != n {
		return box, nil, fmt.Errorf("%d starts, %d ends, %d axes, %d steps: expected equal numbers", n, len(a.ends), len(a.axes), len(a.steps))
	}
	axes := a.axes
	if axes == nil {
		for i := range n {
			axes = append(axes, int64(i))
		}
	}
	ks, err := form.Axes(axes, len(s))
	if err != nil {
		return box, nil, err
	}
	out := s.Clone()
	for i, k := range ks {
		step := int64(1)
		if a.steps != nil {
			step = a.steps[i]
		}
		if step == 0 {
			return box, nil, fmt.Errorf("step of axis %d is 0", k)
		}
		start, count := span(int64(s[k]), a.starts[i], a.ends[i], step)
		out[k] = int(count)
		if count > 0 {
			box.At += int(start) * box.Stride[k]
		}
		if count > 1 {
			box.Stride[k] *= int(step)
		}
	}
	return box, out, nil
}

// span clamps a range with a step to an axis of n elements as Python's slices do, and
// gives its first index and the number of elements.
func span(n, start, end, step int64) (first, count int64) {
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		if end <= start {
			return 0, 0
		}
		return start, (end-start-1)/step + 1
	}
	start, end = min(max(start, -1), n-1), min(max(end, -1), n-1)
	if start <= end {
		return 0, 0
	}
	if step == math.MinInt64 {
		return start, 1
	}
	return start, (start-end-1)/-step + 1
}
