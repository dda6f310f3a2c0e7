package coded

import (
	"fmt"
	"testing"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

var sink float32

// BenchmarkGemm has the same products with weights in float32 beside those in codes.
func BenchmarkGemm(b *testing.B) {
	kt.EachISABench(b, func(b *testing.B, level isa.Level) {
		for _, s := range [][2]int{{768, 3072}, {2048, 2048}} {
			k, n := s[0], s[1]
			halves := make([]uint16, k*n)
			for i := range halves {
				halves[i] = 0x3800 | uint16(i*7919)&0x83ff
			}
			blocks, bytes := randomBlocks(k, n, 4, 32, true), randomBlocks(k, n, 8, 32, true)
			weights := map[string]*Weights{"nibbles": packBlocks(level, k, n, blocks), "bytes": packBlocks(level, k, n, bytes),
				"float16": packHalves(level, k, n, Float16, halves, n, false), "bfloat16": packHalves(level, k, n, BFloat16, halves, n, false)}
			floats := gemm.PackB(k, n, blocks.plain(k, n), n, false)
			for _, m := range []int{1, 2, 4, 8, 32, 128} {
				a, c := kt.Fill(make([]float32, m*k), 2), make([]float32, m*n)
				report := func(name string, f func()) {
					b.Run(fmt.Sprintf("%dx%d/m%d/%s", k, n, m, name), func(b *testing.B) {
						best := kt.Best(b, f)
						sink += c[0]
						b.ReportMetric(2*float64(m*n*k)/best, "GFLOP/s")
					})
				}
				if level == isa.Current().Level {
					report("float32", func() { gemm.Gemm(m, a, k, floats, c, n, nil, 1) })
				}
				for _, kind := range []string{"nibbles", "bytes", "float16", "bfloat16"} {
					report(kind, func() { Gemm(m, a, k, weights[kind], c, n, nil, 1) })
				}
			}
		}
	})
}
