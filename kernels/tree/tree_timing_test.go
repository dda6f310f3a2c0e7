package tree

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkPredict(b *testing.B) {
	for _, skew := range []float64{0, 0.15} {
		f := randomForest(options{trees: 200, depth: 6, features: 20, targets: 1, perLeaf: 1, modes: []Mode{LEQ}, skew: skew}, 1)
		e, err := build(isa.Current().Level, f)
		if err != nil {
			b.Fatal(err)
		}
		for _, rows := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("skew%v/rows%d", skew, rows), func(b *testing.B) {
				const pool = 4096 // rows to choose from, so that no branch or cache line is learned
				x, y := kt.Fill(make([]float32, pool*20), 1), make([]float32, rows)
				at := 0
				best := kt.Best(b, func() {
					e.Predict(y, x[at*20:], rows, 20, 1)
					at = (at + rows) % (pool - rows)
				})
				b.ReportMetric(best/float64(rows), "best-ns/row")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "mean-ns/row")
			})
		}
	}
}
