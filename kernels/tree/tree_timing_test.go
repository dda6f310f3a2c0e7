package tree

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkPredict(b *testing.B) {
	for _, o := range []options{{trees: 200, depth: 6}, {trees: 200, depth: 6, skew: 0.15}, {trees: 100, depth: 12, skew: 0.3}} {
		o.features, o.targets, o.perLeaf, o.modes = 20, 1, 1, []Mode{LEQ}
		f := randomForest(o, 1)
		e, err := build(isa.Current().Level, f)
		if err != nil {
			b.Fatal(err)
		}
		for _, rows := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("depth%d/skew%v/rows%d", o.depth, o.skew, rows), func(b *testing.B) {
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
