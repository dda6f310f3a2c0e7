package gemm64

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// random gives n normal values that end before a page that can't be touched.
func random(t testing.TB, n int, seed uint64) []float64 {
	t.Helper()
	x := kt.Guarded(t, 2*n)
	if n == 0 {
		return nil
	}
	d := unsafe.Slice((*float64)(unsafe.Pointer(&x[0])), n)
	for i, v := range kt.Fill(make([]float32, n), seed) {
		d[i] = float64(v)
	}
	return d
}

func same(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	for i := range want {
		g, w := got[i], want[i]
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if d := math.Abs(g - w); math.IsNaN(d) || math.IsInf(w, 0) || d > tol*(1+math.Abs(w)) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, g, w)
		}
	}
}

func span(rows, cols, ld int) int {
	if rows == 0 || cols == 0 {
		return 0
	}
	return (rows-1)*ld + cols
}

func testProduct(t *testing.T, level isa.Level, m, n, k, threads int, trans bool, ep *Epilogue) {
	t.Helper()
	lda, ldb, ldc, rows, cols := k+3, n+1, n+2, k, n
	if trans {
		rows, cols, ldb = n, k, k+5
	}
	if !trans && n == 1 {
		ldb = 1
	}
	a, b, c := random(t, span(m, k, lda), 1), random(t, span(rows, cols, ldb), 2), random(t, span(m, n, ldc), 3)
	if ep != nil && ep.Residual != nil {
		ep.LDR = n + 4
		ep.Residual = random(t, span(m, n, ep.LDR), 4)
	}
	if ep != nil && ep.Bias != nil {
		ep.Bias = random(t, n, 5)
	}
	want := slices.Clone(c)
	packed, plain := pack(level, k, n, b, ldb, trans), pack(isa.Generic, k, n, b, ldb, trans)
	what, tol := kt.Name(level, m, n, k, trans, threads), 1e-14*math.Sqrt(float64(k)+1)
	Gemm(m, a, lda, packed, c, ldc, ep, threads)
	Gemm(m, a, lda, plain, want, ldc, ep, 1)
	same(t, "gemm "+what, c, want, tol)
	p := &gemm.Product{M: m, N: n, K: k, LDA: lda, LDB: ldb, LDC: ldc, TransB: trans}
	c, want2 := slices.Clone(c), slices.Clone(want)
	matMul(level, p, a, b, c, ep, threads)
	matMul(isa.Generic, p, a, b, want2, ep, 1)
	same(t, "matmul "+what, c, want2, tol)
	for by := SquaredEuclidean; by <= Cityblock; by++ {
		Distances(m, a, lda, packed, c, ldc, by, threads)
		Distances(m, a, lda, plain, want, ldc, by, 1)
		same(t, "distances "+what, c, want, tol)
	}
}

func TestProducts(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, m := range []int{0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 25, 27} {
			for _, n := range []int{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 130} {
				for _, k := range []int{0, 1, 2, 8, 19, 64} {
					testProduct(t, level, m, n, k, 1, n%2 == 1, nil)
				}
			}
			testProduct(t, level, m, 45, 23, 1, true, nil)
			testProduct(t, level, m, 1, 23, 1, false, nil)
		}
		for _, s := range [][3]int{{1, 300, 900}, {2, 65, 401}, {40, 33, 1000}, {300, 40, 390}, {145, 600, 800}, {64, 1100, 270}, {500, 1, 700}} {
			for threads := 1; threads < 4; threads++ {
				testProduct(t, level, s[0], s[1], s[2], threads, threads == 2, nil)
			}
		}
	})
}

func TestEpilogue(t *testing.T) {
	some := make([]float64, 1)
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, s := range [][3]int{{1, 70, 40}, {5, 33, 9}, {13, 64, 800}, {50, 37, 12}, {50, 1, 12}, {9, 2, 700}} {
			testProduct(t, level, s[0], s[1], s[2], 1, false, &Epilogue{Bias: some})
			testProduct(t, level, s[0], s[1], s[2], 2, false, &Epilogue{Alpha: 0.5, Bias: some, Residual: some, Beta: -2})
			testProduct(t, level, s[0], s[1], s[2], 1, true, &Epilogue{Alpha: -1.5, Residual: some})
		}
	})
}

func TestBatch(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(p gemm.Product) {
			t.Helper()
			a, b := random(t, 5000, 1), random(t, 5000, 2)
			got, want := make([]float64, 5000), make([]float64, 5000)
			matMul(level, &p, a, b, got, nil, 2)
			matMul(isa.Generic, &p, a, b, want, nil, 1)
			same(t, kt.Name("batch", level, p), got, want, 1e-13)
		}
		f(gemm.Product{M: 7, N: 20, K: 9, LDA: 9, LDB: 20, LDC: 20, Batch: [4]int{0, 0, 2, 3},
			StrideA: [4]int{0, 0, 63, 0}, StrideB: [4]int{0, 0, 0, 180}, StrideC: [4]int{0, 0, 420, 140}})
		f(gemm.Product{M: 17, N: 20, K: 9, LDA: 17, LDB: 9, LDC: 21, TransA: true, TransB: true, Batch: [4]int{2},
			StrideA: [4]int{153}, StrideB: [4]int{180}, StrideC: [4]int{17 * 21}})
		f(gemm.Product{M: 3, N: 40, K: 33, LDA: 3, LDB: 40, LDC: 40, TransA: true})
		f(gemm.Product{M: 3, N: 2, K: 33, LDA: 3, LDB: 33, LDC: 2, TransA: true, TransB: true})
	})
}

// TestSpecials: infinities and NaN stay where they belong, whatever pads tiles and vectors.
func TestSpecials(t *testing.T) {
	var sp []float64
	for _, v := range kt.Specials() {
		sp = append(sp, float64(v))
	}
	k := len(sp)
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, n := range []int{1, 2, 40} {
			for _, m := range []int{1, 4, 30} {
				a, b := make([]float64, m*k), make([]float64, k*n)
				for i := range m {
					a[i*k+i%k] = 1
				}
				for j := range n {
					b[(j%m)*n+j] = sp[j%k]
				}
				got, want := make([]float64, m*n), make([]float64, m*n)
				Gemm(m, a, k, pack(level, k, n, b, n, false), got, n, nil, 1)
				Gemm(m, a, k, pack(isa.Generic, k, n, b, n, false), want, n, nil, 1)
				same(t, kt.Name("specials", level, m, n), got, want, 0)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b := Pack(64, 64, make([]float64, 64*64), 64, false)
	if b.level == isa.Generic {
		t.Skip("NOT RUN: no native kernels in this build")
	}
	a, c := make([]float64, 64*64), make([]float64, 64*64)
	ep := &Epilogue{Bias: a[:64]}
	p := &gemm.Product{M: 64, N: 64, K: 64, LDA: 64, LDB: 64, LDC: 64}
	if n := testing.AllocsPerRun(50, func() { Gemm(64, a, 64, b, c, 64, ep, 1); MatMul(p, a, a, c, nil, 1) }); n != 0 {
		t.Fatalf("%v allocations a call", n)
	}
}
