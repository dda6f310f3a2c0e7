package inspect

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

func file(t *testing.T, g *build.Graph) string {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func report(t *testing.T, g *build.Graph, shapes ...string) *Report {
	t.Helper()
	given, err := feed.ParseShapes(shapes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := File(runtime.NewEngine(runtime.Config{}), file(t, g), Options{Shapes: given})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// dense is relu(x·W + b) with x of N rows, then a Reshape that only changes the shape.
func dense() *build.Graph {
	g := build.New("dense", 17)
	x := g.Input("x", build.Float, build.Sym("N"), build.Size(20))
	w := g.Const("w", make([]float32, 20*30), 20, 30)
	b := g.Const("b", make([]float32, 30), 30)
	y := g.Op("Relu", []string{g.Op("Add", []string{g.Op("MatMul", []string{x, w}), b})})
	g.OpAs("y", "Reshape", []string{y, g.Const("s", []int64{-1, 5, 6}, 3)})
	g.Output("y", build.Float, build.Sym("N"), build.Size(5), build.Size(6))
	return g
}

func TestReport(t *testing.T) {
	r := report(t, dense())
	in := []Port{{Name: "x", Type: "float32[N,20]", Shape: tensor.Shape{1, 20}, Assumed: true}}
	out := []Port{{Name: "y", Type: "float32[N,5,6]", Shape: tensor.Shape{1, 5, 6}}}
	if !reflect.DeepEqual(r.Inputs, in) || !reflect.DeepEqual(r.Outputs, out) {
		t.Errorf("inputs %v, outputs %v", r.Inputs, r.Outputs)
	}
	if r.Parameters != 20*30+30+3 || r.Opsets[""] != 17 || r.Nodes != 4 || r.WeightsMapped < 4*630 {
		t.Errorf("%+v", r)
	}
	if !r.Batch.Rows || r.Batch.Reason == "" {
		t.Errorf("batch %+v", r.Batch)
	}
	// Two FLOPs a MAC, one for each element of Add and of Relu.
	if r.Work.MACs != 600 || r.Work.FLOPs != 1200+60 || r.Work.Uncounted != nil {
		t.Errorf("work %+v", r.Work)
	}
	p := &r.Plan
	if p.Fast != 3 || p.View != 1 || p.Eval != 0 || p.Folded != 0 || p.Steps != 2 || p.ArenaBytes < 4*30 {
		t.Errorf("plan %+v", p)
	}
	if len(p.Fused) != 1 || strings.Join(p.Fused[0].Operators, " ") != "MatMul Add Relu" || len(p.Fused[0].Nodes) != 3 {
		t.Errorf("fused %+v", p.Fused)
	}
	if got := p.Fusions(); len(got) != 1 || got[0] != (Count{p.Fused[0].Kernel + ": MatMul + Add + Relu", 1}) {
		t.Errorf("fusions %v", got)
	}
	if len(r.Where) != 4 || r.Where[0].Device != "cpu" || r.Where[0].Path != "fast" || r.Where[3].Path != "view" || r.Where[3].Kernel != "view" {
		t.Errorf("where %+v", r.Where)
	}
}

func TestGivenShapes(t *testing.T) {
	r := report(t, dense(), "x=7x20:float32")
	if r.Work.MACs != 7*600 || r.Inputs[0].Assumed || !r.Outputs[0].Shape.Equal(tensor.Shape{7, 5, 6}) {
		t.Errorf("%+v", r)
	}
}

// TestAssumptionsThatMustBeFound: this model works for one extent alone.
func TestAssumptionsThatMustBeFound(t *testing.T) {
	g := build.New("picky", 17)
	x := g.Input("x", build.Float, build.Sym("N"), build.Sym("K"))
	g.OpAs("y", "MatMul", []string{x, g.Const("w", make([]float32, 32*2), 32, 2)})
	g.Output("y", build.Float, build.Sym("N"), build.Size(2))
	if r := report(t, g); !r.Inputs[0].Shape.Equal(tensor.Shape{1, 32}) || !r.Inputs[0].Assumed {
		t.Errorf("%+v", r.Inputs)
	}
	g = build.New("none", 17)
	x = g.Input("x", build.Float, build.Sym("N"), build.Sym("K"))
	g.OpAs("y", "MatMul", []string{x, g.Const("w", make([]float32, 33*2), 33, 2)})
	g.Output("y", build.Float, build.Sym("N"), build.Size(2))
	_, err := File(runtime.NewEngine(runtime.Config{}), file(t, g), Options{})
	if err == nil || !strings.Contains(err.Error(), "give --shape for x (float32[N,K])") || !strings.Contains(err.Error(), "MatMul") {
		t.Errorf("%v", err)
	}
}

func TestFoldedNodesDoNotCount(t *testing.T) {
	g := build.New("shapes", 17)
	x := g.Input("x", build.Float, build.Sym("N"), build.Size(8))
	s := g.Op("Shape", []string{x}) // constant once shapes are known
	g.OpAs("y", "ConstantOfShape", []string{s})
	g.OpAs("z", "Exp", []string{x})
	g.Output("y", build.Float, build.Sym("N"), build.Size(8))
	g.Output("z", build.Float, build.Sym("N"), build.Size(8))
	r := report(t, g, "x=3x8")
	if r.Plan.Folded != 2 || r.Plan.Fast != 1 || r.Work.FLOPs != 24 || r.Where[0].Path != "folded" || r.Where[0].Device != "" {
		t.Errorf("%+v", r)
	}
}

func TestModelsThatFail(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{})
	f := func(path string, shapes map[string]tensor.Shape, want ...string) {
		t.Helper()
		_, err := File(e, path, Options{Shapes: shapes})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v, want %q", err, w)
			}
		}
	}
	g := build.New("unknown", 17)
	g.Add(build.Node{Op: "Frobnicate", Name: "the-node", Inputs: []string{g.Input("x", build.Float, build.Size(1))}, Outputs: []string{"y"}})
	g.Output("y", build.Float, build.Size(1))
	f(file(t, g), nil, "the-node", "Frobnicate", "not supported")
	f(filepath.Join(t.TempDir(), "absent.onnx"), nil, "no such file")
	f(file(t, dense()), map[string]tensor.Shape{"z": {1}}, "no such input", "x (float32[N,20])")
	f(file(t, dense()), map[string]tensor.Shape{"x": {1, 21}}, "expected shape [-1 20]")
}
