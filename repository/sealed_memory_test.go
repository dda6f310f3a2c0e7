package repository

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/aimass/aimass/internal/race"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// servedMemory loads the model of a folder as a server does, and says by how many MiB the process has grown then, and by how
// many at most on the way; ok is false where the system doesn't say.
func servedMemory(t *testing.T, dir string, keys *seal.Keyring) (grown, peak float64, ok bool) {
	t.Helper()
	debug.FreeOSMemory()
	before, ok := statusMiB(t, "VmRSS:")
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil || !ok {
		return 0, 0, false // of the peak so far
	}
	engine := runtime.NewEngine(runtime.Config{})
	r, err := New(Config{Dir: dir, Keys: keys}, engine, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Load(t.Context(), "m", nil); err != nil {
		t.Fatal(err)
	}
	after, _ := statusMiB(t, "VmRSS:")
	most, _ := statusMiB(t, "VmHWM:")
	if err := errors.Join(r.Close(t.Context()), engine.Close()); err != nil {
		t.Fatal(err)
	}
	return after - before, most - before, true
}

// TestSealedMemory: once it is packed a sealed model takes the memory that it takes in the open, and hardly more on the way.
func TestSealedMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("NOT RUN: the race detector keeps memory of its own")
	}
	model, err := perceptron(1024, 32)
	if err != nil {
		t.Fatal(err)
	}
	open, closed, keys := t.TempDir(), t.TempDir(), keyring(t, "k")
	put(t, open, "m/1/model.onnx", model)
	put(t, closed, "m/1/model.onnx.sealed", sealed(t, keys, model))
	size := float64(len(model)) / (1 << 20)
	model = nil
	sealedGrown, sealedPeak, ok := servedMemory(t, closed, keys)
	plainGrown, plainPeak, _ := servedMemory(t, open, keys)
	if !ok {
		t.Skip("NOT RUN: the system doesn't say what memory is resident")
	}
	t.Logf("a model of %.0f MiB: in the open %.0f MiB resident, %.0f at most, sealed %.0f and %.0f", size, plainGrown, plainPeak, sealedGrown, sealedPeak)
	if sealedGrown > plainGrown+.1*size {
		t.Errorf("%.0f MiB sealed, %.0f in the open", sealedGrown, plainGrown)
	}
	if sealedPeak > plainPeak+.2*size {
		t.Errorf("at most %.0f MiB sealed, %.0f in the open", sealedPeak, plainPeak)
	}
}

// deep is a net of convolutions for images of any size. Those of few places have their weights packed otherwise.
func deep(t *testing.T) []byte {
	t.Helper()
	const channels, layers = 256, 4
	rng := rand.New(rand.NewPCG(5, 5))
	g := build.New("deep", 17)
	h := g.Input("x", build.Float, build.Sym("n"), build.Size(channels), build.Sym("h"), build.Sym("w"))
	for i := range layers {
		w := noise(rng, channels*channels*9)
		for k := range w {
			w[k] /= 16
		}
		h = g.Op("Conv", []string{h, g.Const("w"+string(rune('a'+i)), w, channels, channels, 3, 3)}, build.Is("pads", 1, 1, 1, 1))
	}
	g.OpAs("y", "Identity", []string{h})
	g.Output("y", build.Float, build.Sym("n"), build.Size(channels), build.Sym("h"), build.Sym("w"))
	return encode(t, g)
}

// TestSealedReadAgain: weights that were given back are read from the container where other shapes pack them anew, and a
// container that has been changed since is an error for those who need it, and nothing to all others.
func TestSealedReadAgain(t *testing.T) {
	dir, keys, model := t.TempDir(), keyring(t, "k"), deep(t)
	box := sealed(t, keys, model)
	put(t, dir, "plain/1/model.onnx", model)
	put(t, dir, "intact/1/model.onnx.sealed", box)
	put(t, dir, "damaged/1/model.onnx.sealed", box)
	r, s := open(t, dir, func(c *Config) { c.Keys = keys })
	for _, name := range []string{"plain", "intact", "damaged"} {
		if err := r.Load(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(name string, size int) ([]float32, error) {
		v, done := s.use(name + "/1")
		if v == nil {
			t.Fatal(name + " does not serve")
		}
		defer done()
		x := tensor.New(tensor.Float32, tensor.Shape{1, 256, size, size})
		for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
			d[i] = float32(i%7) - 3
		}
		c := &device.Call{In: []tensor.Value{x}}
		if err := v.Runtime.Run(context.Background(), c); err != nil {
			return nil, err
		}
		defer c.Release()
		return slices.Clone(tensor.Data[float32](c.Out[0].(*tensor.Tensor))), nil
	}
	same := func(name string, size int) {
		t.Helper()
		want, err := ask("plain", size)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ask(name, size); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, %d×%d: %v", name, size, size, err)
		}
	}
	same("intact", 8)
	same("intact", 2)
	same("damaged", 8)
	file := filepath.Join(dir, "damaged", "1", "model.onnx.sealed")
	flipped := bytes.Clone(box)
	flipped[len(box)/2] ^= 1
	if err := os.WriteFile(file, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := ask("damaged", 2); !errors.Is(err, seal.ErrForged) {
			t.Errorf("a container that was changed since: %v", err)
		}
		same("damaged", 8)
	}
	if err := os.WriteFile(file, box, 0o600); err != nil {
		t.Fatal(err)
	}
	same("damaged", 2)
}
