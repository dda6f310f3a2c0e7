package rnn

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkRun(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for kind := LSTM; kind <= GRUAfter; kind++ {
			b.Run(fmt.Sprint("kind", kind, "/128"), func(b *testing.B) {
				n := kind.gates() * 128
				c := pack(level, kind, 128, kt.Fill(make([]float32, n*128), 1), Options{})
				s := &Sequence{Steps: 20, Batch: 1, Gates: make([]float32, 20*n), H: make([]float32, 128), C: make([]float32, 128)}
				best := kt.Best(b, func() { c.Run(s) })
				b.ReportMetric(best/20, "best-ns/step")
			})
		}
	})
}
