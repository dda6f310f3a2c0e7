package compress

import (
	"errors"
	"io/fs"
	"math"
	"os"
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
	least := func(smooth float64) float64 {
		r, _ := run(t, loud(), Options{Quantize: &Quantize{Kind: Dynamic, Smooth: smooth, MinElements: 256}})
		return r.Outputs[0].MinCosine
	}
	rough, smooth := least(0), least(0.5)
	if rough > 0.99 || smooth < 0.998 || math.IsNaN(smooth) {
		t.Errorf("least cosine %v, smoothed %v", rough, smooth)
	}
	in, out := save(t, loud())
	for _, bad := range []float64{-0.5, 1, math.NaN()} {
		if _, err := Run(t.Context(), in, out, Options{Quantize: &Quantize{Kind: Dynamic, Smooth: bad}}); err == nil {
			t.Errorf("strength %v is taken", bad)
		}
	}
	if _, err := os.Stat(out + "/model.onnx"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was written")
	}
}
