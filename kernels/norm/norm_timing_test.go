package norm

import (
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkRows(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		const rows, cols = 128, 384
		x, res := kt.Fill(make([]float32, rows*cols), 1), kt.Fill(make([]float32, rows*cols), 2)
		v := kt.Fill(make([]float32, cols), 3)
		y := make([]float32, len(x))
		p := Rows{Rows: rows, Cols: cols, Epsilon: 1e-5, Residual: res, Bias: v, Gamma: v, Beta: v, Threads: 1}
		b.SetBytes(int64(12 * len(x)))
		best := kt.Best(b, func() { p.run(level, y, x) })
		b.ReportMetric(best/float64(len(x)), "best-ns/value")
	})
}
