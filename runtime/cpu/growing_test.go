package cpu

import (
	"context"
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestGrowingState runs a loop that collects rows in its state: the rows are right, whatever their number,
// and the plans of the body do not grow with it.
func TestGrowingState(t *testing.T) {
	value := func(name string, d tensor.DType, shape ...int) *graph.Value {
		v := &graph.Value{Name: name, Type: graph.Type{Kind: graph.TensorKind, DType: d, Ranked: true}}
		for _, n := range shape {
			v.Type.Shape = append(v.Type.Shape, graph.Dim{Size: n})
		}
		return v
	}
	node := func(op string, a graph.Attrs, out *graph.Value, in ...*graph.Value) *graph.Node {
		n := &graph.Node{Op: op, Opset: 17, Attrs: a, In: in, Out: []*graph.Value{out}}
		out.Def = n
		return n
	}
	i, keep, x, rows := value("i", tensor.Int64), value("keep", tensor.Bool), value("x", tensor.Float32, 1, 2), value("rows", tensor.Float32, -1, 2)
	on, y, more := value("on", tensor.Bool), value("y", tensor.Float32, 1, 2), value("more", tensor.Float32, -1, 2)
	body := &graph.Graph{Name: "body", In: []*graph.Value{i, keep, x, rows}, Out: []*graph.Value{on, y, more}, Nodes: []*graph.Node{
		node("Identity", graph.Attrs{}, on, keep),
		node("Tanh", graph.Attrs{}, y, x),
		node("Concat", graph.Attrs{"axis": graph.IntAttr(0)}, more, rows, y),
	}}
	trips, first, none := value("trips", tensor.Int64), value("first", tensor.Float32, 1, 2), value("none", tensor.Float32, -1, 2)
	last, all2 := value("last", tensor.Float32, 1, 2), value("all", tensor.Float32, -1, 2)
	loop := node("Loop", graph.Attrs{"body": {Kind: graph.AttrGraph, G: body}}, last, trips, nil, first, none)
	loop.Out = append(loop.Out, all2)
	all2.Def = loop
	g := &graph.Graph{Name: "g", In: []*graph.Value{trips, first, none}, Out: []*graph.Value{last, all2}, Nodes: []*graph.Node{loop}}
	made, err := New(all.Registry(), Config{Threads: 1}).Compile(g)
	if err != nil {
		t.Fatal(err)
	}
	p := made.(*program)
	for _, n := range []int{2, 100, 7, 150} {
		c := &device.Call{In: []tensor.Value{tensor.Scalar(int64(n)), tensor.FromSlice([]float32{.5, -2}, 1, 2), tensor.New(tensor.Float32, tensor.Shape{0, 2})}}
		if err := p.Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		got := c.Out[1].(*tensor.Tensor)
		if !got.Shape.Equal(tensor.Shape{n, 2}) {
			t.Fatalf("%d iterations collected %v", n, got)
		}
		want := []float64{.5, -2}
		for k, v := range tensor.Data[float32](got) {
			if want[k%2] = math.Tanh(want[k%2]); math.Abs(want[k%2]-float64(v)) > 1e-5 {
				t.Fatalf("%d iterations: element %d is %v, expected %v", n, k, v, want[k%2])
			}
		}
		if final := tensor.Data[float32](c.Out[0].(*tensor.Tensor)); final[1] != tensor.Data[float32](got)[2*n-1] {
			t.Fatalf("%d iterations end with %v", n, final)
		}
		c.Release()
	}
	if plans := len(p.sub[0].plans); plans > growthSeen {
		t.Errorf("the body has %d plans", plans)
	}
}
