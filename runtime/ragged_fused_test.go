package runtime

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// fusedEncoder is a transformer of two layers as ONNX Runtime's optimiser writes it; the mask
// reaches the attention as it is, or as the number of ones that the embedding counts.
func fusedEncoder(t *testing.T, c Config, counted bool) *Model {
	t.Helper()
	const width, vocabulary, longest = 8, 20, 64
	rng := rand.New(rand.NewPCG(1, 2))
	g := build.New("fused encoder", 17)
	g.Opsets["com.microsoft"] = 1
	weights := func(dims ...int64) string {
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		w := make([]float32, n)
		for i := range w {
			w[i] = rng.Float32()*2 - 1
		}
		return g.Const(g.Fresh("w"), w, dims...)
	}
	node := func(op string, outs int, in []string, attrs ...build.Attr) []string {
		n := build.Node{Domain: "com.microsoft", Op: op, Inputs: in, Attrs: attrs}
		for range outs {
			n.Outputs = append(n.Outputs, g.Fresh(op))
		}
		g.Add(n)
		return n.Outputs
	}
	short := func(v string) string { return g.Op("Cast", []string{v}, build.I("to", 6)) }
	ids := short(g.Input("ids", build.Int64, build.Sym("n"), build.Sym("s")))
	mask := short(g.Input("mask", build.Int64, build.Sym("n"), build.Sym("s")))
	e := node("EmbedLayerNormalization", 2, []string{ids, "", weights(vocabulary, width), weights(longest, width), "", weights(width), weights(width), mask})
	x := e[0]
	if counted {
		mask = e[1]
	}
	for range 2 {
		a := node("Attention", 1, []string{x, weights(width, 3*width), weights(3 * width), mask}, build.I("num_heads", 2))[0]
		x = node("SkipLayerNormalization", 1, []string{a, x, weights(width), weights(width), weights(width)})[0]
		h := node("BiasGelu", 1, []string{g.Op("MatMul", []string{x, weights(width, 16)}), weights(16)})[0]
		x = node("SkipLayerNormalization", 1, []string{g.Op("MatMul", []string{h, weights(16, width)}), x, weights(width), weights(width)})[0]
	}
	g.Output(g.OpAs("hidden", "Identity", []string{x}), build.Float, build.Sym("n"), build.Sym("s"), build.Size(width))
	first := g.Op("Gather", []string{x, g.Const("cls", []int64{0})}, build.I("axis", 1))
	g.Output(g.OpAs("pooled", "Gemm", []string{first, weights(width, width)}), build.Float, build.Sym("n"), build.Size(width))
	return modelOf(t, g, c)
}

// TestRaggedFused: what the optimiser has fused is served as the model that it was made of.
func TestRaggedFused(t *testing.T) {
	for name, c := range map[string]cpu.Config{"kernels": {}, "plain": {NoLowering: true}} {
		for _, counted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s counted %v", name, counted), func(t *testing.T) {
				m := fusedEncoder(t, Config{CPU: c}, counted)
				if !m.Batch.Rows {
					t.Errorf("rows: %s", m.Batch.Reason)
				}
				raggedIsSame(t, m)
			})
		}
	}
}
