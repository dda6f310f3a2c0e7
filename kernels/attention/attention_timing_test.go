package attention

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkFused(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, n := range []int{16, 128, 512} {
			b.Run(fmt.Sprint("12x32/", n), func(b *testing.B) {
				p := &Params{Seqs: 1, Heads: 12, QLen: n, KLen: n, DK: 32, DV: 32, Scale: 0.18, Threads: 1}
				w := fused(p)
				x, y := kt.Fill(make([]float32, n*w), 1), make([]float32, n*384)
				best := kt.Best(b, func() { p.run(level, y, x, x[384:], x[768:]) })
				b.ReportMetric(4*384*float64(n*n)/best, "best-GFLOP/s")
			})
		}
	})
}
