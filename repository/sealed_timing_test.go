package repository

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestSealedLoadTiming compares the load of a sealed model with that of the same model in the
// open: each pair right after the other, the order changing, from a warm page cache and into memory that is there. What is
// timed is what a server does until the version is READY, its warm-up included, and beside it the
// opening and packing alone; and the memory of both is measured. make bench-sealed runs it.
func TestSealedLoadTiming(t *testing.T) {
	if os.Getenv("AIMASS_SEALED_BENCH") == "" {
		t.Skip("a measurement: make bench-sealed")
	}
	line, err := seal.NewKey("k")
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keyFile, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.LoadKeyring("file:" + keyFile)
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]tensor.Shape{"input_ids": {1, 16}, "attention_mask": {1, 16}, "token_type_ids": {1, 16}, "x": {1, 4096}, "input": {1, 3, 224, 224}}
	for _, m := range []struct {
		name string
		file func() ([]byte, error)
	}{
		{"MiniLM", func() ([]byte, error) { return os.ReadFile("../build/zoo/all-minilm-l6-v2/model.onnx") }},
		{"MiniLM int8", func() ([]byte, error) { return os.ReadFile("../build/zoo/all-minilm-l6-v2-int8/model.onnx") }},
		{"ResNet-50", func() ([]byte, error) { return os.ReadFile("../build/bench-models/resnet50.onnx") }},
		{"perceptron, 1 GB", func() ([]byte, error) { return perceptron(4096, 16) }},
	} {
		t.Run(m.name, func(t *testing.T) {
			b, err := m.file()
			if err != nil {
				t.Skipf("NOT RUN: %v", err)
			}
			plain, sealed := t.TempDir(), t.TempDir()
			box, err := keys.Seal(b)
			if err != nil {
				t.Fatal(err)
			}
			for path, content := range map[string][]byte{filepath.Join(plain, "m", "1", "model.onnx"): b, filepath.Join(sealed, "m", "1", "model.onnx"+seal.Suffix): box} {
				err := os.MkdirAll(filepath.Dir(path), 0o755)
				if err == nil {
					err = writeSynced(path, content)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			size := len(b)
			b, box = nil, nil
			debug.FreeOSMemory() // or gigabytes would go back while loads are timed
			folders := [2]string{plain, sealed}
			compareTimes(fmt.Sprintf("%s, %.0f MB, until READY", m.name, float64(size)/1e6), size, func(which int) time.Duration { return serveOnce(t, folders[which], keys) })
			for which, form := range []string{"plain", "sealed"} {
				if grown, peak, ok := servedMemory(t, folders[which], keys); ok {
					fmt.Printf("  %-6s %.0f MiB resident when READY, %.0f at most until then\n", form, grown, peak)
				}
			}
			compareTimes("  opened and packed", size, func(which int) time.Duration {
				return loadOnce(t, filepath.Join(folders[which], "m", "1"), keys, shapes)
			})
		})
	}
}

// writeSynced writes a file through to the disk, so that nothing is left to write while loads are timed.
func writeSynced(path string, content []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// warmMemory has the memory that loads of a model of size bytes take be there: of a virtual machine, memory that was
// free for seconds may have gone back to its host, and costs seconds a gigabyte, to whichever load comes first.
func warmMemory(size int) {
	const page = 4096
	b := make([]byte, 3*size)
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	goruntime.KeepAlive(b)
	debug.FreeOSMemory()
}

// compareTimes prints the medians of both and of their ratios.
func compareTimes(what string, size int, time1 func(which int) time.Duration) {
	const rounds = 15
	var times [2][]time.Duration
	var ratios []float64
	for i := range rounds {
		var took [2]time.Duration
		for k := range 2 {
			which := (i + k) % 2
			warmMemory(size)
			took[which] = time1(which)
			times[which] = append(times[which], took[which])
		}
		ratios = append(ratios, float64(took[1])/float64(took[0]))
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	slices.Sort(ratios)
	show := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }
	fmt.Printf("%-44s plain %s ms (best %s), sealed %s (%s), median ratio %.3f (goal 1.10 until READY), quartiles %.3f to %.3f, of the best %.3f\n", what, show(times[0][rounds/2]), show(times[0][0]), show(times[1][rounds/2]), show(times[1][0]),
		ratios[rounds/2], ratios[rounds/4], ratios[3*rounds/4], float64(times[1][0])/float64(times[0][0]))
}

// serveOnce loads a folder's model as a server does.
func serveOnce(t *testing.T, dir string, keys *seal.Keyring) time.Duration {
	t.Helper()
	engine := runtime.NewEngine(runtime.Config{})
	r, err := New(Config{Dir: dir, Keys: keys}, engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := r.Load(t.Context(), "m", nil); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if err := errors.Join(r.Close(t.Context()), engine.Close()); err != nil {
		t.Fatal(err)
	}
	return took
}

// loadOnce loads a model from a folder and runs it once.
func loadOnce(t *testing.T, dir string, keys *seal.Keyring, shapes map[string]tensor.Shape) time.Duration {
	t.Helper()
	engine := runtime.NewEngine(runtime.Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	began := time.Now()
	m, err := opener{engine: engine, keys: keys}.open(dir, "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	var in []tensor.Value
	for _, p := range m.Inputs {
		v, err := feed.Random(rng, p.Name, p.Type, shapes[p.Name])
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, v)
	}
	if err := errors.Join(m.Prepare(in), m.Verify()); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	return took
}

func noise(rng *rand.Rand, n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = rng.Float32() - .5
	}
	return w
}

// perceptron has layers of a size by size.
func perceptron(size int64, layers int) ([]byte, error) {
	rng := rand.New(rand.NewPCG(3, 3))
	g := build.New("perceptron", 17)
	h := g.Input("x", build.Float, build.Sym("n"), build.Size(size))
	for i := range layers {
		h = g.Op("Relu", []string{g.Op("MatMul", []string{h, g.Const(fmt.Sprintf("w%d", i), noise(rng, int(size*size)), size, size)})})
	}
	g.OpAs("y", "Identity", []string{h})
	g.Output("y", build.Float, build.Sym("n"), build.Size(size))
	return g.Encode()
}
