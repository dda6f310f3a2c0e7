package gbdt

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkTrain grows ten trees on 100,000 rows; one row-tree is the unit of
// the throughput told.
func BenchmarkTrain(b *testing.B) {
	d := classes(table(1, 100_000), 2)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			c := config()
			c.Rounds, c.Leaves, c.Workers = 10, 31, workers
			for b.Loop() {
				if _, err := Train(context.Background(), c, d, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*10*100_000/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
