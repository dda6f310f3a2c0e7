package hist

import "testing"

func TestBucketsAreOrdered(t *testing.T) {
	for i := 1; i < count; i++ {
		if bound(i) <= bound(i-1) {
			t.Fatalf("bucket %d ends at %d, the one before at %d", i, bound(i), bound(i-1))
		}
	}
	for _, ns := range []int64{0, 1023, 1024, 1279, 1280, 5000, 1e6, 123456789, 1e12} {
		i := index(ns)
		if i < count-1 && ns >= bound(i) || i > 0 && ns < bound(i-1) {
			t.Errorf("%d ns went to bucket %d, which ends at %d", ns, i, bound(i))
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	for i := range 1000 {
		h.Observe(int64(i+1) * 10000)
	}
	f := func(q float64, want int64) {
		t.Helper()
		if got := h.Quantile(q); got < want || got > want+want/4 {
			t.Errorf("q %v: got %d, want %d to %d", q, got, want, want+want/4)
		}
	}
	f(0.5, 5000000)
	f(0.99, 9900000)
	if n, sum, below := h.Snapshot([]int64{5000000}); n != 1000 || sum != 5005000000 || below[0] < 400 || below[0] > 600 {
		t.Errorf("snapshot %d %d %v", n, sum, below)
	}
}
