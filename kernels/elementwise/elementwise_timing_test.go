package elementwise

import (
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkUnary(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, f := range []struct {
			name string
			f    act.Func
		}{{"relu", act.Relu}, {"exp", act.Exp}, {"tanh", act.Tanh}, {"sigmoid", act.Sigmoid}, {"gelu", act.Gelu}, {"erf", act.Erf}, {"log", act.Log}} {
			b.Run(f.name, func(b *testing.B) {
				x := kt.Fill(make([]float32, 32<<10), 1)
				y := make([]float32, len(x))
				b.SetBytes(int64(8 * len(x)))
				best := kt.Best(b, func() { unary(level, y, x, act.Act{Func: f.f}, 1) })
				b.ReportMetric(best/float64(len(x)), "best-ns/value")
			})
		}
	})
}
