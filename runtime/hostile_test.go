package runtime_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func encode(t testing.TB, g *build.Graph) []byte {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, g *build.Graph) *runtime.Model {
	t.Helper()
	m, err := runtime.NewEngine(runtime.Config{}).Read(encode(t, g))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// ports of a graph under test: nothing is known of them but their types.
func in(g *build.Graph, name string, d build.DType, rank int) string {
	return g.Input(name, d, syms(name, rank)...)
}

func syms(name string, rank int) []build.Dim {
	var s []build.Dim
	for i := range rank {
		s = append(s, build.Sym(name+string(rune('a'+i))))
	}
	return s
}

func TestErrorsOfModels(t *testing.T) {
	f := func(name string, make func(g *build.Graph), unsupported bool, want ...string) {
		t.Helper()
		g := build.New("g", 17)
		make(g)
		_, err := runtime.NewEngine(runtime.Config{}).Read(encode(t, g))
		if err == nil {
			t.Errorf("%s: it was taken", name)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in %v", name, w, err)
			}
		}
		if errors.Is(err, ops.ErrUnsupported) != unsupported {
			t.Errorf("%s: is %v about something that is not supported? want %t", name, err, unsupported)
		}
	}
	one := func(n build.Node) func(g *build.Graph) {
		return func(g *build.Graph) {
			n.Name, n.Inputs, n.Outputs = "mine", []string{in(g, "x", build.Float, 2)}, []string{"y"}
			if n.Domain != "" {
				g.Opsets[n.Domain] = 1
			}
			g.Add(n)
			g.Output("y", build.Float, syms("y", 2)...)
		}
	}
	f("an unknown operator", one(build.Node{Op: "Frobnicate"}), true, "mine", "Frobnicate", "domain ai.onnx", "opset 17", "supported are", "com.microsoft")
	f("an operator of an unknown domain", one(build.Node{Op: "Softmax", Domain: "com.example"}), true, "mine", "com.example", "opset 1", "supported under that name: Softmax")
	f("an operator from the future", one(build.Node{Op: "Gelu"}), true, "mine", "Gelu", "opset 20", "imports 17")
	f("an unknown attribute", one(build.Node{Op: "Relu", Attrs: []build.Attr{build.I("slope", 1)}}), true, "mine", "Relu", `"slope"`)
	f("an attribute of another kind", one(build.Node{Op: "Softmax", Attrs: []build.Attr{build.F("axis", 1)}}), false, "mine", `"axis"`, "kind")
	f("a missing attribute", one(build.Node{Op: "Cast"}), false, "mine", `"to"`, "missing")
	f("too many inputs", func(g *build.Graph) {
		x := in(g, "x", build.Float, 1)
		g.Output(g.OpAs("y", "Relu", []string{x, x}), build.Float, build.Sym("n"))
	}, false, "2 inputs", "expected 1")
}

// run gives the error of one run under a watch.
func run(t *testing.T, name string, m *runtime.Model, in ...tensor.Value) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	began := time.Now()
	c := &device.Call{In: in}
	err := m.Run(ctx, c)
	if err == nil {
		c.Release()
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%s: the run took %v", name, took)
	}
	if err != nil && strings.Contains(err.Error(), "BUG") {
		t.Errorf("%s: %v", name, err)
	}
	return err
}

func ints(v ...int64) *tensor.Tensor { return tensor.FromSlice(v, len(v)) }

