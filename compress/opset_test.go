package compress

import (
	"context"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// old is a model of opset 9 in which most operators are written otherwise since.
func old() *build.Graph {
	g := build.New("old", 9)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(16), build.Size(6), build.Size(6))
	h := g.Op("Conv", []string{x, g.Const("c", weights(1, 32*16*9, 144), 32, 16, 3, 3)}, build.Is("pads", 1, 1, 1, 1))
	h = g.Op("MaxPool", []string{g.Op("Clip", []string{h}, build.F("min", 0), build.F("max", 6))}, build.Is("kernel_shape", 2, 2), build.Is("strides", 2, 2))
	h = g.Op("Dropout", []string{g.Op("Pad", []string{h}, build.Is("pads", 0, 0, 0, 0, 0, 0, 1, 1))}, build.F("ratio", .4))
	h = g.Op("ReduceSum", []string{h}, build.Is("axes", 2, 3), build.I("keepdims", 0))
	h = g.Op("Squeeze", []string{g.Op("Unsqueeze", []string{h}, build.Is("axes", 2))}, build.Is("axes", 2))
	h = g.Op("Gemm", []string{h, g.Const("w", weights(2, 32*64, 32), 32, 64), g.Const("b", weights(3, 64, 8), 64)})
	g.OpAs("y", "Softmax", []string{h})
	g.Output("y", build.Float, build.Sym("n"), build.Size(64))
	return g
}

// What is written with newer operators than a model's takes the model along.
func TestRaiseOpset(t *testing.T) {
	for _, k := range []Kind{Dynamic, Static, BFloat16} {
		r, m := run(t, old(), Options{Quantize: &Quantize{Kind: k}})
		if m.Opsets[""] != 13 || m.IR < 7 {
			t.Errorf("%s: opset %d, IR %d", k, m.Opsets[""], m.IR)
		}
		near(t, r, .99)
	}
	g := build.New("flattens", 11)
	x := g.Input("x", build.Float, build.Size(2), build.Size(3), build.Size(64))
	h := g.Op("MatMul", []string{g.Op("Softmax", []string{x}), g.Const("w", weights(2, 64*64, 64), 64, 64)})
	g.Output(h, build.Float, build.Size(2), build.Size(3), build.Size(64))
	in, out := save(t, g)
	if _, err := Run(context.Background(), in, out, Options{Quantize: &Quantize{Kind: Dynamic}}); err == nil || !strings.Contains(err.Error(), "Softmax") ||
		!strings.Contains(err.Error(), "opset 11") {
		t.Errorf("a Softmax over two axes: %v", err)
	}
}

// Weights that are Constant nodes are weights.
func TestConstantNodes(t *testing.T) {
	g := build.New("constants", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(64))
	w := g.Op("Constant", nil, build.T("value", build.Tensor{Dims: []int64{64, 64}, Data: weights(2, 64*64, 64)}))
	g.Output(g.OpAs("y", "MatMul", []string{x, w}), build.Float, build.Sym("n"), build.Size(64))
	r, m := run(t, g, Options{Quantize: &Quantize{Kind: Dynamic}})
	if n := operators(m); n["MatMulInteger"] != 1 || n["Constant"] != 0 {
		t.Errorf("operators are %v", n)
	}
	near(t, r, .99)
}
