package runtime

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// encoder is a transformer of one layer as exporters write them: position ids cut from a
// table, a mask of keys, attention around a softmax, and a pooler of the first token.
func encoder(t *testing.T, c Config, change func(g *build.Graph, hidden string) string) *Model {
	t.Helper()
	const width, heads, vocabulary, longest = 8, 2, 20, 64
	rng := rand.New(rand.NewPCG(1, 2))
	weights := func(n int) []float32 {
		w := make([]float32, n)
		for i := range w {
			w[i] = rng.Float32()*2 - 1
		}
		return w
	}
	g := build.New("encoder", 17)
	ids := g.Input("ids", build.Int64, build.Sym("n"), build.Sym("s"))
	mask := g.Input("mask", build.Int64, build.Sym("n"), build.Sym("s"))
	one := func(name string, v int64) string { return g.Const(name, []int64{v}, 1) }
	length := g.Op("Slice", []string{g.Op("Shape", []string{ids}), one("one", 1), one("two", 2)})
	table := make([]int64, longest)
	for i := range table {
		table[i] = int64(i)
	}
	positions := g.Op("Slice", []string{g.Const("table", table, 1, longest), one("zero", 0), length, one("axis", 1)})
	x := g.Op("Add", []string{
		g.Op("Gather", []string{g.Const("words", weights(vocabulary*width), vocabulary, width), ids}),
		g.Op("Gather", []string{g.Const("places", weights(longest*width), longest, width), positions}),
	})
	project := func(name, v string) string {
		y := g.Op("MatMul", []string{v, g.Const(name, weights(width*width), width, width)})
		y = g.Op("Reshape", []string{y, g.Op("Concat", []string{g.Op("Slice", []string{g.Op("Shape", []string{ids}), g.Const(name+"0", []int64{0}, 1), g.Const(name+"2", []int64{2}, 1)}), g.Const(name+"h", []int64{heads, width / heads}, 2)}, build.I("axis", 0))})
		perm := build.Is("perm", 0, 2, 1, 3)
		if name == "k" {
			perm = build.Is("perm", 0, 2, 3, 1)
		}
		return g.Op("Transpose", []string{y}, perm)
	}
	scores := g.Op("Div", []string{g.Op("MatMul", []string{project("q", x), project("k", x)}), g.Const("root", []float32{2})})
	far := g.Op("Mul", []string{g.Op("Sub", []string{g.Const("1f", []float32{1}), g.Op("Cast", []string{g.Op("Unsqueeze", []string{mask, g.Const("axes", []int64{1, 2}, 2)})}, build.I("to", 1))}), g.Const("far", []float32{-1e4})})
	seen := g.Op("MatMul", []string{g.Op("Softmax", []string{g.Op("Add", []string{scores, far})}, build.I("axis", -1)), project("v", x)})
	back := g.Op("Reshape", []string{g.Op("Transpose", []string{seen}, build.Is("perm", 0, 2, 1, 3)), g.Const("flat", []int64{0, 0, width}, 3)})
	hidden := g.OpAs("hidden", "Tanh", []string{g.Op("Add", []string{back, x})})
	g.Output(hidden, build.Float, build.Sym("n"), build.Sym("s"), build.Size(width))
	first := g.Op("Gather", []string{hidden, g.Const("cls", []int64{0})}, build.I("axis", 1))
	g.Output(g.OpAs("pooled", "Gemm", []string{first, g.Const("pool", weights(width*width), width, width)}), build.Float, build.Sym("n"), build.Size(width))
	if change != nil {
		if out := change(g, hidden); out != "" { // else it has declared its own
			g.Output(out, build.Float, build.Sym("n"), build.Sym("s"), build.Size(width))
		}
	}
	return modelOf(t, g, c)
}

