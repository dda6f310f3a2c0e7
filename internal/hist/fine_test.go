package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFineBuckets(t *testing.T) {
	last := -1
	for _, ns := range []int64{0, 1, 127, 128, 255, 256, 257, 1000, 65535, 65536, 1e9, 1e12, 1<<maxFine - 1} {
		i := fineIndex(ns)
		if i < last || i >= len(Fine{}.n) {
			t.Fatalf("%d ns is in bucket %d, after %d", ns, i, last)
		}
		last = i
		if v := fineValue(i); math.Abs(float64(v-ns)) > 0.005*float64(ns)+0.5 {
			t.Errorf("%d ns reads as %d", ns, v)
		}
	}
}

func TestFineQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var a, b Fine
	var all []int64
	for i := range 20000 {
		ns := int64(math.Exp(10 + 2*rng.NormFloat64()))
		all = append(all, ns)
		if i%2 == 0 {
			a.Observe(ns)
		} else {
			b.Observe(ns)
		}
	}
	a.Add(&b)
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := a.Quantile(q); math.Abs(float64(got-want)) > 0.01*float64(want) {
			t.Errorf("q %v: got %d, want %d", q, got, want)
		}
	}
	if a.Max() != all[len(all)-1] || a.Count() != 20000 {
		t.Errorf("max %d count %d", a.Max(), a.Count())
	}
	a.Reset()
	if a.Count() != 0 || a.Quantile(0.5) != 0 || a.Mean() != 0 {
		t.Error("not empty after Reset")
	}
}
