package coded

import (
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// TestEveryHalf converts every half, and floats about and between them.
func TestEveryHalf(t *testing.T) {
	all := make([]uint16, 1<<16+5)
	for i := range all {
		all[i] = uint16(i)
	}
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, kind := range []Kind{Float16, BFloat16} {
			got, want := kt.Guarded(t, len(all)), make([]float32, len(all))
			widen(level, got, all, kind, 2)
			widen(isa.Generic, want, all, kind, 1)
			for i := range want {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("kind %d, %#x: %v, expected %v", kind, all[i], got[i], want[i])
				}
			}
			for _, off := range []uint32{0, 1, 0x800, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001} {
				x := slices.Clone(want)
				for i := range x {
					x[i] = math.Float32frombits(math.Float32bits(x[i]) + off)
				}
				a, b := make([]uint16, len(x)), make([]uint16, len(x))
				narrow(level, a, x, kind, 2)
				narrow(isa.Generic, b, x, kind, 1)
				for i := range x {
					if a[i] != b[i] {
						t.Fatalf("kind %d, %v (%#x): %#x, expected %#x", kind, x[i], math.Float32bits(x[i]), a[i], b[i])
					}
				}
			}
		}
	})
}

func TestFewHalves(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for n := range 40 {
			x := kt.Random(t, n, 3)
			for _, kind := range []Kind{Float16, BFloat16} {
				h, back := make([]uint16, n), kt.Guarded(t, n)
				narrow(level, h, x, kind, 1)
				widen(level, back, h, kind, 1)
				kt.Same(t, "back", back, x, 1.0/128, 1e-7)
			}
		}
	})
}
