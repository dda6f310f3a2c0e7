package ml

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestFinder holds the look-up in an array to the map, at keys, between them and outside.
func TestFinder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		keys := make([]float32, 1+rng.IntN(20))
		for i := range keys {
			keys[i] = float32(rng.IntN(60) - 30)
			if rng.IntN(80) == 0 {
				keys[i] = []float32{0.5, float32(math.NaN()), float32(math.Inf(1)), 1e30}[rng.IntN(4)]
			}
		}
		find, want := finder(keys), index(keys)
		for _, v := range append(keys, -31, 31, 0.5, -0.5, float32(math.Copysign(0, -1)), 1e30, -1e30, float32(math.Inf(-1)), float32(math.NaN())) {
			at, ok := find(v)
			if w, there := want[v]; ok != there || ok && at != w {
				t.Fatalf("%v: %v is at %d (%t), expected %d (%t)", keys, v, at, ok, w, there)
			}
		}
	}
}
