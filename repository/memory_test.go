package repository

import (
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/aimass/aimass/internal/race"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// residentMiB is the process's resident memory; ok is false where the system doesn't say.
func residentMiB(t *testing.T) (mib float64, ok bool) {
	t.Helper()
	return statusMiB(t, "VmRSS:")
}

// statusMiB is a line of what Linux says of the process's memory.
func statusMiB(t *testing.T, key string) (mib float64, ok bool) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, found := strings.CutPrefix(line, key); found {
			var kib float64
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
			return kib / 1024, true
		}
	}
	return 0, false
}

// TestCyclesKeepNoMemory loads, asks and unloads again and again: after the first cycles
// neither the heap nor the resident memory grows, and an unload gives the weights back.
func TestCyclesKeepNoMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("NOT RUN: the race detector keeps memory of its own")
	}
	const weights = 24 << 20 // above what is read instead of mapped
	dir := t.TempDir()
	put(t, dir, "small/1/model.onnx", addModel(t, 1))
	g := build.New("large", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(2))
	w := make([]float32, weights/4)
	for i := range w {
		w[i] = 1
	}
	g.Output(g.Op("Add", []string{x, g.Op("ReduceMax", []string{g.Op("MatMul", []string{x, g.Const("w", w, 2, weights/8)})}, build.Is("axes", 1))}), build.Float, build.Sym("n"), build.Size(2))
	put(t, dir, "large/1/model.onnx", encode(t, g))
	g, w = nil, nil
	r, s := open(t, dir, func(c *Config) { c.WarmupRows = 1 })
	cycle := func(name string, then func()) {
		if err := r.Load(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
		if s.answer(t, name+"/1") == 0 {
			t.Fatal("no answer")
		}
		then()
		if err := r.Unload(t.Context(), name, false); err != nil {
			t.Fatal(err)
		}
		clear(s.all)
	}
	heap := func() uint64 {
		debug.FreeOSMemory()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range 50 {
		cycle("small", func() {})
	}
	// Both measures jitter with the process's other threads and pools; what is lost with
	// every cycle shows in each round, so one round without growth is the proof.
	threads := goruntime.NumGoroutine()
	var grown []string
	for range 3 {
		before := heap()
		rss, known := residentMiB(t)
		for range 950 {
			cycle("small", func() {})
		}
		after := heap()
		now, _ := residentMiB(t)
		t.Logf("950 cycles: heap %+d bytes, resident memory %.1f to %.1f MiB", int64(after-before), rss, now)
		if after <= before+1<<19 && (!known || now <= rss+5) {
			grown = nil
			break
		}
		grown = append(grown, fmt.Sprintf("%+d bytes of heap, %+.1f MiB resident", int64(after-before), now-rss))
	}
	if grown != nil {
		t.Errorf("each round of 950 cycles left memory behind: %s", strings.Join(grown, "; "))
	}
	if n := goruntime.NumGoroutine(); n > threads+2 {
		t.Errorf("%d goroutines, there were %d", n, threads)
	}

	loaded, known := 0.0, false
	cycle("large", func() { heap(); loaded, known = residentMiB(t) })
	heap()
	gone, _ := residentMiB(t)
	t.Logf("resident: %.1f MiB with the large model, %.1f after it went", loaded, gone)
	if returned := loaded - gone; known && returned < 0.95*weights/(1<<20) {
		t.Errorf("unloading %d MiB of weights gave %.1f MiB back", weights>>20, returned)
	}
}