// TestSizesFromInputs asks for tensors that no machine can hold by the values of inputs.
func TestSizesFromInputs(t *testing.T) {
	f32 := build.Float
	f := func(name string, rank int, make func(g *build.Graph, x, n string) string, asks ...*tensor.Tensor) {
		t.Helper()
		g := build.New("g", 17)
		x, n := in(g, "x", f32, 2), in(g, "n", build.Int64, 1)
		y := make(g, x, n)
		g.Output(y, f32, syms("y", rank)...)
		m := open(t, g)
		for _, ask := range asks {
			err := run(t, name, m, tensor.New(tensor.Float32, tensor.Shape{2, 2}), ask)
			if err == nil {
				t.Errorf("%s: %v was taken", name, tensor.Data[int64](ask))
			} else if !strings.Contains(err.Error(), name) {
				t.Errorf("%s: the error does not name the operator: %v", name, err)
			}
		}
	}
	huge, wrap, minus := ints(1<<30, 1<<9), ints(1<<33, 1<<33), ints(-1, -5)
	f("Expand", 4, func(g *build.Graph, x, n string) string { return g.Op("Expand", []string{x, n}) },
		ints(1<<30, 1<<9, 2, 2), ints(1<<33, 1<<33, 2, 2), ints(-7, 2, 2))
	f("Tile", 2, func(g *build.Graph, x, n string) string { return g.Op("Tile", []string{x, n}) }, huge, wrap, minus, ints(math.MaxInt64, 4), ints(1))
	f("ConstantOfShape", 2, func(g *build.Graph, _, n string) string { return g.Op("ConstantOfShape", []string{n}) }, huge, wrap, minus)
	f("Pad", 2, func(g *build.Graph, x, n string) string { return g.Op("Pad", []string{x, n}) }, ints(0, 1<<30, 1<<9, 0), ints(math.MaxInt64, math.MaxInt64, 1, 1), ints(-3, 0, -3, 0))
	f("Reshape", 2, func(g *build.Graph, x, n string) string { return g.Op("Reshape", []string{x, n}) }, huge, wrap, minus, ints(-1, -1), ints(0, 3), ints(math.MaxInt64, math.MinInt64))
	f("Resize", 2, func(g *build.Graph, x, n string) string { return g.Op("Resize", []string{x, "", "", n}) }, huge, wrap, minus)
	f("Slice", 2, func(g *build.Graph, x, n string) string {
		return g.Op("Slice", []string{x, n, n, g.Const("axes", []int64{0, 1}, 2), g.Const("steps", []int64{0, 1}, 2)})
	}, ints(math.MinInt64, math.MaxInt64))
	f("OneHot", 2, func(g *build.Graph, x, n string) string {
		return g.Op("OneHot", []string{n, g.Op("ReduceSum", []string{n}), g.Const("values", []float32{0, 1}, 2)})
	}, ints(1<<50, 1<<50), ints(-4, 1))
	f("Range", 1, func(g *build.Graph, _, n string) string {
		zero := g.Const("zero", []int64{0})
		top := g.Op("Squeeze", []string{g.Op("ReduceMax", []string{n})})
		return g.Op("Cast", []string{g.Op("Range", []string{zero, top, g.Const("one", []int64{1})})}, build.I("to", 1))
	}, ints(1<<50))
}

// TestIndicesFromInputs reads outside of the data.
func TestIndicesFromInputs(t *testing.T) {
	f := func(name string, make func(g *build.Graph, x, n string) string, bad ...*tensor.Tensor) {
		t.Helper()
		g := build.New("g", 17)
		x, n := in(g, "x", build.Float, 2), in(g, "n", build.Int64, 2)
		g.Output(make(g, x, n), build.Float, syms("y", 2)...)
		m := open(t, g)
		for _, ask := range bad {
			if err := run(t, name, m, tensor.New(tensor.Float32, tensor.Shape{2, 2}), ask); err == nil {
				t.Errorf("%s: %v was taken", name, tensor.Data[int64](ask))
			}
		}
	}
	at := func(v ...int64) *tensor.Tensor { return tensor.FromSlice(v, 1, len(v)) }
	bad := []*tensor.Tensor{at(2, 0), at(-3, 0), at(0, math.MaxInt64), at(math.MinInt64, 1), at(1<<32, 0)}
	f("Gather", func(g *build.Graph, x, n string) string { return g.Op("Gather", []string{x, n}) }, bad...)
	f("Gather axis 1", func(g *build.Graph, x, n string) string { return g.Op("Gather", []string{x, n}, build.I("axis", 1)) }, bad...)
	f("GatherElements", func(g *build.Graph, x, n string) string { return g.Op("GatherElements", []string{x, n}) }, bad...)
	f("GatherND", func(g *build.Graph, x, n string) string { return g.Op("GatherND", []string{x, n}) }, bad...)
	f("ScatterND", func(g *build.Graph, x, n string) string {
		return g.Op("ScatterND", []string{x, n, g.Const("u", []float32{1}, 1)})
	}, bad...)
	f("ScatterElements", func(g *build.Graph, x, n string) string {
		return g.Op("ScatterElements", []string{x, n, g.Const("u", []float32{1, 1}, 1, 2)})
	}, bad...)
	table := func(g *build.Graph, _, n string) string {
		return g.Op("Gather", []string{g.Const("table", []float32{1, 2}, 2), n})
	}
	f("a constant table", table, bad...)
}

