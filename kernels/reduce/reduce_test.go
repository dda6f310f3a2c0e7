package reduce

import (
	"math"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func TestAxis(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for op := range opCount {
			for _, s := range [][3]int{{1, 0, 3}, {0, 4, 3}, {1, 1, 1}, {3, 5, 1}, {2, 16, 1}, {7, 33, 1}, {2, 1000, 1},
				{1, 7, 5}, {3, 4, 16}, {2, 9, 70}, {1, 100, 129}, {5, 49, 1}, {300, 400, 1}} {
				n := s[0] * s[1] * s[2]
				x := kt.Random(t, n, 1)
				got, want := kt.Guarded(t, s[0]*s[2]), make([]float32, s[0]*s[2])
				axis(level, op, got, x, s[0], s[1], s[2], 2)
				axis(isa.Generic, op, want, x, s[0], s[1], s[2], 1)
				kt.Same(t, kt.Name("axis", level, op, s), got, want, 2e-6, 3e-7*math.Sqrt(float64(s[1])))
			}
		}
	})
}

func TestSpecials(t *testing.T) {
	sp := kt.Specials()
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for op := range opCount {
			for at := range 70 {
				for _, v := range sp {
					x := make([]float32, 70)
					x[at] = v
					var got, want [1]float32
					axis(level, op, got[:], x, 1, 70, 1, 1)
					axis(isa.Generic, op, want[:], x, 1, 70, 1, 1)
					if (op == SumSquare || op == L2) && math.Abs(float64(v)) > 1e19 {
						continue // the square overflows float32, which the specification's float64 does not
					}
					kt.Same(t, kt.Name("special", level, op, at, v), got[:], want[:], 1e-6, 1e-20)
				}
			}
		}
	})
}

// TestRuns folds runs of which several go to one place.
func TestRuns(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, op := range []Op{Sum, Prod, Max, Min} {
			for _, s := range [][2]int{{1, 0}, {1, 1}, {700, 1}, {5, 7}, {9, 8}, {9, 16}, {40, 33}, {900, 64}, {600, 130}} {
				count, n := s[0], s[1]
				at := make([]int64, count)
				for i := range at {
					at[i] = int64(i * i % 37 * n)
				}
				x := append(kt.Random(t, count*n, 1), 0)
				got := kt.Guarded(t, 37*n)
				copy(got, kt.Random(t, len(got), 1))
				if n > 4 {
					x[3], got[2] = float32(math.NaN()), float32(math.NaN())
				}
				want := append([]float32{}, got...)
				runs(level, op, got, x, at, n, 2)
				runs(isa.Generic, op, want, x, at, n, 1)
				kt.Same(t, kt.Name("runs", level, op, s), got, want, 0, 0)
			}
		}
	})
}
