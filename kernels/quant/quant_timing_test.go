package quant

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkMul(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		f := isa.Features{Level: level, VNNI: level == isa.AVX512 && isa.Current().VNNI}
		for _, s := range [][2]int{{384, 1536}, {1536, 384}, {1024, 1024}} {
			for _, m := range []int{1, 16, 128} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%dx%d/m%d/t%d", s[0], s[1], m, threads), func(b *testing.B) {
						k, n := s[0], s[1]
						w := &B{PackedB: packFor(f, k, n, make([]byte, k*n), n, false, false)}
						a := &A{Data: make([]byte, m*k), LD: k, Zero: 7}
						c := make([]float32, m*n)
						best := kt.Best(b, func() { MulFloat(m, a, w, c, n, &Dequant{Scale: 0.1}, threads) })
						b.ReportMetric(2*float64(m*n*k)/best, "GOP/s")
					})
				}
			}
		}
	})
}

func BenchmarkDynamic(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		x := kt.Fill(make([]float32, 128*384), 1)
		q := make([]byte, len(x))
		best := kt.Best(b, func() { dynamic(level, q, x, 1) })
		b.ReportMetric(best/float64(len(x)), "best-ns/value")
	})
}
