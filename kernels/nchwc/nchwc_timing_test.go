package nchwc

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// The layers of ResNet-50 that take its time.
func BenchmarkConv(b *testing.B) {
	layers := []struct{ c, oc, k, s, h int }{
		{3, 64, 7, 2, 224}, {64, 64, 1, 1, 56}, {64, 64, 3, 1, 56}, {64, 256, 1, 1, 56}, {256, 128, 1, 1, 56},
		{128, 128, 3, 1, 28}, {128, 128, 3, 2, 56}, {256, 512, 1, 2, 56}, {512, 128, 1, 1, 28}, {256, 256, 3, 1, 14}, {1024, 256, 1, 1, 14},
		{512, 512, 3, 1, 7}, {512, 512, 3, 2, 14}, {2048, 512, 1, 1, 7}, {512, 2048, 1, 1, 7}, {32, 32, 3, 1, 56}, {16, 16, 3, 1, 80},
	}
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, l := range layers {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%d-%d/k%d/s%d/%d/t%d", l.c, l.oc, l.k, l.s, l.h, threads), func(b *testing.B) {
					g := conv.Geometry{C: l.c, OC: l.oc, Window: square(l.k, l.s, l.k/2)}
					p := pack(level, g, kt.Fill(make([]float32, l.oc*l.c*l.k*l.k), 1), nil)
					oh, ow := g.Out(l.h, l.h)
					x, y := kt.Fill(make([]float32, p.channels()*l.h*l.h), 2), make([]float32, len(p.bias)*oh*ow)
					best := kt.Best(b, func() { p.Run(y, x, 1, l.h, l.h, nil, threads) })
					b.ReportMetric(2*float64(oh*ow*l.oc*l.c*l.k*l.k)/best, "direct-GFLOP/s")
				})
			}
		}
	})
}

func BenchmarkDepthwise(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, s := range []int{1, 2} {
			b.Run(fmt.Sprint("96x56/s", s), func(b *testing.B) {
				g := conv.Geometry{C: 96, OC: 96, Group: 96, Window: square(3, s, 1)}
				p := pack(level, g, make([]float32, 96*9), nil)
				x, y := make([]float32, 96*56*56), make([]float32, 96*56*56)
				best := kt.Best(b, func() { p.Run(y, x, 1, 56, 56, nil, 1) })
				b.ReportMetric(2*96*9*56*56/float64(s*s)/best, "GFLOP/s")
			})
		}
	})
}
