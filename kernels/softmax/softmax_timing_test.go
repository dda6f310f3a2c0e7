package softmax

import (
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkRows(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		x := kt.Fill(make([]float32, 128*128), 1)
		y := make([]float32, len(x))
		b.SetBytes(int64(8 * len(x)))
		best := kt.Best(b, func() { softmaxRows(level, y, 128, x, 128, 128, 128, 1, false, 1) })
		b.ReportMetric(best/float64(len(x)), "best-ns/value")
	})
}
