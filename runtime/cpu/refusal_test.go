package cpu

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestRefusals: what a node's checks of values and shapes return is told as the fault of the call; panics,
// too little memory and the end of the caller's patience are not. None takes the process down.
func TestRefusals(t *testing.T) {
	reg := all.Registry()
	fail := func(*ops.Call) error { panic("a defect") }
	trip := func(*ops.ShapeCall) error { panic("a defect") }
	reg.Add(&ops.Op{Name: "PanicInRun", Domain: "test", MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Eval: fail},
		&ops.Op{Name: "PanicInShape", Domain: "test", MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Shape: trip, Eval: fail})
	open := func(name string, d tensor.DType) *graph.Value {
		return &graph.Value{Name: name, Type: graph.Type{Kind: graph.TensorKind, DType: d, Ranked: true, Shape: []graph.Dim{{Size: -1}}}}
	}
	node := func(g *graph.Graph, domain, op string, in ...*graph.Value) *graph.Value {
		y := &graph.Value{Name: op}
		y.Def = &graph.Node{Name: "the_" + op, Domain: domain, Op: op, Opset: 13, In: in, Out: []*graph.Value{y}, Attrs: graph.Attrs{}}
		g.Nodes = append(g.Nodes, y.Def)
		return y
	}
	table := &graph.Value{Name: "table", Const: tensor.FromSlice([]float32{1, 2, 3}, 3)}
	one := func(d tensor.DType, domain, op string, before ...*graph.Value) *graph.Graph {
		x := open("x", d)
		g := &graph.Graph{Name: "g", In: []*graph.Value{x}}
		g.Out = []*graph.Value{node(g, domain, op, append(before, x)...)}
		return g
	}
	nested := func(domain, op string) *graph.Graph {
		x, c := open("x", tensor.Int64), open("c", tensor.Bool)
		branch := func(domain, op string) *graph.Attr {
			b := &graph.Graph{Name: op}
			in := []*graph.Value{x}
			if op == "Gather" {
				in = []*graph.Value{table, x}
			}
			b.Out = []*graph.Value{node(b, domain, op, in...)}
			return &graph.Attr{Kind: graph.AttrGraph, G: b}
		}
		g := &graph.Graph{Name: "g", In: []*graph.Value{x, c}}
		y := node(g, "", "If", c)
		y.Def.Attrs = graph.Attrs{"then_branch": branch(domain, op), "else_branch": branch("", "Identity")}
		g.Out = []*graph.Value{y}
		return g
	}
	pair := func() *graph.Graph {
		a, b := open("a", tensor.Float32), open("b", tensor.Float32)
		g := &graph.Graph{Name: "g", In: []*graph.Value{a, b}}
		g.Out = []*graph.Value{node(g, "", "Add", a, b)}
		return g
	}
	yes, far := tensor.FromSlice([]bool{true}, 1), tensor.FromSlice([]int64{0, 7}, 2)
	vast := tensor.FromSlice([]int64{1 << 30}, 1)
	small := func(n int) *tensor.Tensor { return tensor.New(tensor.Float32, tensor.Shape{n}) }
	ended, end := context.WithCancel(context.Background())
	end()
	for name, c := range map[string]struct {
		g               *graph.Graph
		in              []tensor.Value
		ctx             context.Context
		refused, shapes bool
		text            string
	}{
		"an index":                   {g: one(tensor.Int64, "", "Gather", table), in: []tensor.Value{far}, refused: true, text: "node the_Gather "},
		"an index in a branch":       {g: nested("", "Gather"), in: []tensor.Value{far, yes}, refused: true, text: "node the_Gather "},
		"two lengths":                {g: pair(), in: []tensor.Value{small(2), small(3)}, refused: true, shapes: true, text: "node the_Add (Add): "},
		"more than there is room":    {g: one(tensor.Int64, "", "ConstantOfShape"), in: []tensor.Value{vast}, text: "beyond the limit"},
		"a plan without room":        {g: pair(), in: []tensor.Value{small(1 << 19), small(1 << 19)}, text: "beyond the limit"},
		"a panic":                    {g: one(tensor.Float32, "test", "PanicInRun"), in: []tensor.Value{small(2)}, text: "(test.PanicInRun): a defect"},
		"a panic in a branch":        {g: nested("test", "PanicInRun"), in: []tensor.Value{far, yes}, text: "(test.PanicInRun): a defect"},
		"a panic in planning":        {g: one(tensor.Float32, "test", "PanicInShape"), in: []tensor.Value{small(2)}, text: "(test.PanicInShape): a defect"},
		"a caller who has gone":      {g: one(tensor.Int64, "", "Gather", table), in: []tensor.Value{far}, ctx: ended, text: "context canceled"},
		"a planning panic in branch": {g: nested("test", "PanicInShape"), in: []tensor.Value{far, yes}, text: "a defect"},
	} {
		for _, plain := range []bool{false, true} {
			p, err := New(reg, Config{Threads: 1, MaxBytes: 1 << 20, NoLowering: plain}).Compile(c.g)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			ctx := c.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			err = p.Run(ctx, &device.Call{In: c.in})
			var r *device.Refusal
			if got := errors.As(err, &r); err == nil || got != c.refused || got && r.Shapes != c.shapes || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s, plain %v: %v (%+v), want refused %v, by shapes %v, %q", name, plain, err, r, c.refused, c.shapes, c.text)
			}
		}
	}
}
