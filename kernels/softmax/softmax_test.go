package softmax

import (
	"math"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func TestRows(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, cols := range []int{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 128, 1000} {
			for _, rows := range []int{0, 1, 3, 40} {
				for _, log := range []bool{false, true} {
					n := 0
					if rows > 0 {
						n = (rows-1)*(cols+3) + cols
					}
					x, got := kt.Random(t, n, 1), kt.Random(t, n, 2)
					want := make([]float32, n)
					copy(want, got)
					softmaxRows(level, got, cols+3, x, cols+3, rows, cols, 3, log, 2)
					softmaxRows(isa.Generic, want, cols+3, x, cols+3, rows, cols, 3, log, 1)
					atol := 1e-36
					if log {
						atol = 5e-7 // the logarithm of a sum near 1
					}
					kt.Same(t, kt.Name("rows", level, rows, cols, log), got, want, 2e-6, atol)
				}
			}
		}
	})
}

func TestSpecials(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, s := range [][]float32{{-inf, 1, 2}, {-inf, -inf}, {inf, 1}, {nan, 1, 2}, {1, 2, nan}, {-3e38, 3e38}, {0, -100, -87.2, -87.4, -104}, {-10000, 0}} {
			for _, pad := range []int{0, 20} {
				for _, log := range []bool{false, true} {
					x := append(make([]float32, 0, 40), s...)
					for range pad {
						x = append(x, s[0])
					}
					got, want := make([]float32, len(x)), make([]float32, len(x))
					softmaxRows(level, got, len(x), x, len(x), 1, len(x), 1, log, 1)
					softmaxRows(isa.Generic, want, len(x), x, len(x), 1, len(x), 1, log, 1)
					kt.Same(t, kt.Name("specials", level, s, pad, log), got, want, 2e-6, 2e-37)
				}
			}
		}
	})
}

func TestMiddle(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, s := range [][3]int{{1, 1, 2}, {2, 5, 3}, {3, 7, 16}, {2, 4, 33}, {1, 100, 9}, {4, 3, 1}} {
			for _, log := range []bool{false, true} {
				n := s[0] * s[1] * s[2]
				x := kt.Random(t, n, 1)
				got, want := kt.Guarded(t, n), make([]float32, n)
				middle(level, got, x, s[0], s[1], s[2], log, 2)
				middleGeneric(want, x, s[0], s[1], s[2], log)
				kt.Same(t, kt.Name("middle", level, s, log), got, want, 3e-6, 1e-6)
			}
		}
	})
}
