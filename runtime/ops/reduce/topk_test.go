package reduce

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTopKKept holds the search that keeps k to sorting, among equals and NaN.
func TestTopKKept(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 400 {
		step, n := 1+rng.IntN(3), 1+rng.IntN(200)
		x := make([]float32, n*step)
		for i := range x {
			x[i] = float32(rng.IntN(1 + round))
			if rng.IntN(15) == 0 {
				x[i] = float32(math.NaN())
			}
		}
		l := lane[float32]{x, step, n, round%2 == 0}
		k := 1 + rng.IntN(n)
		if got, want := l.kept(k), l.sorted(k); !slices.Equal(got, want) {
			t.Fatalf("%v, the first %d are %v, expected %v", l, k, got, want)
		}
	}
}
