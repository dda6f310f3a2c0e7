//go:build linux

package runtime_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/internal/race"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// status reads a line of /proc/self/status, in bytes.
func status(t *testing.T, key string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("/proc/self/status has no %s", key)
	return 0
}

// externalModel writes a model with its weights in a sparse file: a table of words, then
// layers of width×width, x·W for each. It returns its path and the size of the weights.
func externalModel(t *testing.T, words, width, layers int) (string, int) {
	t.Helper()
	dir, at := t.TempDir(), 0
	weight := func(name string, rows int) wire {
		n := 4 * rows * width
		entry := func(k string, v int) wire { return wire{}.text(1, k).text(2, strconv.Itoa(v)) }
		w := wire{}.int(1, uint64(rows)).int(1, uint64(width)).int(2, 1).text(8, name).int(14, 1).
			msg(13, wire{}.text(1, "location").text(2, "weights.bin")).msg(13, entry("offset", at)).msg(13, entry("length", n))
		at += n
		return w
	}
	g := wire{}.text(2, "big").msg(1, wire{}.text(1, "table", "ids").text(2, "h0").text(4, "Gather")).msg(5, weight("table", words))
	for k := range layers {
		w := fmt.Sprintf("w%d", k)
		g = g.msg(1, wire{}.text(1, fmt.Sprintf("h%d", k), w).text(2, fmt.Sprintf("h%d", k+1)).text(4, "MatMul")).msg(5, weight(w, width))
	}
	g = g.msg(11, port("ids", 7, 0)).msg(12, port(fmt.Sprintf("h%d", layers), 1, 0, uint64(width)))
	f, err := os.Create(filepath.Join(dir, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(at)); err != nil {
		t.Fatal(err)
	}
	// The identity in each layer and 7 in a row of the table, so that the answer tells
	// whether the weights were read.
	one := []byte{0, 0, 0x80, 0x3f}
	for k := range layers {
		for i := range width {
			if _, err := f.WriteAt(one, int64(4*(words*width+k*width*width+i*width+i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := f.WriteAt([]byte{0, 0, 0xe0, 0x40}, int64(4*((words-1)*width+width-1))); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(dir, "model.onnx")
	if err := os.WriteFile(p, wire{}.int(1, 8).msg(7, g).msg(8, wire{}.int(2, 17)), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, at
}

func serveExternal(t *testing.T, words, width, layers int) (weights, grown int, ready time.Duration) {
	t.Helper()
	p, weights := externalModel(t, words, width, layers)
	before := status(t, "RssAnon") + status(t, "RssFile")
	began := time.Now()
	m, err := runtime.NewEngine(runtime.Config{}).Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ids := tensor.FromSlice([]int64{int64(words - 1), 0}, 2)
	if err := m.Prepare([]tensor.Value{ids}); err != nil {
		t.Fatal(err)
	}
	ready = time.Since(began)
	c := &device.Call{In: []tensor.Value{ids}}
	if err := m.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	y := tensor.Data[float32](c.Out[0].(*tensor.Tensor))
	if y[width-1] != 7 || y[2*width-1] != 0 || y[0] != 0 {
		t.Errorf("got %v and %v, want 7 and 0", y[width-1], y[2*width-1])
	}
	c.Release()
	t.Logf("resident: %d MiB of the process's own, %d MiB of files", status(t, "RssAnon")>>20, status(t, "RssFile")>>20)
	return weights, status(t, "RssAnon") + status(t, "RssFile") - before, ready
}

// TestExternalModelFootprint: packed weights must not double a model's memory.
func TestExternalModelFootprint(t *testing.T) {
	if race.Enabled {
		t.Skip("NOT RUN: the race detector keeps memory of its own")
	}
	weights, grown, _ := serveExternal(t, 1000, 1024, 24)
	if grown > weights*115/100 {
		t.Errorf("%d MiB of weights take %d MiB", weights>>20, grown>>20)
	}
}

// TestBig serves 3 GB of weights.
func TestBig(t *testing.T) {
	if os.Getenv("AIMASS_BIG") != "1" {
		t.Skip("NOT RUN: 3 GB of weights (make test-big)")
	}
	weights, grown, ready := serveExternal(t, 200_000, 4096, 1)
	t.Logf("table: %d MB of weights, %d MB resident, ready in %v", weights/1e6, grown/1e6, ready)
	if grown > weights*115/100 {
		t.Errorf("a table of %d MB takes %d MB", weights/1e6, grown/1e6)
	}
	weights, grown, ready = serveExternal(t, 10_000, 4096, 43)
	t.Logf("layers: %d MB of weights, %d MB resident, peak %d MB, ready in %v", weights/1e6, grown/1e6, status(t, "VmHWM")/1e6, ready)
	if weights < 3e9 || grown > weights*115/100 {
		t.Errorf("layers of %d MB take %d MB", weights/1e6, grown/1e6)
	}
}
