package nn

import "testing"

// The first and the thousandth value of numpy.random.RandomState(0).uniform,
// and the generator's published first output.
func TestTwister(t *testing.T) {
	if got := newTwister(5489).uint32(); got != 3499211612 {
		t.Errorf("first output of the standard seed: got %d", got)
	}
	r := newTwister(0)
	want := map[int]float64{0: 0.5488135039273248, 999: 0.6771411441114241}
	for i := range 1000 {
		got := r.float64()
		if w, ok := want[i]; ok && got != w {
			t.Errorf("value %d of seed 0: got %v, want %v", i, got, w)
		}
	}
}
