package runtime

import (
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// graphOf builds models in few words: constants have no names of their own.
type graphOf struct{ *build.Graph }

func (g graphOf) ints(v ...int64) string {
	return g.Const(g.Fresh("ints"), v, int64(len(v)))
}

func (g graphOf) int(v int64) string { return g.Const(g.Fresh("int"), []int64{v}) }

func (g graphOf) lifted(v string, axes ...int64) string {
	return g.Op("Unsqueeze", []string{v, g.ints(axes...)})
}

// extent is how many rows or tokens the mask has.
func (g graphOf) extent(axis int64) string {
	return g.Op("Gather", []string{g.Op("Shape", []string{"mask"}), g.int(axis)})
}

func (g graphOf) count(axis int64) string {
	return g.Op("Range", []string{g.int(0), g.extent(axis), g.int(1)})
}

// keyMasks are the ways in which exporters read the mask of the keys [n, s] as [n, 1, 1, s].
var keyMasks = map[string]func(g graphOf, mask string) string{
	"flat indices": func(g graphOf, mask string) string {
		first := g.Op("Mul", []string{g.lifted(g.count(0), 1, 2, 3), g.extent(1)})
		at := g.Op("Add", []string{first, g.lifted(g.count(1), 0, 1, 2)})
		return g.Op("Gather", []string{g.Op("Reshape", []string{mask, g.ints(-1)}), at})
	},
	"pairs of indices": func(g graphOf, mask string) string {
		rows, keys := g.lifted(g.count(0), 1, 2, 3), g.lifted(g.count(1), 0, 1, 2)
		shape := g.Op("Shape", []string{g.Op("Max", []string{rows, keys})})
		var pair []string
		for _, v := range []string{rows, keys} {
			pair = append(pair, g.lifted(g.Op("Expand", []string{v, shape}), -1))
		}
		return g.Op("GatherND", []string{mask, g.Op("Concat", pair, build.I("axis", -1))})
	},
	"no indices": func(g graphOf, mask string) string { return g.lifted(mask, 1, 2) },
}

// maskedEncoder is a transformer of one layer. Its mask is read as given and repeated for every query; tokens are
// numbered by a running sum over the mask; weights that are no numbers count as 0. With a window, not 0,
// only so near neighbours see each other.
func maskedEncoder(t *testing.T, c Config, read func(g graphOf, mask string) string, window int64) *Model {
	t.Helper()
	const width, heads, longest = 8, 2, 64
	rng := rand.New(rand.NewPCG(1, 2))
	g := graphOf{build.New("encoder", 17)}
	weights := func(rows, columns int64) string {
		w := make([]float32, rows*columns)
		for i := range w {
			w[i] = rng.Float32()*2 - 1
		}
		return g.Const(g.Fresh("weights"), w, rows, columns)
	}
	scalar := func(v float32) string { return g.Const(g.Fresh("scalar"), []float32{v}) }
	ids := g.Input("ids", build.Int64, build.Sym("n"), build.Sym("s"))
	mask := g.Input("mask", build.Int64, build.Sym("n"), build.Sym("s"))
	numbers := g.Op("Mul", []string{g.Op("CumSum", []string{mask, g.int(1)}), mask})
	x := g.Op("Add", []string{g.Op("Gather", []string{weights(20, width), ids}), g.Op("Gather", []string{weights(longest+1, width), numbers})})
	project := func(perm ...int64) string {
		y := g.Op("Reshape", []string{g.Op("MatMul", []string{x, weights(width, width)}), g.ints(0, 0, heads, width/heads)})
		return g.Op("Transpose", []string{y}, build.Is("perm", perm...))
	}
	seen := g.Op("Cast", []string{read(g, mask)}, build.I("to", 9))
	queries := g.lifted(g.count(1), 0, 1, 3)
	seen = g.Op("And", []string{g.Op("GreaterOrEqual", []string{queries, g.int(0)}), seen})
	if window > 0 {
		apart := g.Op("Abs", []string{g.Op("Sub", []string{queries, g.lifted(g.count(1), 0, 1, 2)})})
		seen = g.Op("And", []string{g.Op("LessOrEqual", []string{apart, g.int(window)}), seen})
	}
	far := g.Op("Where", []string{seen, scalar(0), scalar(-1e30)})
	scores := g.Op("Add", []string{g.Op("MatMul", []string{project(0, 2, 1, 3), project(0, 2, 3, 1)}), far})
	probs := g.Op("Softmax", []string{scores}, build.I("axis", -1))
	probs = g.Op("Where", []string{g.Op("IsNaN", []string{probs}), scalar(0), probs})
	y := g.Op("Transpose", []string{g.Op("MatMul", []string{probs, project(0, 2, 1, 3)})}, build.Is("perm", 0, 2, 1, 3))
	y = g.Op("Add", []string{g.Op("Reshape", []string{y, g.ints(0, 0, width)}), x})
	g.Output(y, build.Float, build.Sym("n"), build.Sym("s"), build.Size(width))
	return modelOf(t, g.Graph, c)
}

func TestRaggedMasks(t *testing.T) {
	for name, read := range keyMasks {
		for kind, c := range map[string]cpu.Config{"kernels": {}, "plain": {NoLowering: true}} {
			t.Run(name+" "+kind, func(t *testing.T) {
				m := maskedEncoder(t, Config{CPU: c}, read, 0)
				if !m.Batch.Rows || m.Ragged == nil {
					t.Fatalf("not proved: %+v", m.Batch)
				}
				rng := rand.New(rand.NewPCG(3, 4))
				for _, lengths := range [][]int{{1}, {5}, {3, 7, 1, 12}, {64, 2, 33}} {
					sameAsAlone(t, m, lengths, func(n int) []tensor.Value {
						ids, mask := make([]int64, n), make([]int64, n)
						for i := range ids {
							ids[i], mask[i] = rng.Int64N(20), min(1, rng.Int64N(4))
						}
						return []tensor.Value{tensor.FromSlice(ids, 1, n), tensor.FromSlice(mask, 1, n)}
					})
				}
			})
		}
	}
}

// TestRaggedWindow: a window of neighbours is wider than the lengths at which a mask is looked at first.
func TestRaggedWindow(t *testing.T) {
	for _, window := range []int64{1, 8, 50, 300, 1000} {
		if m := maskedEncoder(t, Config{}, keyMasks["flat indices"], window); !m.Batch.Rows || m.Ragged != nil && int64(m.Ragged.MaxLength) > window+1 {
			t.Errorf("a window of %d: %+v", window, m.Batch)
		}
	}
}
