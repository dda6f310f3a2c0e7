package pass_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/pass"
	"github.com/aimass/aimass/runtime/tensor"
)

var update = flag.Bool("update", false, "rewrite the golden dumps")

// sketch builds graphs node by node.
type sketch struct{ g graph.Graph }

func (s *sketch) in(name string, d tensor.DType, dims ...int) *graph.Value {
	v := &graph.Value{Name: name, Type: graph.TensorType(d, dims...)}
	s.g.In = append(s.g.In, v)
	return v
}

func constant(name string, t *tensor.Tensor) *graph.Value {
	return &graph.Value{Name: name, Const: t, Type: graph.TensorType(t.DType, t.Shape...)}
}

func (s *sketch) op(name string, attrs graph.Attrs, outs int, in ...*graph.Value) []*graph.Value {
	domain := ""
	if name == "ZipMap" {
		domain = "ai.onnx.ml"
	}
	if attrs == nil {
		attrs = graph.Attrs{}
	}
	n := &graph.Node{Op: name, Domain: domain, Opset: 17, In: in, Attrs: attrs}
	for k := range outs {
		n.Out = append(n.Out, &graph.Value{Name: name + string(rune('0'+len(s.g.Nodes))) + string(rune('a'+k)), Def: n})
	}
	s.g.Nodes = append(s.g.Nodes, n)
	return append([]*graph.Value{}, n.Out...)
}

// golden compares a graph's dump before and after a rewrite with a stored text, and holds
// that the rewrite does nothing more when run again.
func golden(t *testing.T, name string, g *graph.Graph, run func(*graph.Graph)) {
	t.Helper()
	var b bytes.Buffer
	dump := func(title string) string {
		var one bytes.Buffer
		if err := g.Dump(&one); err != nil {
			t.Fatal(err)
		}
		b.WriteString("--- " + title + "\n" + one.String())
		return one.String()
	}
	dump("before")
	run(g)
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	after := dump("after")
	run(g)
	var again bytes.Buffer
	if err := g.Dump(&again); err != nil {
		t.Fatal(err)
	}
	if again.String() != after {
		t.Errorf("%s: a second run changed the graph:\n%s", name, again.String())
	}
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, b.String(), want)
	}
}

