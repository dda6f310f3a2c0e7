package gemm

import (
	"slices"
	"sync"
	"testing"

	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// The C pool belongs to one caller at a time; the others must come out right
// all the same, and leave no task behind.
func TestConcurrentCalls(t *testing.T) {
	const m, n, k = 70, 300, 200
	b := PackB(k, n, kt.Random(t, k*n, 1), n, false)
	a := kt.Random(t, m*k, 2)
	want := make([]float32, m*n)
	Gemm(m, a, k, b, want, n, nil, 1)
	one := slices.Clone(want)
	Gemm(m, a, k, b, one, n, nil, 2)
	kt.Same(t, "two threads", one, want, 1e-6, 1e-4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := make([]float32, m*n)
			for range 30 {
				clear(c)
				Gemm(m, a, k, b, c, n, nil, 2)
				if !slices.Equal(c, one) {
					t.Error("a concurrent product differs")
					return
				}
			}
		})
	}
	wg.Wait()
}