// TestNaN feeds NaN and infinities into what turns floats to integers, sorts or searches.
func TestNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := tensor.FromSlice([]float32{nan, inf, -inf, 0, math.MaxFloat32, nan}, 2, 3)
	for name, make := range map[string]func(g *build.Graph, x string) string{
		"Softmax": func(g *build.Graph, x string) string { return g.Op("Softmax", []string{x}) },
		"ArgMax": func(g *build.Graph, x string) string {
			return g.Op("Cast", []string{g.Op("ArgMax", []string{x})}, build.I("to", 1))
		},
		"TopK": func(g *build.Graph, x string) string {
			g.Add(build.Node{Op: "TopK", Inputs: []string{x, g.Const("k", []int64{2}, 1)}, Outputs: []string{"v", "i"}})
			return "v"
		},
		"Cast": func(g *build.Graph, x string) string {
			return g.Op("Cast", []string{g.Op("Cast", []string{x}, build.I("to", 6))}, build.I("to", 1))
		},
		"QuantizeLinear": func(g *build.Graph, x string) string {
			s, z := g.Const("s", []float32{0.5}), g.Const("z", []uint8{3})
			return g.Op("DequantizeLinear", []string{g.Op("QuantizeLinear", []string{x, s, z}), s, z})
		},
		"DynamicQuantizeLinear": func(g *build.Graph, x string) string {
			g.Add(build.Node{Op: "DynamicQuantizeLinear", Inputs: []string{x}, Outputs: []string{"q", "s", "z"}})
			return g.Op("DequantizeLinear", []string{"q", "s", "z"})
		},
		"Gather by a cast NaN": func(g *build.Graph, x string) string {
			return g.Op("Gather", []string{g.Const("t", []float32{1, 2}, 2), g.Op("Cast", []string{x}, build.I("to", 7))})
		},
		"Clip": func(g *build.Graph, x string) string {
			return g.Op("Clip", []string{x, g.Const("lo", []float32{0}), g.Const("hi", []float32{1})})
		},
		"CumSum": func(g *build.Graph, x string) string {
			return g.Op("CumSum", []string{x, g.Const("a", []int64{1})})
		},
	} {
		g := build.New("g", 17)
		g.Output(make(g, in(g, "x", build.Float, 2)), build.Float, syms("y", 2)...)
		m := open(t, g)
		err := run(t, name, m, x)
		if err != nil && name != "Gather by a cast NaN" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamagedModels runs what damage leaves of models, if they still load.
func TestDamagedModels(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{CPU: cpu.Config{MaxBytes: 64 << 20}})
	r := rand.New(rand.NewPCG(3, 4))
	loaded := 0
	for _, b := range [][]byte{encode(t, denseModel()), encode(t, convModel()), encode(t, shapesModel())} {
		for range 1500 {
			c := append([]byte(nil), b...)
			for range 1 + r.IntN(3) {
				c[r.IntN(len(c))] ^= 1 << r.IntN(8)
			}
			m, err := e.Read(c)
			if err != nil {
				continue
			}
			loaded++
			if in := made(m, 2); in != nil {
				_ = run(t, "a damaged model", m, in...)
			}
			m.Close()
		}
	}
	if loaded < 100 {
		t.Errorf("only %d damaged models loaded, so that running them was hardly looked at", loaded)
	}
}

