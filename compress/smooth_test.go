package compress

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// loud is x[n,64] → 64 → 8 with two channels between that are two hundred times as large as the others.
func loud() *build.Graph {
	g := build.New("loud", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(64))
	w := weights(31, 64*64, 64)
	for k := range 64 {
		w[k*64+3] *= 200
		w[k*64+40] *= 200
	}
	v := weights(32, 64*8, 64)
	for j := range 8 { // their weight is small, so that all channels count alike
		v[3*8+j] /= 200
		v[40*8+j] /= 200
	}
	h := g.Op("Relu", []string{g.Op("MatMul", []string{x, g.Const("w", w, 64, 64)})})
	g.Output(g.OpAs("y", "MatMul", []string{h, g.Const("v", v, 64, 8)}), build.Float, build.Sym("n"), build.Size(8))
	return g
}

// TestSmooth: channels of large values cost the others their precision, and no longer so where
// their range has moved into the matrix.
func TestSmooth(t *testing.T) {
	least := func(smooth Strength) float64 {
		r, _ := run(t, loud(), Options{Quantize: &Quantize{Kind: Dynamic, Smooth: smooth, MinElements: 256}})
		return r.Outputs[0].MinCosine
	}
	rough, smooth, auto := least(0), least(0.5), least(SmoothAuto)
	if rough > 0.99 || !(smooth >= 0.998) || !(auto >= 0.998) {
		t.Errorf("least cosine %v, smoothed %v, by strengths of its own %v", rough, smooth, auto)
	}
	in, out := save(t, loud())
	for _, bad := range []Strength{-0.5, 1, Strength(math.NaN())} {
		if _, err := Run(t.Context(), in, out, Options{Quantize: &Quantize{Kind: Dynamic, Smooth: bad}}); err == nil {
			t.Errorf("strength %v is taken", bad)
		}
	}
	if _, err := os.Stat(out + "/model.onnx"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was written")
	}
}

func TestStrengthOfText(t *testing.T) {
	for text, want := range map[string]Strength{"auto": SmoothAuto, "0": 0, "0.75": 0.75} {
		var s Strength
		if err := s.Set(text); err != nil || s != want || s.String() != text {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, bad := range []string{"", "automatic", "-1", "1", "NaN", "Inf", "1e-x"} {
		var s Strength
		if err := s.Set(bad); err == nil || s != 0 {
			t.Errorf("%q is taken as %v", bad, s)
		}
	}
}

// TestCompensate: codes that make good for each other cost a product less than the nearest ones, for inputs
// whose channels go together.
func TestCompensate(t *testing.T) {
	const sets, rows, k, n = 8, 16, 64, 32
	g := build.New("together", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(k))
	g.Output(g.OpAs("y", "MatMul", []string{x, g.Const("w", weights(33, k*n, k), k, n)}), build.Float, build.Sym("n"), build.Size(n))
	base := weights(34, 4*k, 1) // four directions that all rows lie in
	values := weights(35, sets*rows*4, 1)
	file := filepath.Join(t.TempDir(), "inputs.jsonl")
	var lines strings.Builder
	for s := range sets {
		data := make([]float32, rows*k)
		for i := range data {
			for d := range 4 {
				data[i] += values[(s*rows+i/k)*4+d] * base[d*k+i%k]
			}
		}
		line, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": "x", "shape": []int{rows, k}, "datatype": "FP32", "data": data}}})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	off := func(compensate bool) float64 {
		r, _ := run(t, g, Options{Data: Data{Path: file}, Quantize: &Quantize{Kind: Dynamic, Compensate: compensate, MinElements: 256}})
		return 1 - r.Outputs[0].MeanCosine
	}
	nearest, compensated := off(false), off(true)
	if !(compensated < 0.8*nearest) {
		t.Errorf("off by %v with the nearest codes, by %v with compensated ones", nearest, compensated)
	}
}
