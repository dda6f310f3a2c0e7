package form

import (
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

func TestSumRounded(t *testing.T) {
	ones := make([]float32, 1024)
	for i := range ones {
		ones[i] = 1
	}
	for _, d := range []tensor.DType{tensor.BFloat16, tensor.Float16, tensor.Float32} {
		for _, n := range []int{0, 1, 8, 9, 256, 257, 1024} {
			if got, want := SumRounded(d, ones[:n]), Rounder(d)(float64(n)); got != want {
				t.Errorf("%v: %d ones give %v, want %v", d, n, got, want)
			}
		}
	}
	// In bfloat16 1 + 2⁻⁸ rounds to 1 (to even), so a short sum stays there.
	small := float32(math.Ldexp(1, -8))
	if got := SumRounded(tensor.BFloat16, []float32{1, small, small}); got != 1 {
		t.Errorf("a short bfloat16 sum is %v, want it rounded after each term: 1", got)
	}
	if got, want := SumRounded(tensor.Float16, []float32{1, 1. / 2048, 1. / 2048}), 1+1./1024; got != want {
		t.Errorf("a float16 sum is %v, want it rounded once: %v", got, want)
	}
}
