// Package kerneltest holds what the kernel rooms' tests share: guarded memory,
// awkward values and the comparison of a twin with the generic one. Only
// tests import it.
package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
)

// Guarded gives n values that end right before a page that cannot be touched,
// so that a read or write behind the end kills the test. The pages are freed
// when the test ends.
func Guarded(t testing.TB, n int) []float32 {
	t.Helper()
	page := os.Getpagesize()
	body := (4*n + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, body+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	if err := syscall.Mprotect(mem[body:], syscall.PROT_NONE); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&mem[body-4*n])), n)
}

// GuardedBytes is Guarded for bytes.
func GuardedBytes(t testing.TB, n int) []byte {
	t.Helper()
	f := Guarded(t, (n+3)/4)
	if n == 0 {
		return nil
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), 4*len(f))
	return b[len(b)-n:]
}

// Fill writes normal values from a fixed seed.
func Fill(x []float32, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// Random gives n guarded normal values.
func Random(t testing.TB, n int, seed uint64) []float32 { return Fill(Guarded(t, n), seed) }

// Specials are values that kernels get wrong.
func Specials() []float32 {
	inf := float32(math.Inf(1))
	return []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, -0.5, inf, -inf, float32(math.NaN()),
		1e-38, -1e-38, 1e-42, 88, 89, -87, -88, -104, 127.5, 1e4, -1e4, 3e38, -3e38, 1e-7, -1e-7, 0.3466, 9, -9, 20, -20, 5.5, -5.5}
}

// Same fails the test where got and want differ by more than
// atol + rtol·|want|; NaN equals NaN, an infinity only itself.
func Same(t testing.TB, what string, got, want []float32, rtol, atol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		if g == w || (math.IsNaN(g) && math.IsNaN(w)) {
			continue
		}
		if d := math.Abs(g - w); math.IsNaN(d) || math.IsInf(w, 0) || d > atol+rtol*math.Abs(w) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, g, w)
		}
	}
}

// EachISA runs f as a subtest for every level above Generic that this process
// can run, and prints which those were.
func EachISA(t *testing.T, f func(t *testing.T, level isa.Level)) {
	// The go command keys its cache of results by what a test reads while it
	// runs, and isa read this before that.
	t.Logf("AIMASS_ISA=%q %s", os.Getenv("AIMASS_ISA"), isa.Report())
	if err := isa.Check(); err != nil {
		t.Fatal(err)
	}
	for _, l := range isa.Available()[1:] {
		t.Run(l.String(), func(t *testing.T) { f(t, l) })
	}
}

// EachISABench is EachISA for benchmarks.
func EachISABench(b *testing.B, f func(b *testing.B, level isa.Level)) {
	for _, l := range isa.Available()[1:] {
		b.Run(l.String(), func(b *testing.B) { f(b, l) })
	}
}

// Best runs f for the benchmark's loop and gives the shortest single call in
// nanoseconds: on a machine that others use too, it is the figure that says
// what the kernel can do.
func Best(b *testing.B, f func()) float64 {
	best := math.Inf(1)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, float64(time.Since(start).Nanoseconds()))
	}
	b.ReportMetric(best, "best-ns")
	return best
}

// Name joins parts into a subtest's or message's name.
func Name(parts ...any) string {
	s := fmt.Sprintln(parts...)
	return s[:len(s)-1]
}