// made makes inputs of a model, with open extents of n; nil if they would be large.
func made(m *runtime.Model, n int) []tensor.Value {
	var out []tensor.Value
	for _, p := range m.Inputs {
		s := tensor.Shape{}
		for _, d := range p.Shape() {
			if d < 0 {
				d = int64(n)
			}
			s = append(s, int(d))
		}
		if p.Type.DType == tensor.Invalid || s.Check() != nil || s.Elements() > 1<<20 {
			return nil
		}
		out = append(out, tensor.New(p.Type.DType, s))
	}
	return out
}

func denseModel() *build.Graph {
	g := build.New("dense", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(4))
	h := g.Op("Relu", []string{g.Op("Gemm", []string{x, g.Const("w", make([]float32, 12), 4, 3), g.Const("b", make([]float32, 3), 3)})})
	g.Output(g.OpAs("y", "Softmax", []string{h}, build.I("axis", -1)), build.Float, build.Sym("n"), build.Size(3))
	return g
}

func convModel() *build.Graph {
	g := build.New("conv", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(2), build.Size(8), build.Size(8))
	h := g.Op("Conv", []string{x, g.Const("w", make([]float32, 3*2*9), 3, 2, 3, 3)}, build.Is("pads", 1, 1, 1, 1), build.Is("strides", 2, 2), build.Is("kernel_shape", 3, 3))
	h = g.Op("MaxPool", []string{h}, build.Is("kernel_shape", 2, 2), build.Is("strides", 1, 1))
	g.Output(g.OpAs("y", "GlobalAveragePool", []string{h}), build.Float, build.Sym("n"), build.Size(3), build.Size(1), build.Size(1))
	return g
}

func shapesModel() *build.Graph {
	g := build.New("shapes", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(6))
	h := g.Op("Reshape", []string{x, g.Const("s", []int64{-1, 2, 3}, 3)})
	h = g.Op("Transpose", []string{h}, build.Is("perm", 0, 2, 1))
	h = g.Op("Slice", []string{h, g.Const("from", []int64{1}, 1), g.Const("to", []int64{3}, 1), g.Const("axis", []int64{1}, 1)})
	h = g.Op("Concat", []string{h, h}, build.I("axis", 2))
	h = g.Op("Pad", []string{h, g.Const("pads", []int64{0, 0, 1, 0, 0, 1}, 6)})
	g.Output(g.OpAs("y", "ReduceMean", []string{h}, build.Is("axes", 1), build.I("keepdims", 0)), build.Float, build.Sym("n"), build.Size(6))
	return g
}

// TestManyConstants loads a small file whose nodes each fold to much.
func TestManyConstants(t *testing.T) {
	g := build.New("g", 17)
	x := g.Input("x", build.Float, build.Sym("n"))
	shape := g.Const("shape", []int64{4 << 20}, 1)
	sum := x
	for range 2000 {
		c := g.Op("ConstantOfShape", []string{shape}, build.T("value", build.Tensor{Dims: []int64{1}, Data: []float32{1}}))
		sum = g.Op("Add", []string{sum, g.Op("ReduceMax", []string{c}, build.I("keepdims", 0))})
	}
	g.Output(sum, build.Float, build.Sym("n"))
	b := encode(t, g)
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	began := time.Now()
	m, err := runtime.NewEngine(runtime.Config{}).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	goruntime.ReadMemStats(&after)
	if held := int(after.HeapSys) - int(before.HeapSys); held > 4<<30 {
		t.Errorf("a file of %d KiB takes %d MiB", len(b)>>10, held>>20)
	}
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("loading took %v", took)
	}
}
