package releases

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/repository/bundle"
	"github.com/aimass/aimass/repository/store"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/logs"
)

// house is a repository, a pipeline and the releases over them.
type house struct {
	*Releases
	dir  string
	repo *repository.Repository
	pipe *pipeline.Pipeline
}

func newHouse(t testing.TB, dir string) *house {
	t.Helper()
	c, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	h := &house{dir: dir, pipe: pipeline.New(c)}
	l := logs.New(io.Discard, logs.Config{})
	if h.repo, err = repository.New(repository.Config{Dir: dir, WarmupRows: 1}, runtime.NewEngine(runtime.Config{}), nil); err != nil {
		t.Fatal(err)
	}
	h.repo.SetListener(pipeline.NewListener(h.pipe, batcher.Config{}, 2, nil))
	h.Releases = New(Config{Limits: bundle.Limits{Unpacked: 1 << 24}}, h.repo, h.pipe, l)
	if err := h.repo.LoadAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.repo.Close(context.Background()) })
	return h
}

// scale is the model y = w·x on rows of one.
func scale(t testing.TB, w float32) []byte {
	t.Helper()
	g := build.New("scale", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(1))
	g.Output(g.OpAs("y", "Mul", []string{x, g.Const("w", []float32{w}, 1)}), build.Float, build.Sym("n"), build.Size(1))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pack makes a bundle of files by their path in a model's folder, as version 1.
func pack(t testing.TB, files map[string]string) (b []byte, sha string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, "1", name)
		if name == "config.pbtxt" {
			p = filepath.Join(dir, name)
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := bundle.FromRepository(dir, "scale", 1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := s.Pack(&out); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(out.Bytes())
	return out.Bytes(), hex.EncodeToString(sum[:])
}

func whole(b []byte) store.Piece { return store.Piece{Length: int64(len(b)), Size: int64(len(b))} }

// push uploads y = w·x as a version.
func (h *house) push(t testing.TB, version int64, w float32) *Uploaded {
	t.Helper()
	b, _ := pack(t, map[string]string{"model.onnx": string(scale(t, w))})
	u, err := h.Upload(context.Background(), "scale", version, whole(b), bytes.NewReader(b), true, By{"push-" + strconv.FormatInt(version, 10)})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// ask runs y = w·1 on what is due and gives w.
func (h *house) ask(t testing.TB, version string) float32 {
	t.Helper()
	v, err := h.pipe.Resolve([]byte("scale"), []byte(version))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Done()
	c := &pipeline.Call{}
	c.In = []tensor.Tensor{*tensor.FromSlice([]float32{1}, 1, 1)}
	if err := v.Infer(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	return tensor.Data[float32](c.Out[0].(*tensor.Tensor))[0]
}

func want(t testing.TB, err error, code api.Code) {
	t.Helper()
	if api.CodeOf(err) != code {
		t.Errorf("got %q: %v, want %q", api.CodeOf(err), err, code)
	}
}
