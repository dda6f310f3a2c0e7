package conv

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// Layers of few, odd or grouped channels.
func BenchmarkConv(b *testing.B) {
	layers := []struct{ c, oc, group, kh, kw, h, w int }{
		{8, 8, 1, 3, 39, 172, 264}, {8, 1, 1, 5, 5, 172, 264}, {32, 1, 1, 7, 3, 172, 88}, {1, 20, 1, 5, 5, 64, 64},
		{20, 34, 1, 3, 3, 40, 40}, {64, 64, 4, 3, 3, 28, 28}, {18, 34, 1, 1, 1, 40, 40}, {51, 51, 1, 1, 5, 1, 1500},
	}
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, l := range layers {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%d-%d/g%d/k%dx%d/%dx%d/t%d", l.c, l.oc, l.group, l.kh, l.kw, l.h, l.w, threads), func(b *testing.B) {
					g := Geometry{C: l.c, OC: l.oc, Group: l.group, Window: Window{KH: l.kh, KW: l.kw,
						PadTop: l.kh / 2, PadLeft: l.kw / 2, PadBottom: l.kh / 2, PadRight: l.kw / 2}}
					k := l.c / l.group * l.kh * l.kw
					p := pack(level, g, kt.Fill(make([]float32, l.oc*k), 1), nil)
					oh, ow := g.Out(l.h, l.w)
					x, y := kt.Fill(make([]float32, l.c*l.h*l.w), 2), make([]float32, l.oc*oh*ow)
					best := kt.Best(b, func() { p.Run(y, x, 1, l.h, l.w, nil, threads) })
					b.ReportMetric(2*float64(oh*ow*l.oc*k)/best, "GFLOP/s")
				})
			}
		}
	})
}

func BenchmarkDepthwise(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, s := range []int{1, 2} {
			b.Run(fmt.Sprint("96x56/s", s), func(b *testing.B) {
				g := Geometry{C: 96, OC: 96, Group: 96, Window: Window{KH: 3, KW: 3, StrideH: s, StrideW: s,
					PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}}
				p := pack(level, g, make([]float32, 96*9), nil)
				x, y := make([]float32, 96*56*56), make([]float32, 96*56*56)
				best := kt.Best(b, func() { p.Run(y, x, 1, 56, 56, nil, 1) })
				b.ReportMetric(2*96*9*56*56/float64(s*s)/best, "GFLOP/s")
			})
		}
	})
}
