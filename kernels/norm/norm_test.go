package norm

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func TestRows(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, cols := range []int{0, 1, 3, 8, 15, 16, 17, 33, 384, 1001} {
			for mask := range 64 {
				testRows(t, level, 3, cols, mask)
			}
			testRows(t, level, 0, cols, 0)
			testRows(t, level, 130, cols, 31)
		}
	})
}

// testRows takes each optional slice from a bit of mask.
func testRows(t *testing.T, level isa.Level, rows, cols, mask int) {
	t.Helper()
	n := rows * cols
	p := Rows{Rows: rows, Cols: cols, Epsilon: 1e-5, RMS: mask&32 != 0, Threads: 2}
	pick := func(bit, size int) []float32 {
		if mask&bit == 0 || size == 0 {
			return nil
		}
		return kt.Random(t, size, uint64(bit))
	}
	p.Residual, p.Bias, p.Gamma, p.Beta, p.Sum = pick(1, n), pick(2, cols), pick(4, cols), pick(8, cols), pick(16, n)
	x := kt.Random(t, n, 40)
	got, want := kt.Guarded(t, n), make([]float32, n)
	p.run(level, got, x)
	sum := slices.Clone(p.Sum)
	p.run(isa.Generic, want, x)
	atol := 4e-6
	if cols < 8 {
		atol = 1e-4 // a row of near-equal values divides by √epsilon
	}
	kt.Same(t, kt.Name("rows", level, rows, cols, mask), got, want, 1e-5, atol)
	kt.Same(t, kt.Name("sum", level, rows, cols, mask), sum, p.Sum, 0, 0)
	p.run(level, x, x)
	kt.Same(t, kt.Name("in place", level, rows, cols, mask), x, want, 1e-5, atol)
}

func TestLargeMean(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		x := kt.Random(t, 768, 1)
		for i := range x {
			x[i] += 1000
		}
		got, want := make([]float32, len(x)), make([]float32, len(x))
		p := Rows{Rows: 1, Cols: len(x), Epsilon: 1e-5}
		p.run(level, got, x)
		p.run(isa.Generic, want, x)
		// One ULP of 1000 is 6e-5, and the inputs hold no more than that.
		kt.Same(t, "large mean", got, want, 1e-4, 2e-4)
	})
}

func TestPlanes(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, s := range [][3]int{{0, 1, 1}, {1, 1, 5}, {2, 3, 16}, {2, 5, 49}, {1, 64, 1000}} {
			n := s[0] * s[1] * s[2]
			x, g, b := kt.Random(t, n, 1), kt.Random(t, s[1], 2), kt.Random(t, s[1], 3)
			got, want := kt.Guarded(t, n), make([]float32, n)
			instance(level, got, x, s[0], s[1], s[2], g, b, 1e-5, 2)
			instance(isa.Generic, want, x, s[0], s[1], s[2], g, b, 1e-5, 1)
			kt.Same(t, kt.Name("instance", level, s), got, want, 1e-5, 5e-6)
			affine(level, got, x, s[0], s[1], s[2], g, b, 2)
			affine(isa.Generic, want, x, s[0], s[1], s[2], g, b, 1)
			kt.Same(t, kt.Name("affine", level, s), got, want, 1e-6, 1e-6)
		}
	})
}
