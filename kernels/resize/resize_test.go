package resize

import (
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func table(r *rand.Rand, n, size int, sorted bool) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(r.IntN(size))
		if sorted {
			x[i] = int32(i * size / n)
		}
	}
	return x
}

func TestAgainstGeneric(t *testing.T) {
	t.Log(isa.Report())
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][5]int{{1, 1, 1, 1, 1}, {3, 4, 5, 8, 10}, {2, 9, 7, 3, 4}, {5, 16, 16, 160, 170}, {0, 2, 2, 3, 3}, {2, 3, 3, 0, 4}} {
		for _, sorted := range []bool{true, false} {
			planes, h, w, oh, ow := s[0], s[1], s[2], s[3], s[4]
			x := kt.Random(t, planes*h*w, 1)
			got, want := kt.Guarded(t, planes*oh*ow), make([]float32, planes*oh*ow)
			rows, cols := table(r, oh, h, sorted), table(r, ow, w, sorted)
			Nearest(got, x, planes, h, w, rows, cols, 2)
			nearestGeneric(want, x, planes, h, w, rows, cols)
			kt.Same(t, kt.Name("nearest", s), got, want, 0, 0)
			tr := &Taps{Lo: rows, Hi: table(r, oh, h, sorted), W: kt.Random(t, oh, 2)}
			tc := &Taps{Lo: cols, Hi: table(r, ow, w, sorted), W: kt.Random(t, ow, 3)}
			Linear(got, x, planes, h, w, tr, tc, 2)
			linearGeneric(want, x, planes, h, w, tr, tc)
			kt.Same(t, kt.Name("linear", s), got, want, 1e-5, 1e-5)
		}
	}
}

// Doubling with half-pixel centres, by hand.
func TestLinearByHand(t *testing.T) {
	one := &Taps{Lo: []int32{0}, Hi: []int32{0}, W: []float32{0}}
	cols := &Taps{Lo: []int32{0, 0, 0, 1}, Hi: []int32{0, 1, 1, 1}, W: []float32{0, .25, .75, 0}}
	y := make([]float32, 4)
	Linear(y, []float32{1, 5}, 1, 1, 2, one, cols, 1)
	kt.Same(t, "by hand", y, []float32{1, 2, 4, 5}, 1e-6, 0)
}

func TestBadTable(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("an index outside the image was taken")
		}
	}()
	Nearest(make([]float32, 1), make([]float32, 4), 1, 2, 2, []int32{2}, []int32{0}, 1)
}
