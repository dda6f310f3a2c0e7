package gemm

import (
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// A sum of k products of unit normals, in another order and with FMA: the
// error grows with √k, and 8 ULP of the largest partial sum bounds it.
func tolerance(k int) float64 { return 1e-6 * math.Sqrt(float64(k)+1) }

func testGemm(t *testing.T, level isa.Level, m, n, k, threads int, trans bool, ep *Epilogue) {
	t.Helper()
	lda, ldb, ldc := k+3, n+1, n+2
	rows, cols := k, n
	if trans {
		rows, cols, ldb = n, k, k+5
	}
	need := func(r, c, ld int) int {
		if r == 0 || c == 0 {
			return 0
		}
		return (r-1)*ld + c
	}
	a := kt.Random(t, need(m, k, lda), 1)
	b := kt.Random(t, need(rows, cols, ldb), 2)
	c := kt.Random(t, need(m, n, ldc), 3)
	want := slices.Clone(c)
	if ep != nil && ep.Residual != nil {
		ep.LDR = n + 4
		ep.Residual = kt.Random(t, need(m, n, ep.LDR), 4)
	}
	if ep != nil && ep.Bias != nil {
		nb := n
		if ep.BiasRows {
			nb = m
		}
		ep.Bias = kt.Random(t, nb, 5)
	}
	Gemm(m, a, lda, packB(level, k, n, b, ldb, trans), c, ldc, ep, threads)
	Gemm(m, a, lda, packB(isa.Generic, k, n, b, ldb, trans), want, ldc, ep, 1)
	kt.Same(t, kt.Name("gemm", level, m, n, k, trans, threads), c, want, 2e-6, tolerance(k))
	p := &Product{M: m, N: n, K: k, LDA: lda, LDB: ldb, LDC: ldc, TransB: trans}
	kt.Fill(c, 9)
	want2 := slices.Clone(c)
	matMul(level, p, a, b, c, ep, threads)
	matMul(isa.Generic, p, a, b, want2, ep, 1)
	kt.Same(t, kt.Name("matmul", level, m, n, k, trans, threads), c, want2, 2e-6, tolerance(k))
}

func TestGemmShapes(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for m := range 28 {
			for _, n := range []int{0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130, 200} {
				for _, k := range []int{0, 1, 2, 5, 8, 19, 64} {
					testGemm(t, level, m, n, k, 1, false, nil)
				}
			}
			testGemm(t, level, m, 45, 23, 1, true, nil)
		}
		for _, s := range [][3]int{{1, 300, 900}, {2, 65, 401}, {40, 33, 1000}, {300, 40, 390}, {145, 600, 800}, {64, 1100, 770}} {
			testGemm(t, level, s[0], s[1], s[2], 1, false, nil)
			testGemm(t, level, s[0], s[1], s[2], 2, true, nil)
			testGemm(t, level, s[0], s[1], s[2], 3, false, nil)
		}
	})
}

func TestGemmEpilogue(t *testing.T) {
	some := make([]float32, 1)
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, s := range [][3]int{{1, 70, 40}, {5, 33, 9}, {13, 64, 800}, {50, 37, 12}} {
			for f := act.None; int(f) < act.Count; f++ {
				if f == act.Sqrt || f == act.Rsqrt || f == act.Log || f == act.Reciprocal ||
					f == act.Floor || f == act.Ceil || f == act.Round || f == act.Sign || f == act.ThresholdedRelu || f == act.Exp || f == act.Mish || f == act.Square {
					continue // they amplify the rounding of the sum: elementwise tests them on exact inputs
				}
				testGemm(t, level, s[0], s[1], s[2], 1, false, &Epilogue{Bias: some, Act: act.Act{Func: f, A: 0.3, B: 0.9}})
			}
			testGemm(t, level, s[0], s[1], s[2], 2, false, &Epilogue{Alpha: 0.5, Bias: some, BiasRows: true, Residual: some, Beta: -2})
			testGemm(t, level, s[0], s[1], s[2], 1, true, &Epilogue{Alpha: -1.5, Residual: some, Act: act.Act{Func: act.Gelu}})
		}
	})
}

func TestGroup(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(m, k, threads int, widths ...int) {
			t.Helper()
			a := kt.Random(t, m*k, 1)
			var got, want []Weighted
			for i, n := range widths {
				b := kt.Random(t, k*n, uint64(2+i))
				p := Weighted{B: packB(level, k, n, b, n, false), C: kt.Guarded(t, m*n), LDC: n, Act: act.Act{Func: []act.Func{act.None, act.Gelu, act.Relu}[i]}}
				if i != 1 {
					p.Bias, p.Alpha = kt.Random(t, n, uint64(9+i)), 0.5
				}
				got = append(got, p)
				p.B, p.C = packB(isa.Generic, k, n, b, n, false), make([]float32, m*n)
				want = append(want, p)
			}
			Group(m, a, k, got, threads)
			Group(m, a, k, want, 1)
			for i := range got {
				kt.Same(t, kt.Name("group", level, m, k, widths, i), got[i].C, want[i].C, 2e-6, tolerance(k))
			}
		}
		for _, m := range []int{0, 1, 5, 12, 13, 16, 40, 100, 300} {
			for threads := 1; threads < 4; threads++ {
				f(m, 48, threads, 96)
				f(m, 400, threads, 64, 1)
				f(m, 900, threads, 33, 130, 64)
				f(m, 70, threads, 1, 300, 0)
				f(m, 1024, threads, 270, 64) // rows pages apart
			}
		}
		f(9, 0, 2, 20, 30)
		f(384, 384, 2, 100, 100, 100)
	})
}

