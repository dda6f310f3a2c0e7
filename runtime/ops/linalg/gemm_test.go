package linalg

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestGemm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, m := range []int{0, 1, 3, 4, 5, 9} {
		for _, n := range []int{0, 1, 3, 4, 7, 8} {
			for _, k := range []int{0, 1, 2, 17} {
				t.Run(fmt.Sprintf("%dx%dx%d", m, n, k), func(t *testing.T) {
					lda, ldb, ldc := k+1, n+2, n+3
					fill := func(n int) []int32 {
						v := make([]int32, n)
						for i := range v {
							v[i] = int32(r.IntN(2000) - 1000)
						}
						return v
					}
					a, b, c := fill(m*lda), fill(k*ldb), fill(m*ldc)
					want := append([]int32{}, c...)
					for i := range m {
						for j := range n {
							for p := range k {
								want[i*ldc+j] += a[i*lda+p] * b[p*ldb+j]
							}
						}
					}
					Gemm(m, n, k, a, lda, b, ldb, c, ldc)
					for i := range want {
						if c[i] != want[i] {
							t.Fatalf("element %d: got %d, want %d", i, c[i], want[i])
						}
					}
				})
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	a := make([]int, 33*18)
	for i := range a {
		a[i] = i
	}
	b := Transpose(a, 33, 18)
	for i := range 33 {
		for j := range 18 {
			if b[j*33+i] != a[i*18+j] {
				t.Fatalf("(%d,%d): got %d", i, j, b[j*33+i])
			}
		}
	}
}

func BenchmarkGemm(b *testing.B) {
	const n = 256
	x, y, z := make([]float32, n*n), make([]float32, n*n), make([]float32, n*n)
	for b.Loop() {
		Gemm(n, n, n, x, n, y, n, z, n)
	}
	b.ReportMetric(float64(n*n*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
}
