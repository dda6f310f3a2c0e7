package gemm64

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

var sink float64

func BenchmarkGemm(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		top := isa.PeakGFLOPS(level) / 2
		for _, s := range [][3]int{{1, 512, 512}, {8, 512, 512}, {64, 512, 512}, {512, 512, 512}, {1000, 2000, 20}, {1000, 1, 2000}, {1000, 2, 2000}} {
			m, n, k := s[0], s[1], s[2]
			w := pack(level, k, n, random(b, k*n, 1), n, false)
			a, c := random(b, m*k, 2), make([]float64, m*n)
			b.Run(fmt.Sprintf("%dx%dx%d", m, n, k), func(b *testing.B) {
				b.ReportAllocs()
				best := kt.Best(b, func() { Gemm(m, a, k, w, c, n, nil, 1) })
				sink += c[0]
				b.ReportMetric(2*float64(m*n*k)/best, "GFLOP/s")
				b.ReportMetric(200*float64(m*n*k)/best/top, "%peak")
			})
			b.Run(fmt.Sprintf("distances %dx%dx%d", m, n, k), func(b *testing.B) {
				kt.Best(b, func() { Distances(m, a, k, w, c, n, SquaredEuclidean, 1) })
			})
		}
	})
}
