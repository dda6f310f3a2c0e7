package ml

import (
	"math"
	"math/rand/v2"
	"testing"
)

// odd gives a number that is often equal to another, or none.
func odd(rng *rand.Rand) float32 {
	return []float32{-1, 0, float32(math.Copysign(0, -1)), 1, 2, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}[rng.IntN(8)]
}

// TestGreatest holds the choice of a class to its definition: the first of those spoken of that no later one
// exceeds, with a NaN that comes first kept and one that comes later passed over.
func TestGreatest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		s := &scores[float32]{make([]float32, 1+rng.IntN(6)), nil}
		all := rng.IntN(2) == 0
		want := -1
		for i := range s.v {
			s.v[i] = odd(rng)
			s.has = append(s.has, all || rng.IntN(3) > 0)
			if s.has[i] && (want < 0 || s.v[i] > s.v[want]) {
				want = i
			}
		}
		if got := s.greatest(); got != max(want, 0) {
			t.Fatalf("%v %v: class %d, expected %d", s.v, s.has, got, max(want, 0))
		}
	}
}
