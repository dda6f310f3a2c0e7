package isa

import "testing"

func TestChoose(t *testing.T) {
	full := Features{Level: AVX512, VNNI: true, BF16: true}
	f := func(best Features, name string, want Features, fails bool) {
		t.Helper()
		got, err := choose(best, name)
		if got != want || (err != nil) != fails {
			t.Fatalf("choose(%v, %q) = %v, %v", best, name, got, err)
		}
	}
	f(full, "", full, false)
	f(full, "avx512", full, false)
	f(full, "AVX2", Features{Level: AVX2}, false)
	f(full, "generic", Features{}, false)
	f(Features{Level: AVX2}, "avx512", Features{Level: AVX2}, true)
	f(Features{}, "avx2", Features{}, true)
	f(full, "sse9", full, true)
}

func TestReport(t *testing.T) {
	t.Log(Report())
	av := Available()
	if av[0] != Generic || av[len(av)-1] != Current().Level {
		t.Fatalf("Available() = %v", av)
	}
}

func TestPeak(t *testing.T) {
	for _, l := range Available() {
		if p := PeakGFLOPS(l); (p > 1) != (l > Generic) {
			t.Fatalf("%v: %g GFLOP/s", l, p)
		}
	}
}
