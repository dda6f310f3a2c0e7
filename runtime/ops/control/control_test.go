package control

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// graphOf makes a nested graph that only has a signature; its answers come from the
// test's Subrun.
func graphOf(inputs int, out ...graph.Type) *graph.Graph {
	g := &graph.Graph{Name: "body"}
	for range inputs {
		g.In = append(g.In, &graph.Value{})
	}
	for _, t := range out {
		g.Out = append(g.Out, &graph.Value{Type: t})
	}
	return g
}

func graphAttr(g *graph.Graph) *graph.Attr { return &graph.Attr{Kind: graph.AttrGraph, G: g} }

type subrun func(in []tensor.Value) ([]tensor.Value, error)

// run evaluates a form of an operator. It returns the outputs.
func run(t *testing.T, name string, opset int, attrs graph.Attrs, outs int, in []tensor.Value, f subrun) ([]tensor.Value, error) {
	t.Helper()
	r := ops.NewRegistry()
	Register(r)
	n := &graph.Node{Op: name, Opset: opset, Attrs: attrs, In: make([]*graph.Value, len(in))}
	for range outs {
		n.Out = append(n.Out, &graph.Value{})
	}
	o, err := r.Resolve(n)
	if err != nil {
		t.Fatal(err)
	}
	c := &ops.Call{Node: n, In: in, Out: make([]tensor.Value, outs), MaxBytes: 1 << 12,
		Sub: func(g *graph.Graph, in []tensor.Value) ([]tensor.Value, error) {
			if len(in) != len(g.In) {
				t.Fatalf("the body got %d inputs, it has %d", len(in), len(g.In))
			}
			return f(in)
		}}
	return c.Out, o.Eval(c)
}

func expect(t *testing.T, got tensor.Value, shape tensor.Shape, want ...float32) {
	t.Helper()
	x, ok := got.(*tensor.Tensor)
	if !ok || x.DType != tensor.Float32 || !x.Shape.Equal(shape) {
		t.Fatalf("got %v, want float32%v", got, shape)
	}
	if v := tensor.Data[float32](x); len(v)+len(want) > 0 && !reflect.DeepEqual(v, want) {
		t.Errorf("got %v, want %v", v, want)
	}
}

func refuse(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got error %v, want one with %q", err, part)
	}
}

func vec(v ...float32) *tensor.Tensor { return tensor.FromSlice(v, len(v)) }

var floats2 = graph.TensorType(tensor.Float32, 2)

func TestLoop(t *testing.T) {
	boolean := graph.TensorType(tensor.Bool)
	attrs := graph.Attrs{"body": graphAttr(graphOf(3, boolean, floats2, floats2))}
	stopAt := int64(-1)
	body := func(in []tensor.Value) ([]tensor.Value, error) {
		i := tensor.Data[int64](in[0].(*tensor.Tensor))[0]
		x := tensor.Data[float32](in[2].(*tensor.Tensor))
		next := vec(x[0]+1, x[1]+float32(i))
		return []tensor.Value{tensor.Scalar(i != stopAt), next, vec(x...)}, nil
	}
	trips := func(n int64) tensor.Value { return tensor.Scalar(n) }
	out, err := run(t, "Loop", 13, attrs, 2, []tensor.Value{trips(3), nil, vec(10, 20)}, body)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, out[0], tensor.Shape{2}, 13, 23)
	expect(t, out[1], tensor.Shape{3, 2}, 10, 20, 11, 20, 12, 21)

	stopAt = 1
	out, err = run(t, "Loop", 11, attrs, 2, []tensor.Value{nil, tensor.Scalar(true), vec(0, 0)}, body)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, out[0], tensor.Shape{2}, 2, 1)

	for _, in := range [][]tensor.Value{{trips(0), nil, vec(1, 2)}, {trips(5), tensor.Scalar(false), vec(1, 2)}} {
		if out, err = run(t, "Loop", 13, attrs, 2, in, body); err != nil {
			t.Fatal(err)
		}
		expect(t, out[0], tensor.Shape{2}, 1, 2)
		expect(t, out[1], tensor.Shape{0, 2})
	}

	stopAt = -1
	_, err = run(t, "Loop", 13, attrs, 2, []tensor.Value{nil, nil, vec(1, 2)}, body)
	refuse(t, err, "grows beyond 4096 bytes")
	_, err = run(t, "Loop", 13, attrs, 2, []tensor.Value{trips(2), nil}, body)
	refuse(t, err, "expected 2")
	_, err = run(t, "Loop", 13, attrs, 2, []tensor.Value{trips(2), nil, vec(1, 2)}, func([]tensor.Value) ([]tensor.Value, error) {
		return nil, fmt.Errorf("broken")
	})
	refuse(t, err, "iteration 0: broken")
}

