package gemm

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
	"github.com/aimass/aimass/kernels/pool"
)

var sink float32

func BenchmarkGemm(b *testing.B) {
	shapes := [][2]int{{384, 1536}, {512, 512}, {768, 768}, {1024, 1024}, {1536, 384}, {2048, 2048}}
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		top := isa.PeakGFLOPS(level)
		for _, s := range shapes {
			for _, m := range []int{1, 8, 32, 128, 512} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%dx%d/m%d/t%d", s[0], s[1], m, threads), func(b *testing.B) {
						k, n := s[0], s[1]
						w := packB(level, k, n, kt.Fill(make([]float32, k*n), 1), n, false)
						a, c := kt.Fill(make([]float32, m*k), 2), make([]float32, m*n)
						b.ReportAllocs()
						best := kt.Best(b, func() { Gemm(m, a, k, w, c, n, nil, threads) })
						sink += c[0]
						g := 2 * float64(m*n*k) / best
						b.ReportMetric(g, "GFLOP/s")
						b.ReportMetric(100*g/(top*float64(min(threads, pool.Size()))), "%peak")
					})
				}
			}
		}
	})
}

func BenchmarkChain(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, widths := range [][]int{{32, 64, 64, 1}, {64, 256, 256, 64, 1}} {
			var layers []Layer
			for i := range len(widths) - 1 {
				layers = append(layers, Layer{K: widths[i], N: widths[i+1], LDB: widths[i+1],
					B: kt.Fill(make([]float32, widths[i]*widths[i+1]), 1), Act: act.Act{Func: act.Relu}})
			}
			c := newChain(level, layers)
			x, y := make([]float32, widths[0]), make([]float32, 1)
			b.Run(fmt.Sprint(widths), func(b *testing.B) {
				kt.Best(b, func() { c.Run(1, x, len(x), y, 1) })
			})
		}
	})
}