func TestGemmSpecials(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		sp := kt.Specials()
		k := len(sp)
		for _, m := range []int{1, 4, 30} {
			a := make([]float32, m*k)
			for i := range m {
				a[i*k+i%k] = 1
			}
			b := make([]float32, k*40)
			for j := range 40 {
				b[(j%m)*40+j] = sp[j%k]
			}
			got, want := make([]float32, m*40), make([]float32, m*40)
			ep := &Epilogue{Act: act.Act{Func: act.Relu}}
			Gemm(m, a, k, packB(level, k, 40, b, 40, false), got, 40, ep, 1)
			Gemm(m, a, k, packB(isa.Generic, k, 40, b, 40, false), want, 40, ep, 1)
			kt.Same(t, kt.Name("specials", level, m), got, want, 0, 0)
		}
	})
}

func TestMatMulBatch(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(p Product) {
			t.Helper()
			a := kt.Random(t, 5000, 1)
			b := kt.Random(t, 5000, 2)
			got, want := make([]float32, 5000), make([]float32, 5000)
			matMul(level, &p, a, b, got, nil, 2)
			matMul(isa.Generic, &p, a, b, want, nil, 1)
			kt.Same(t, kt.Name("batch", level, p), got, want, 1e-6, 1e-5)
		}
		f(Product{M: 7, N: 20, K: 9, LDA: 9, LDB: 20, LDC: 20, Batch: [4]int{0, 0, 2, 3},
			StrideA: [4]int{0, 0, 63, 0}, StrideB: [4]int{0, 0, 0, 180}, StrideC: [4]int{0, 0, 420, 140}})
		f(Product{M: 17, N: 20, K: 9, LDA: 17, LDB: 9, LDC: 21, TransA: true, TransB: true, Batch: [4]int{2},
			StrideA: [4]int{153}, StrideB: [4]int{180}, StrideC: [4]int{17 * 21}})
		f(Product{M: 1, N: 40, K: 33, LDA: 33, LDB: 33, LDC: 40, TransB: true})
		f(Product{M: 3, N: 40, K: 33, LDA: 3, LDB: 40, LDC: 40, TransA: true})
	})
}

func TestChain(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(m int, widths ...int) {
			t.Helper()
			var layers []Layer
			for i := range len(widths) - 1 {
				k, n := widths[i], widths[i+1]
				l := Layer{K: k, N: n, B: kt.Random(t, k*n, uint64(i)), LDB: n, Act: act.Act{Func: act.Func(i % 12), A: 0.1, B: 2}}
				if i%2 == 1 {
					l.Trans, l.LDB = true, k
				}
				if i%3 != 2 {
					l.Bias = kt.Random(t, n, uint64(i+50))
				}
				for j := range l.B {
					l.B[j] /= float32(math.Sqrt(float64(k)))
				}
				layers = append(layers, l)
			}
			last := widths[len(widths)-1]
			x := kt.Random(t, m*widths[0], 77)
			got, want := kt.Guarded(t, m*last), make([]float32, m*last)
			newChain(level, layers).Run(m, x, widths[0], got, last)
			newChain(isa.Generic, layers).Run(m, x, widths[0], want, last)
			kt.Same(t, kt.Name("chain", level, m, widths), got, want, 1e-5, 1e-5)
		}
		f(1, 32, 64, 64, 1)
		f(5, 1, 1)
		f(3, 7, 33, 129, 16, 17)
		f(2, 1024, 1000, 3)
		f(1, 15, 31, 8, 4, 2, 9, 100, 64, 65)
	})
}

func TestNoAllocation(t *testing.T) {
	b := PackB(64, 64, make([]float32, 64*64), 64, false)
	a, c := make([]float32, 64*64), make([]float32, 64*64)
	ep := &Epilogue{Bias: a[:64], Act: act.Act{Func: act.Gelu}}
	if b.level == isa.Generic {
		t.Skip("NOT RUN: no native kernels in this build")
	}
	if n := testing.AllocsPerRun(50, func() { Gemm(64, a, 64, b, c, 64, ep, 1) }); n != 0 {
		t.Fatalf("%v allocations a call", n)
	}
	group := []Weighted{{B: b, C: c, LDC: 64}, {B: b, C: make([]float32, 64*64), LDC: 64, Bias: a[:64]}}
	if n := testing.AllocsPerRun(50, func() { Group(64, a, 64, group, 1) }); n != 0 {
		t.Fatalf("%v allocations a call of a group", n)
	}
}
