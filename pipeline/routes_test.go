package pipeline

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

// TestShare: of any n requests in a row the right number is taken but for two, also when
// they come at once.
func TestShare(t *testing.T) {
	for _, part := range []float64{0.01, 0.05, 0.25, 0.5, 0.9, 1} {
		s := newShare(part)
		const n = 100000
		took := make([]int, n+1)
		for i := range n {
			took[i+1] = took[i]
			if s.take() {
				took[i+1]++
			}
		}
		for _, width := range []int{10, 100, 1000, n} {
			for from := 0; from+width <= n; from += 1 + width/7 {
				if d := math.Abs(float64(took[from+width]-took[from]) - part*float64(width)); d > 2 {
					t.Fatalf("share %v: of %d requests from the %dth on %d were taken", part, width, from, took[from+width]-took[from])
				}
			}
		}
	}
	s := newShare(0.25)
	var all atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if s.take() {
					all.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := all.Load(); n < 1998 || n > 2002 {
		t.Errorf("%d of 8000", n)
	}
}

// TestShareByKey: keys stay where they are while the share does, those that the canary has stay
// with it as it grows, shares are as large as they say, and canaries differ.
func TestShareByKey(t *testing.T) {
	canary := func(n string) *Served { return &Served{Spec: Spec{Model: "m"}, VersionText: n} }
	const keys = 20000
	held := func(version string, part float64) map[int]bool {
		m := &model{routes: routes{stable: canary("1"), canary: canary(version), share: newShare(part)}}
		out := map[int]bool{}
		for i := range keys {
			key := "user-" + strconv.Itoa(i)
			if m.unversioned(true, key) == m.canary {
				out[i] = true
			}
			if again := m.unversioned(true, key) == m.canary; again != out[i] {
				t.Fatalf("key %s moved", key)
			}
		}
		return out
	}
	before := map[int]bool{}
	for _, part := range []float64{0.01, 0.05, 0.25, 0.5, 0.9, 1} {
		now := held("2", part)
		if want := part * keys; math.Abs(float64(len(now))-want) > 5*math.Sqrt(want*(1-part))+1 {
			t.Errorf("share %v has %d of %d keys", part, len(now), keys)
		}
		for k := range before {
			if !now[k] {
				t.Fatalf("key %d left the canary as its share grew to %v", k, part)
			}
		}
		before = now
	}
	a, b, both := held("2", 0.1), held("3", 0.1), 0
	for k := range a {
		if b[k] {
			both++
		}
	}
	if both > len(a)/4 {
		t.Errorf("%d of %d keys are first in two canaries", both, len(a))
	}
}

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f32 := func(v ...float32) *tensor.Tensor { return tensor.FromSlice(v, len(v)) }
	f := func(what string, a, b *tensor.Tensor, values, beyond int, largest float64) {
		t.Helper()
		v, n, most := Compare(a, b, 1e-3)
		if v != values || n != beyond || math.Abs(most-largest) > 1e-7 {
			t.Errorf("%s: %d values, %d beyond, largest %v", what, v, n, most)
		}
	}
	f("equal", f32(1, nan, inf), f32(1, nan, inf), 3, 0, 0)
	f("within", f32(1000), f32(1000.5), 1, 0, 0.5)
	f("beyond", f32(1, 2, 3), f32(1, 2.5, 3), 3, 1, 0.5)
	f("near zero", f32(0), f32(1e-7), 1, 0, 1e-7)
	f("not a number", f32(1), f32(nan), 1, 1, 0)
	f("infinite", f32(1), f32(inf), 1, 1, 0)
	f("another length", f32(1, 2), f32(1), 2, 2, 0)
	f("another type", f32(1), tensor.FromSlice([]int64{1}, 1), 1, 1, 0)
	f("integers", tensor.FromSlice([]int64{1, 5000}, 2), tensor.FromSlice([]int64{1, 5001}, 2), 2, 0, 1)
	f("text", tensor.FromStrings([]string{"a", "b"}, 2), tensor.FromStrings([]string{"a", "c"}, 2), 2, 1, 0)
	f("nothing", f32(), f32(), 0, 0, 0)
}
