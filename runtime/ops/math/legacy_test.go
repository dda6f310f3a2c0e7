package math

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// evaluate runs one operator of the family and gives its only output.
func evaluate(t *testing.T, op string, opset int, attrs graph.Attrs, in ...*tensor.Tensor) (*tensor.Tensor, error) {
	t.Helper()
	r := ops.NewRegistry()
	Register(r)
	n := &graph.Node{Op: op, Opset: opset, Attrs: attrs, Out: []*graph.Value{{}}}
	c := &ops.Call{Node: n, Out: make([]tensor.Value, 1)}
	s := &ops.ShapeCall{Node: n, Out: make([]ops.Info, 1)}
	for _, x := range in {
		n.In = append(n.In, &graph.Value{})
		c.In = append(c.In, x)
		s.In = append(s.In, ops.Info{Present: true, DType: x.DType, Known: true, Shape: x.Shape})
	}
	o, err := r.Resolve(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Eval(c); err != nil {
		if o.Shape(s) == nil {
			t.Errorf("the shape rule accepts what Eval refuses: %v", err)
		}
		return nil, err
	}
	y := c.Out[0].(*tensor.Tensor)
	if err := o.Shape(s); err != nil {
		t.Fatal(err)
	}
	if s.Out[0].DType != y.DType || !s.Out[0].Shape.Equal(y.Shape) {
		t.Errorf("the shape rule says %v%v, Eval made %v", s.Out[0].DType, s.Out[0].Shape, y)
	}
	return y, nil
}

func TestLegacyBroadcast(t *testing.T) {
	a := tensor.New(tensor.Int64, tensor.Shape{2, 3, 4})
	for i := range a.Elements() {
		tensor.Data[int64](a)[i] = int64(100 * i)
	}
	for _, c := range []struct {
		b    tensor.Shape
		axis int64 // 9: none given
		at   func(i, j, k int) int
	}{
		{tensor.Shape{3}, 1, func(_, j, _ int) int { return j }},
		{tensor.Shape{3}, -2, func(_, j, _ int) int { return j }},
		{tensor.Shape{2}, 0, func(i, _, _ int) int { return i }},
		{tensor.Shape{2, 3}, 0, func(i, j, _ int) int { return 3*i + j }},
		{tensor.Shape{3, 4}, 1, func(_, j, k int) int { return 4*j + k }},
		{tensor.Shape{3, 4}, 9, func(_, j, k int) int { return 4*j + k }},
		{tensor.Shape{1}, 0, func(_, _, _ int) int { return 0 }},
		{tensor.Shape{}, 9, func(_, _, _ int) int { return 0 }},
		{tensor.Shape{3, 1, 1}, 1, func(_, j, _ int) int { return j }},
	} {
		b := tensor.New(tensor.Int64, c.b)
		for i := range b.Elements() {
			tensor.Data[int64](b)[i] = int64(i)
		}
		attrs := graph.Attrs{"broadcast": graph.IntAttr(1)}
		if c.axis != 9 {
			attrs["axis"] = graph.IntAttr(c.axis)
		}
		y, err := evaluate(t, "Add", 6, attrs, a, b)
		if err != nil {
			t.Errorf("%v from axis %d: %v", c.b, c.axis, err)
			continue
		}
		for p, got := range tensor.Data[int64](y) {
			if want := int64(100*p + c.at(p/12, p/4%3, p%4)); got != want {
				t.Fatalf("%v from axis %d, element %d: got %d, want %d", c.b, c.axis, p, got, want)
			}
		}
	}
	for _, c := range []struct {
		b    tensor.Shape
		axis int64
	}{{tensor.Shape{3}, 2}, {tensor.Shape{3, 4}, 2}, {tensor.Shape{3}, 4}, {tensor.Shape{3}, -9}} {
		attrs := graph.Attrs{"broadcast": graph.IntAttr(1), "axis": graph.IntAttr(c.axis)}
		if _, err := evaluate(t, "Add", 6, attrs, a, tensor.New(tensor.Int64, c.b)); err == nil {
			t.Errorf("%v from axis %d passed", c.b, c.axis)
		}
	}
}

func TestLegacyPRelu(t *testing.T) {
	x := tensor.FromSlice([]float32{-1, 2, -3, -4, 5, -6}, 1, 3, 2)
	y, err := evaluate(t, "PRelu", 6, nil, x, tensor.FromSlice([]float32{10, 100, 1000}, 3))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{-10, 2, -300, -400, 5, -6000} {
		if got := tensor.Data[float32](y)[i]; got != want {
			t.Errorf("element %d: got %v, want %v", i, got, want)
		}
	}
}

func TestLegacyClip(t *testing.T) {
	x := tensor.FromSlice([]float32{-5, 0, 5}, 3)
	y, err := evaluate(t, "Clip", 6, graph.Attrs{"min": graph.FloatAttr(-2)}, x)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{-2, 0, 5} {
		if got := tensor.Data[float32](y)[i]; got != want {
			t.Errorf("element %d: got %v, want %v", i, got, want)
		}
	}
}
