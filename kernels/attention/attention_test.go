package attention

import (
	"math"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// fused lays q, k and v side by side in one buffer, as one GEMM writes them.
func fused(p *Params) (width int) {
	width = p.Heads*p.DK + p.kvHeads()*(p.DK+p.DV)
	p.Q = Strides{Seq: p.QLen * width, Token: width, Head: p.DK}
	p.K, p.V = p.Q, Strides{Seq: p.QLen * width, Token: width, Head: p.DV}
	p.Out = Strides{Seq: p.QLen * p.Heads * p.DV, Token: p.Heads * p.DV, Head: p.DV}
	return width
}

func compare(t *testing.T, level isa.Level, p *Params, out int, q, k, v []float32) {
	t.Helper()
	got, want := kt.Guarded(t, out), make([]float32, out)
	p.Threads = 2
	p.run(level, got, q, k, v)
	p.run(isa.Generic, want, q, k, v)
	kt.Same(t, kt.Name("attention", level, *p), got, want, 1e-5, 3e-6)
}

func TestFused(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, d := range [][2]int{{32, 32}, {8, 5}, {33, 17}, {64, 64}, {1, 1}} {
			for _, n := range []int{1, 2, 3, 5, 12, 13, 33, 70, 128} {
				for _, causal := range []bool{false, true} {
					p := &Params{Seqs: 2, Heads: 3, QLen: n, KLen: n, DK: d[0], DV: d[1], Scale: 0.2, Causal: causal}
					w := fused(p)
					x := kt.Random(t, 2*n*w, 1)
					compare(t, level, p, 2*n*3*d[1], x, x[3*d[0]:], x[6*d[0]:])
				}
			}
		}
	})
}

func TestRagged(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		p := &Params{Seqs: 4, Heads: 2, DK: 32, DV: 32, Scale: 0.17, Starts: []int32{0, 5, 5, 38, 39}}
		w := fused(p)
		x := kt.Random(t, 39*w, 1)
		compare(t, level, p, 39*2*32, x, x[64:], x[128:])
	})
}

func TestMasks(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, nq := range []int{1, 20} {
			p := &Params{Seqs: 3, Heads: 4, KVHeads: 2, QLen: nq, KLen: 21, DK: 16, DV: 24, Scale: 0.3}
			p.Q = Strides{Seq: 4 * nq * 16, Token: 16, Head: nq * 16}
			p.K = Strides{Seq: 2 * 21 * 16, Token: 16, Head: 21 * 16}
			p.V = Strides{Seq: 2 * 21 * 24, Token: 24, Head: 21 * 24}
			p.Out = Strides{Seq: 4 * nq * 24, Token: 24, Head: nq * 24}
			q, k, v := kt.Random(t, 3*p.Q.Seq, 1), kt.Random(t, 3*p.K.Seq, 2), kt.Random(t, 3*p.V.Seq, 3)
			out := 3 * p.Out.Seq
			p.KeyLens = []int32{21, 0, 7}
			compare(t, level, p, out, q, k, v)
			p.Causal = true
			compare(t, level, p, out, q, k, v)
			p.Causal, p.KeyLens = false, nil
			p.Bias, p.BiasSeq, p.BiasKey = kt.Random(t, 63, 4), 21, 1
			p.Bias[3], p.Bias[25] = -10000, float32(math.Inf(-1))
			compare(t, level, p, out, q, k, v)
			p.Bias, p.BiasSeq, p.BiasHead, p.BiasQuery, p.BiasKey = kt.Random(t, 4*nq*21, 5), 0, nq*21, 21, 1
			compare(t, level, p, out, q, k, v)
			for i := range 21 {
				p.Bias[i] = float32(math.Inf(-1))
			}
			compare(t, level, p, out, q, k, v)
			for p.Blank = range BlankNaN + 1 {
				compare(t, level, p, out, q, k, v)
			}
			p.Bias[2] = float32(math.NaN())
			compare(t, level, p, out, q, k, v)
			p.Blank = KeepNaN
			p.Bias[2] = 0
			p.BiasHead, p.BiasQuery, p.BiasKey = 0, 1, 0
			compare(t, level, p, out, q, k, v)
		}
	})
}

// TestBounds has caps, windows and sinks, alone and together, where queries are fewer than keys, as many, and many.
func TestBounds(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, n := range [][2]int{{1, 1}, {1, 70}, {3, 9}, {5, 40}, {40, 40}, {130, 130}, {30, 200}} {
			for _, window := range []int{0, 1, 5, 33, 64, 500} {
				for which := range 8 {
					p := &Params{Seqs: 2, Heads: 4, KVHeads: 2, QLen: n[0], KLen: n[1], DK: 16, DV: 24, Scale: 0.3, Causal: which&1 != 0, Window: window}
					p.Q = Strides{Seq: n[0] * 64, Token: 64, Head: 16}
					p.K = Strides{Seq: 2 * n[1] * 16, Token: 16, Head: n[1] * 16}
					p.V = Strides{Seq: 2 * n[1] * 24, Token: 24, Head: n[1] * 24}
					p.Out = Strides{Seq: n[0] * 96, Token: 96, Head: 24}
					if which&2 != 0 {
						p.Softcap = 1.5
					}
					if which&4 != 0 {
						p.Sinks = []float32{-3, 0, 2, 9}
						p.Bias, p.BiasQuery, p.BiasKey = kt.Random(t, n[0]*n[1], 5), n[1], 1
					}
					q, k, v := kt.Random(t, 2*p.Q.Seq, 1), kt.Random(t, 2*p.K.Seq, 2), kt.Random(t, 2*p.V.Seq, 3)
					compare(t, level, p, 2*p.Out.Seq, q, k, v)
				}
			}
		}
	})
}