func named(t *testing.T, name string, reg *ops.Registry) func(*graph.Graph) {
	return func(g *graph.Graph) {
		t.Helper()
		for _, p := range pass.List() {
			if p.Name == name {
				if err := p.Run(g, reg); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("no pass is called %s", name)
	}
}

func TestFold(t *testing.T) {
	s := &sketch{}
	x := s.in("x", tensor.Float32, 2, 3)
	a, b := constant("a", tensor.FromSlice([]float32{1, 2, 3}, 3)), constant("b", tensor.FromSlice([]float32{10, 20, 30}, 3))
	sum := s.op("Add", nil, 1, a, b)[0]
	neg := s.op("Neg", nil, 1, sum)[0]
	huge := s.op("ConstantOfShape", nil, 1, constant("s", tensor.FromSlice([]int64{1 << 20, 1 << 10}, 2)))[0] // beyond what may be folded
	noise := s.op("RandomNormal", graph.Attrs{"shape": graph.IntsAttr(3)}, 1)[0]                              // no function of its inputs
	s.g.Out = []*graph.Value{s.op("Mul", nil, 1, x, neg)[0], huge, s.op("Add", nil, 1, x, noise)[0]}
	golden(t, "fold", &s.g, named(t, "fold", all.Registry()))
}

func TestDead(t *testing.T) {
	s := &sketch{}
	x := s.in("x", tensor.Float32, 2, 3)
	used := s.op("Relu", nil, 1, x)[0]
	s.op("Exp", nil, 1, s.op("Neg", nil, 1, x)[0]) // a chain that nobody reads
	drop := s.op("Dropout", nil, 2, used)          // its mask is not read
	s.g.Out = []*graph.Value{drop[0]}
	golden(t, "dead", &s.g, named(t, "dead", all.Registry()))
}

// What a body hands on as it came, by whatever name, is captured instead; what it changes
// or swaps stays state.
func TestInvariant(t *testing.T) {
	body := &sketch{}
	i, going := body.in("i", tensor.Int64), body.in("going", tensor.Bool)
	sum, w, left, right, kept := body.in("sum", tensor.Float32, 2), body.in("w", tensor.Float32, 2), body.in("left", tensor.Float32, 2), body.in("right", tensor.Float32, 2), body.in("kept", tensor.Float32, 2)
	next := body.op("Add", nil, 1, sum, body.op("Mul", nil, 1, w, right)[0])[0]
	same := body.op("Identity", nil, 1, body.op("Identity", nil, 1, kept)[0])[0]
	body.g.Out = []*graph.Value{going, next, w, right, left, same, body.op("Cast", graph.Attrs{"to": graph.IntAttr(1)}, 1, i)[0]}

	s := &sketch{}
	x, n := s.in("x", tensor.Float32, 2), s.in("n", tensor.Int64)
	weight := constant("weight", tensor.FromSlice([]float32{3, 4}, 2))
	out := s.op("Loop", graph.Attrs{"body": {Kind: graph.AttrGraph, G: &body.g}}, 6, n, constant("true", tensor.Scalar(true)), x, weight, x, weight, x)
	s.g.Out = []*graph.Value{out[0], out[1], out[2], out[4], out[5]}
	s.g.Nodes[0].Out[3] = nil
	golden(t, "invariant", &s.g, named(t, "invariant", all.Registry()))
}

func TestIdentity(t *testing.T) {
	branch := &sketch{}
	s := &sketch{}
	x, cond := s.in("x", tensor.Float32, 2), s.in("cond", tensor.Bool)
	id := func(v *graph.Value) *graph.Value { return s.op("Identity", nil, 1, v)[0] }
	a := s.op("Relu", nil, 1, id(id(x)))[0]
	b := id(a)
	twice := s.op("Add", nil, 1, b, b)[0]
	given := id(twice) // the graph gives it: it keeps its name
	also := id(given)  // and the same once more
	branch.g.Out = []*graph.Value{branch.op("Neg", nil, 1, branch.op("Identity", nil, 1, b)[0])[0]}
	chosen := s.op("If", graph.Attrs{"then_branch": {Kind: graph.AttrGraph, G: &branch.g}, "else_branch": {Kind: graph.AttrGraph, G: &graph.Graph{Out: []*graph.Value{b}}}}, 1, cond)[0]
	drop := s.op("Dropout", nil, 1, s.op("Neg", nil, 1, x)[0])[0]
	maybe := s.op("Dropout", nil, 1, x, constant("ratio", tensor.Scalar(float32(.5))), cond)[0] // it may train
	s.g.Out = []*graph.Value{given, also, chosen, s.op("Mul", nil, 1, drop, maybe)[0], id(x), s.op("Abs", nil, 1, given)[0]}
	golden(t, "identity", &s.g, named(t, "identity", all.Registry()))
}

func TestUnzip(t *testing.T) {
	s := &sketch{}
	p := s.in("p", tensor.Float32, 2, 3)
	labels := &graph.Attr{Kind: graph.AttrStrings, Strings: []string{"a", "b", "c"}}
	s.g.Out = s.op("ZipMap", graph.Attrs{"classlabels_strings": labels}, 1, p)
	golden(t, "unzip", &s.g, func(g *graph.Graph) { pass.Unzip(g) })
}

func TestRunLeavesOutWhatIsOff(t *testing.T) {
	s := &sketch{}
	a := constant("a", tensor.FromSlice([]float32{1}, 1))
	s.g.Out = s.op("Neg", nil, 1, a)
	if err := pass.Run(&s.g, all.Registry(), "fold"); err != nil || len(s.g.Nodes) != 1 {
		t.Errorf("%d nodes, %v", len(s.g.Nodes), err)
	}
	if err := pass.Run(&s.g, all.Registry()); err != nil || len(s.g.Nodes) != 0 {
		t.Errorf("%d nodes, %v", len(s.g.Nodes), err)
	}
}