// modelOf reads what a test has built.
func modelOf(t *testing.T, g *build.Graph, c Config) *Model {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewEngine(c).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRagged(t *testing.T) {
	for name, c := range map[string]cpu.Config{"kernels": {}, "plain": {NoLowering: true}} {
		t.Run(name, func(t *testing.T) { raggedIsSame(t, encoder(t, Config{CPU: c}, nil)) })
	}
}

// TestRaggedPooling: sentence encoders pool inside the graph: over the tokens that the mask has, as
// sentence-transformers exports it, with and without the unit length at the end, by a plain mean, or by the maximum.
func TestRaggedPooling(t *testing.T) {
	sumOf := func(g *build.Graph, v string, keep int64) string {
		return g.Op("ReduceSum", []string{v, g.Const(v+" axis", []int64{1}, 1)}, build.I("keepdims", keep))
	}
	masked := func(g *build.Graph, h string) string {
		wide := g.Op("Expand", []string{g.Op("Unsqueeze", []string{"mask", g.Const("last", []int64{-1}, 1)}), g.Op("Shape", []string{h})})
		m := g.Op("Cast", []string{wide}, build.I("to", 1))
		return g.Op("Div", []string{sumOf(g, g.Op("Mul", []string{h, m}), 0), g.Op("Clip", []string{sumOf(g, m, 0), g.Const("tiny", []float32{1e-9})})})
	}
	for name, pool := range map[string]func(g *build.Graph, h string) string{
		"masked mean": masked,
		"unit length": func(g *build.Graph, h string) string {
			v := masked(g, h)
			norm := g.Op("ReduceL2", []string{v}, build.Is("axes", 1), build.I("keepdims", 1))
			return g.Op("Div", []string{v, g.Op("Expand", []string{g.Op("Clip", []string{norm, g.Const("small", []float32{1e-12})}), g.Op("Shape", []string{v})})})
		},
		"count of the mask": func(g *build.Graph, h string) string {
			m := g.Op("Unsqueeze", []string{g.Op("Cast", []string{"mask"}, build.I("to", 1)), g.Const("last", []int64{2}, 1)})
			n := g.Op("Cast", []string{sumOf(g, "mask", 1)}, build.I("to", 1))
			return g.Op("Div", []string{sumOf(g, g.Op("Mul", []string{h, m}), 0), n})
		},
		"mean": func(g *build.Graph, h string) string {
			return g.Op("Squeeze", []string{g.Op("ReduceMean", []string{h}, build.Is("axes", -2)), g.Const("middle", []int64{1}, 1)})
		},
		"maximum": func(g *build.Graph, h string) string {
			return g.Op("ReduceMax", []string{h}, build.Is("axes", 1), build.I("keepdims", 0))
		},
	} {
		for kind, c := range map[string]cpu.Config{"kernels": {}, "plain": {NoLowering: true}} {
			t.Run(name+" "+kind, func(t *testing.T) {
				m := encoder(t, Config{CPU: c}, func(g *build.Graph, h string) string {
					g.Output(g.OpAs("sentence", "Identity", []string{pool(g, h)}), build.Float, build.Sym("n"), build.Size(8))
					return ""
				})
				raggedIsSame(t, m)
				if last := len(m.Outputs) - 1; !m.Ragged.First[last] {
					t.Errorf("output %q has a row for each token", m.Outputs[last].Name)
				}
			})
		}
	}
}

func raggedIsSame(t *testing.T, m *Model) {
	t.Helper()
	if m.Ragged == nil || m.Ragged.MaxLength != 64 {
		t.Fatalf("not proved: %+v", m.Batch)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	sequence := func(n int) []tensor.Value {
		ids, mask := make([]int64, n), make([]int64, n)
		for i := range ids {
			ids[i], mask[i] = rng.Int64N(20), 1
			if i > 2 && i > n-3 {
				mask[i] = 0 // padding of the caller's own
			}
		}
		return []tensor.Value{tensor.FromSlice(ids, 1, n), tensor.FromSlice(mask, 1, n)}
	}
	for _, lengths := range [][]int{{1}, {5}, {3, 7, 1, 12}, {64, 2, 33}, {1, 1, 1}} {
		sameAsAlone(t, m, lengths, sequence)
	}
}

// sameAsAlone compares sequences that run together with each by itself.
func sameAsAlone(t *testing.T, m *Model, lengths []int, sequence func(n int) []tensor.Value) {
	t.Helper()
	total := 0
	for _, n := range lengths {
		total += n
	}
	all := make([]*tensor.Tensor, len(m.Inputs))
	for i := range all {
		all[i] = tensor.New(tensor.Int64, tensor.Shape{1, m.Ragged.Tokens(total)})
	}
	var alone []*device.Call
	at := 0
	for _, n := range lengths {
		c := &device.Call{In: sequence(n)}
		for i, v := range c.In {
			copy(tensor.Data[int64](all[i])[at:], tensor.Data[int64](v.(*tensor.Tensor)))
		}
		at += n
		if err := m.Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		alone = append(alone, c)
	}
	together := &device.Call{}
	for _, v := range all {
		together.In = append(together.In, v)
	}
	if err := m.Ragged.Run(context.Background(), together, lengths); err != nil {
		t.Fatal(err)
	}
	at = 0
	for s, n := range lengths {
		for i := range m.Outputs {
			want := tensor.Data[float32](alone[s].Out[i].(*tensor.Tensor))
			got := tensor.Data[float32](together.Out[i].(*tensor.Tensor))
			from := at * len(want) / n
			if m.Ragged.First[i] {
				from = s * len(want)
			}
			if c := cosine(want, got[from:from+len(want)]); c < 0.999999 {
				t.Errorf("lengths %v, sequence %d, output %d: cosine %v", lengths, s, i, c)
			}
		}
		at += n
		alone[s].Release()
	}
	together.Release()
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// TestRaggedRefuses: what mixes tokens otherwise than by attention, or takes the length as
// a number, has no ragged form.
func TestRaggedRefuses(t *testing.T) {
	width := func(g *build.Graph) string { return g.Const("wide", []int64{1}, 1) }
	for name, c := range map[string]struct {
		change func(g *build.Graph, h string) string
		want   string
	}{
		"mean": {func(g *build.Graph, h string) string {
			return g.Op("Sub", []string{h, g.Op("ReduceMean", []string{h}, build.Is("axes", 1))})
		}, "meets all tokens"},
		"cumsum": {func(g *build.Graph, h string) string { return g.Op("CumSum", []string{h, width(g)}) }, "works along"},
		"first meets all": {func(g *build.Graph, h string) string {
			return g.Op("Add", []string{h, g.Op("Unsqueeze", []string{g.Op("Gather", []string{h, g.Const("nought", []int64{0})}, build.I("axis", 1)), width(g)})})
		}, "meets all tokens"},
		"reversed": {func(g *build.Graph, h string) string {
			return g.Op("Slice", []string{h, g.Const("s", []int64{-1}, 1), g.Const("e", []int64{math.MinInt64}, 1), width(g), g.Const("st", []int64{-1}, 1)})
		}, "takes a part"},
		"length": {func(g *build.Graph, h string) string {
			n := g.Op("Cast", []string{g.Op("Slice", []string{g.Op("Shape", []string{h}), width(g), g.Const("to", []int64{2}, 1)})}, build.I("to", 1))
			return g.Op("Mul", []string{h, n})
		}, "as data"},
		"softmax over tokens": {func(g *build.Graph, h string) string { return g.Op("Softmax", []string{h}, build.I("axis", 1)) }, "works along"},
	} {
		m := encoder(t, Config{}, c.change)
		if m.Ragged != nil || !strings.Contains(m.Batch.Ragged, c.want) {
			t.Errorf("%s: %v, %q, want %q", name, m.Ragged != nil, m.Batch.Ragged, c.want)
		}
	}
}

// TestRaggedMiniLM compares on the zoo's sentence encoder.
func TestRaggedMiniLM(t *testing.T) {
	path := filepath.Join("..", "build", "zoo", "all-minilm-l6-v2", "model.onnx")
	if _, err := os.Stat(path); err != nil {
		t.Skip("NOT RUN: the zoo's MiniLM is not there (make zoo)")
	}
	m, err := NewEngine(Config{}).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Ragged == nil {
		t.Fatal(m.Batch.Ragged)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	sameAsAlone(t, m, []int{8, 128, 24, 31, 64}, func(n int) []tensor.Value {
		ids, mask := make([]int64, n), make([]int64, n)
		for i := range ids {
			ids[i], mask[i] = 1000+rng.Int64N(20000), 1
		}
		return []tensor.Value{tensor.FromSlice(ids, 1, n), tensor.FromSlice(mask, 1, n), tensor.New(tensor.Int64, tensor.Shape{1, n})}
	})
}
