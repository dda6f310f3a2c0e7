package elementwise64

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkProgram(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, op := range []Op{Add, Div, Sqrt, Exp, Log, Tanh} {
			p, err := newProgram(level, []elementwise.Layout{elementwise.Full, elementwise.Row}, []Step{{Op: op, Y: 1}})
			if err != nil {
				b.Fatal(err)
			}
			x, y := make([]float64, 20000), make([]float64, 20)
			for i := range x {
				x[i] = 1 + float64(i%7)
			}
			dst := make([]float64, len(x))
			b.Run(fmt.Sprint(op), func(b *testing.B) {
				best := kt.Best(b, func() { p.Run(dst, len(x)/20, 20, [][]float64{x, y}, 1) })
				b.ReportMetric(best/float64(len(x)), "ns/value")
			})
		}
	})
}
