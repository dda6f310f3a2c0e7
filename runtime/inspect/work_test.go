package inspect

import (
	"testing"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// TestWork holds the counts against formulas worked out by hand.
func TestWork(t *testing.T) {
	f := func(want int64, op string, dtype build.DType, shapes [][]int64, attrs ...build.Attr) {
		t.Helper()
		g := build.New(op, 23)
		var in []string
		for i, s := range shapes {
			if s == nil {
				in = append(in, "")
				continue
			}
			var dims []build.Dim
			for _, d := range s {
				dims = append(dims, build.Size(d))
			}
			in = append(in, g.Input(string(rune('a'+i)), dtype, dims...))
		}
		g.OpAs("y", op, in, attrs...)
		g.Output("y", dtype)
		r := report(t, g)
		if r.Work.MACs != want || r.Work.Uncounted != nil {
			t.Errorf("%s%v: %d MACs, want %d; not counted %v", op, shapes, r.Work.MACs, want, r.Work.Uncounted)
		}
	}
	fl := build.Float
	f(2*3*4*5, "MatMul", fl, [][]int64{{2, 3, 4}, {4, 5}})
	f(3*4, "MatMul", fl, [][]int64{{4}, {4, 3}})
	f(6*5*7, "Gemm", fl, [][]int64{{5, 6}, {7, 5}}, build.I("transA", 1), build.I("transB", 1))
	// 8 filters of 3×3 over 4 channels, padded: as many outputs as inputs.
	f(8*10*10*4*9, "Conv", fl, [][]int64{{1, 4, 10, 10}, {8, 4, 3, 3}}, build.Is("pads", 1, 1, 1, 1))
	f(4*8*8*9, "Conv", fl, [][]int64{{1, 4, 10, 10}, {4, 1, 3, 3}}, build.I("group", 4))
	f(4*10*10*8*4, "ConvTranspose", fl, [][]int64{{1, 4, 10, 10}, {4, 8, 2, 2}}, build.Is("strides", 2, 2))
	f(2*3*4*5, "Einsum", fl, [][]int64{{2, 3, 4}, {2, 4, 5}}, build.S("equation", "bij,bjk->bik"))
	// 2 rows, 3 heads, 5 queries, 7 keys; keys of 4, values of 6.
	f(2*3*5*7*(4+6), "Attention", fl, [][]int64{{2, 3, 5, 4}, {2, 3, 7, 4}, {2, 3, 7, 6}})
	// 6 steps of 2 rows, 3 inputs, 4 units of four gates.
	f(6*2*(4*4*3+4*4*4), "LSTM", fl, [][]int64{{6, 2, 3}, {1, 16, 3}, {1, 16, 4}}, build.I("hidden_size", 4))
	f(2*3*5, "MatMulInteger", build.Uint8, [][]int64{{2, 3}, {3, 5}})
	f(0, "Transpose", fl, [][]int64{{2, 3}})
}

func TestDataDependentShapesAreNotCounted(t *testing.T) {
	g := build.New("data", 17)
	x := g.Input("x", build.Float, build.Size(6))
	nz := g.Op("NonZero", []string{x}) // its shape depends on data
	f := g.Op("Cast", []string{nz}, build.I("to", int64(build.Float)))
	g.OpAs("y", "MatMul", []string{f, g.Op("Transpose", []string{f})})
	g.Output("y", build.Float, build.Size(1), build.Size(1))
	r := report(t, g)
	if len(r.Work.Uncounted) != 1 || r.Work.MACs != 0 {
		t.Errorf("%+v", r.Work)
	}
}