func TestIf(t *testing.T) {
	attrs := graph.Attrs{"then_branch": graphAttr(graphOf(0, floats2)), "else_branch": graphAttr(graphOf(0, floats2))}
	attrs["then_branch"].G.Name = "yes"
	r := ops.NewRegistry()
	Register(r)
	for _, cond := range []bool{true, false} {
		ran := ""
		n := &graph.Node{Op: "If", Opset: 16, Attrs: attrs, In: make([]*graph.Value, 1), Out: []*graph.Value{{}}}
		o, err := r.Resolve(n)
		if err != nil {
			t.Fatal(err)
		}
		c := &ops.Call{Node: n, In: []tensor.Value{tensor.FromSlice([]bool{cond}, 1)}, Sub: func(g *graph.Graph, _ []tensor.Value) ([]tensor.Value, error) {
			ran = g.Name
			return []tensor.Value{vec(1, 2)}, nil
		}}
		if err := o.Eval(c); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: "yes", false: "body"}[cond]; ran != want {
			t.Errorf("%v ran %q", cond, ran)
		}
		expect(t, c.Out[0], tensor.Shape{2}, 1, 2)
	}
	_, err := run(t, "If", 11, attrs, 1, []tensor.Value{vec(1)}, nil)
	refuse(t, err, "expected one bool")
	_, err = run(t, "If", 11, attrs, 2, []tensor.Value{tensor.Scalar(true)}, func([]tensor.Value) ([]tensor.Value, error) {
		return []tensor.Value{vec(1)}, nil
	})
	refuse(t, err, "gives 1 outputs")
}

// sum adds the scanned element to the state and also collects the element.
func sum(in []tensor.Value) ([]tensor.Value, error) {
	s, x := tensor.Data[float32](in[0].(*tensor.Tensor)), tensor.Data[float32](in[1].(*tensor.Tensor))
	out := make([]float32, len(s))
	for i := range s {
		out[i] = s[i] + x[i]
	}
	return []tensor.Value{vec(out...), vec(x...)}, nil
}

func TestScan(t *testing.T) {
	attrs := graph.Attrs{"body": graphAttr(graphOf(2, floats2, floats2)), "num_scan_inputs": graph.IntAttr(1)}
	x := tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
	out, err := run(t, "Scan", 9, attrs, 2, []tensor.Value{vec(0, 0), x}, sum)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, out[0], tensor.Shape{2}, 9, 12)
	expect(t, out[1], tensor.Shape{3, 2}, 1, 2, 3, 4, 5, 6)

	attrs["scan_input_axes"], attrs["scan_output_axes"] = graph.IntsAttr(-1), graph.IntsAttr(-1)
	attrs["scan_input_directions"], attrs["scan_output_directions"] = graph.IntsAttr(1), graph.IntsAttr(1)
	y := tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if out, err = run(t, "Scan", 11, attrs, 2, []tensor.Value{vec(0, 0), y}, sum); err != nil {
		t.Fatal(err)
	}
	expect(t, out[0], tensor.Shape{2}, 6, 15)
	expect(t, out[1], tensor.Shape{2, 3}, 1, 2, 3, 4, 5, 6)

	attrs["scan_output_directions"] = graph.IntsAttr(0)
	if out, err = run(t, "Scan", 11, attrs, 2, []tensor.Value{vec(0, 0), y}, sum); err != nil {
		t.Fatal(err)
	}
	expect(t, out[1], tensor.Shape{2, 3}, 3, 2, 1, 6, 5, 4)

	if out, err = run(t, "Scan", 11, attrs, 2, []tensor.Value{vec(7, 8), tensor.New(tensor.Float32, tensor.Shape{2, 0})}, sum); err != nil {
		t.Fatal(err)
	}
	expect(t, out[0], tensor.Shape{2}, 7, 8)
	expect(t, out[1], tensor.Shape{2, 0})
	attrs["num_scan_inputs"] = graph.IntAttr(3)
	_, err = run(t, "Scan", 11, attrs, 2, []tensor.Value{vec(7, 8), y}, sum)
	refuse(t, err, "num_scan_inputs is 3")
}

func TestScanOfOpset8(t *testing.T) {
	attrs := graph.Attrs{"body": graphAttr(graphOf(2, floats2, floats2)), "num_scan_inputs": graph.IntAttr(1)}
	state := tensor.FromSlice([]float32{0, 0, 100, 100}, 2, 2)
	x := tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 2, 3, 2)
	out, err := run(t, "Scan", 8, attrs, 2, []tensor.Value{tensor.FromSlice([]int64{3, 1}, 2), state, x}, sum)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, out[0], tensor.Shape{2, 2}, 9, 12, 107, 108)
	expect(t, out[1], tensor.Shape{2, 3, 2}, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0)
	_, err = run(t, "Scan", 8, attrs, 2, []tensor.Value{tensor.FromSlice([]int64{4, 1}, 2), state, x}, sum)
	refuse(t, err, "sequence length 4 of at most 3")
}

func TestSequenceMap(t *testing.T) {
	attrs := graph.Attrs{"body": graphAttr(graphOf(2, floats2))}
	add := func(in []tensor.Value) ([]tensor.Value, error) {
		out, err := sum(in)
		return out[:1], err
	}
	s := &tensor.Sequence{Elem: []tensor.Value{vec(1, 2), vec(3, 4)}}
	for _, second := range []tensor.Value{vec(10, 20), &tensor.Sequence{Elem: []tensor.Value{vec(10, 20), vec(10, 20)}}} {
		out, err := run(t, "SequenceMap", 17, attrs, 1, []tensor.Value{s, second}, add)
		if err != nil {
			t.Fatal(err)
		}
		got := out[0].(*tensor.Sequence)
		if len(got.Elem) != 2 || got.Of != tensor.Float32 {
			t.Fatalf("got %v of %v", got.Elem, got.Of)
		}
		expect(t, got.Elem[0], tensor.Shape{2}, 11, 22)
		expect(t, got.Elem[1], tensor.Shape{2}, 13, 24)
	}
	_, err := run(t, "SequenceMap", 17, attrs, 1, []tensor.Value{s, &tensor.Sequence{}}, add)
	refuse(t, err, "has 0 elements")
}
