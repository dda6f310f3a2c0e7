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

// TestTopKOfFloats holds sorting by keys to sorting by comparison, among equals, both zeros, infinities and NaN.
func TestTopKOfFloats(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	odd := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), -float32(math.NaN()), math.MaxFloat32, math.SmallestNonzeroFloat32, -1e-40}
	for round := range 400 {
		p := topPass{along{outer: 1 + rng.IntN(3), n: 1 + rng.IntN(40), inner: 1 + rng.IntN(3)}, 0, round%2 == 0}
		p.k = 1 + rng.IntN(p.n)
		x := make([]float32, p.outer*p.n*p.inner)
		for i := range x {
			if x[i] = float32(rng.NormFloat64()); rng.IntN(3) == 0 {
				x[i] = odd[rng.IntN(len(odd))]
			}
		}
		got := make([]int64, p.outer*p.k*p.inner)
		topOfFloats(p, got, x)
		for o := range p.outer {
			for in := range p.inner {
				l := lane[float32]{x[o*p.n*p.inner+in:], p.inner, p.n, p.least}
				for r, want := range l.sorted(p.k) {
					if i := got[(o*p.k+r)*p.inner+in]; i != int64(want) {
						t.Fatalf("%v: place %d of lane %d, %d is %d, expected %d", p, r, o, in, i, want)
					}
				}
			}
		}
	}
}

// TestKeySort holds each way of sorting to the library's, among equals, with keys that share bytes.
func TestKeySort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	for _, n := range []int{0, 1, 2, 30, digitKeys - 1, digitKeys, digitKeys + 1, 1000} {
		s := newKeySort(n)
		for round := range 20 {
			keys, want := make([]uint64, n), make([]uint64, n)
			for i := range keys {
				keys[i] = uint64(rng.Uint32()>>rng.IntN(25)<<(round%8))<<32 | uint64(i)
			}
			copy(want, keys)
			slices.Sort(want)
			if s.run(keys); !slices.Equal(keys, want) {
				t.Fatalf("%d keys in round %d are %x, expected %x", n, round, keys, want)
			}
		}
	}
}
