package reduce

import (
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkMean(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		x := kt.Fill(make([]float32, 512*49), 1)
		y := make([]float32, 512)
		b.SetBytes(int64(4 * len(x)))
		best := kt.Best(b, func() { axis(level, Mean, y, x, 512, 49, 1, 1) })
		b.ReportMetric(best/float64(len(x)), "best-ns/value")
	})
}

func BenchmarkRuns(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		const count, n = 1000, 64
		x, y, at := kt.Fill(make([]float32, count*n), 1), make([]float32, 100*n), make([]int64, count)
		for i := range at {
			at[i] = int64(i * 37 % 100 * n)
		}
		b.SetBytes(int64(4 * len(x)))
		best := kt.Best(b, func() { runs(level, Sum, y, x, at, n, 1) })
		b.ReportMetric(best/float64(len(x)), "best-ns/value")
	})
}
