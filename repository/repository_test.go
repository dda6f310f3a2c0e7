package repository

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// addModel is y = x + w on rows of two, rows independent.
func addModel(t tester, w float32) []byte {
	t.Helper()
	g := build.New("add", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(2))
	g.Output(g.OpAs("y", "Add", []string{x, g.Const("w", []float32{w, w}, 2)}), build.Float, build.Sym("n"), build.Size(2))
	return encode(t, g)
}

// sumModel mixes rows: y is the sum over axis 0.
func sumModel(t tester) []byte {
	t.Helper()
	g := build.New("sum", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(2))
	axes := g.Const("axes", []int64{0}, 1)
	g.Output(g.OpAs("y", "ReduceSum", []string{x, axes}), build.Float, build.Size(1), build.Size(2))
	return encode(t, g)
}

func encode(t tester, g *build.Graph) []byte {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put writes a file below dir.
func put(t tester, dir, name string, b []byte) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// served is a listener that holds versions as pipeline does, and checks the order of
// what it is told.
type served struct {
	mu     sync.Mutex
	byName map[string]*held
	all    map[*Version]*held
	refuse error
	wrong  []string
	// releases are what was decided last, by model.
	releases map[string]*release.State
}

type held struct {
	v    *Version
	uses sync.WaitGroup
	gone bool
}

func newServed() *served { return &served{byName: map[string]*held{}, all: map[*Version]*held{}} }

func slotName(v *Version) string { return fmt.Sprintf("%s/%d", v.Model, v.Number) }

func (s *served) Ready(v *Version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	if s.all[v] != nil {
		s.wrong = append(s.wrong, "ready twice: "+slotName(v))
	}
	h := &held{v: v}
	s.all[v], s.byName[slotName(v)] = h, h
	return nil
}

func (s *served) Release(model string, state *release.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.releases == nil {
		s.releases = map[string]*release.State{}
	}
	s.releases[model] = state
}

func (s *served) Gone(v *Version) {
	s.mu.Lock()
	h := s.all[v]
	if h == nil || h.gone {
		s.wrong = append(s.wrong, "gone without ready, or twice: "+slotName(v))
		s.mu.Unlock()
		return
	}
	h.gone = true
	if s.byName[slotName(v)] == h {
		delete(s.byName, slotName(v))
	}
	s.mu.Unlock()
	h.uses.Wait()
}

// use holds a version as a request does; nil if it isn't served.
func (s *served) use(name string) (*Version, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.byName[name]
	if h == nil {
		return nil, nil
	}
	h.uses.Add(1)
	return h.v, h.uses.Done
}

// answer runs the version that serves on {1, 1}; 0 if none does.
func (s *served) answer(t tester, name string) float32 {
	t.Helper()
	v, done := s.use(name)
	if v == nil {
		return 0
	}
	defer done()
	return ask(t, v)
}

func ask(t tester, v *Version) float32 {
	t.Helper()
	c := &device.Call{In: []tensor.Value{tensor.FromSlice([]float32{1, 1}, 1, 2)}}
	if err := v.Runtime.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	return tensor.Data[float32](c.Out[0].(*tensor.Tensor))[0]
}

// open makes a repository over dir with a listener, and closes it after the test.
func open(t testing.TB, dir string, change func(*Config)) (*Repository, *served) {
	t.Helper()
	r, s := openFor(t, dir, change)
	t.Cleanup(func() { s.close(t, r) })
	return r, s
}

func openFor(t tester, dir string, change func(*Config)) (*Repository, *served) {
	t.Helper()
	cfg := Config{Dir: dir, WarmupRows: 2}
	if change != nil {
		change(&cfg)
	}
	e := runtime.NewEngine(runtime.Config{Natives: natives()})
	r, err := New(cfg, e, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := newServed()
	r.SetListener(s)
	return r, s
}

// close closes a repository and checks what its listener was told.
func (s *served) close(t tester, r *Repository) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, w := range s.wrong {
		t.Errorf("%s", w)
	}
	for v, h := range s.all {
		if !h.gone {
			t.Errorf("%s was never gone", slotName(v))
		}
	}
}

// plus is a native model: y = x + its parameter.
type plus struct{ by float32 }

func (p plus) Inputs() []native.Port {
	return []native.Port{native.Tensor("x", tensor.Float32, -1, 2)}
}
func (p plus) Outputs() []native.Port {
	return []native.Port{native.Tensor("y", tensor.Float32, -1, 2)}
}
func (p plus) Rowwise() bool { return true }
func (p plus) Sample(rows int) []tensor.Value {
	return []tensor.Value{tensor.New(tensor.Float32, tensor.Shape{rows, 2})}
}
func (p plus) Run(_ context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	x := in[0].(*tensor.Tensor)
	y, err := alloc(tensor.Float32, x.Shape)
	if err != nil {
		return nil, err
	}
	for i, v := range tensor.Data[float32](x) {
		tensor.Data[float32](y)[i] = v + p.by
	}
	return []tensor.Value{y}, nil
}

func natives() []native.Entry {
	return []native.Entry{{Name: "plus", New: func(from native.Source) (native.Model, error) {
		by := float32(0)
		for k, v := range from.Params {
			if k != "by" {
				return nil, fmt.Errorf("parameter %q is unknown", k)
			}
			if _, err := fmt.Sscan(v, &by); err != nil {
				return nil, fmt.Errorf("parameter by: got %q, expected a number", v)
			}
		}
		return plus{by}, nil
	}}}
}

func index(r *Repository) string {
	var b strings.Builder
	for _, e := range r.Index() {
		fmt.Fprintf(&b, "%s/%d %v;", e.Name, e.Version, e.State)
	}
	return b.String()
}

func wantIndex(t *testing.T, r *Repository, want string) {
	t.Helper()
	if got := index(r); got != want {
		t.Errorf("index %q, want %q", got, want)
	}
}

func TestLoadAll(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "good/1/model.onnx", addModel(t, 1))
	put(t, dir, "good/2/model.onnx", addModel(t, 2))
	put(t, dir, "good/10/model.onnx.part", nil) // being written
	put(t, dir, "good/.tmp-3/model.onnx", addModel(t, 3))
	put(t, dir, "good/04/model.onnx", addModel(t, 4))
	put(t, dir, "bad/1/model.onnx", []byte("nonsense"))
	put(t, dir, "empty/1/readme.txt", nil)
	put(t, dir, "lost+found/1/model.onnx", addModel(t, 1))
	put(t, dir, "no-model/readme.txt", nil)
	put(t, dir, ".hidden/1/model.onnx", addModel(t, 1))
	put(t, dir, "all/config.pbtxt", []byte("version_policy { all {} }"))
	put(t, dir, "all/1/model.onnx", addModel(t, 1))
	put(t, dir, "all/3/model.onnx", addModel(t, 3))
	put(t, dir, "native/config.pbtxt", []byte("backend: \"native\"\nparameters { key: \"model\" value { string_value: \"plus\" } }\nparameters { key: \"by\" value { string_value: \"7\" } }"))
	r, s := open(t, dir, nil)
	if err := r.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIndex(t, r, "all/1 READY;all/3 READY;bad/1 UNAVAILABLE;empty/0 UNAVAILABLE;good/2 READY;native/1 READY;")
	for name, want := range map[string]float32{"good/2": 3, "all/1": 2, "all/3": 4, "native/1": 8, "good/1": 0} {
		if got := s.answer(t, name); got != want {
			t.Errorf("%s answers %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"bad", "empty"} {
		if st, reason := r.State(name, 0); st != Unavailable || reason == "" || strings.Contains(reason, dir) {
			t.Errorf("%s: %v %q", name, st, reason)
		}
	}
	if v := r.Serving("all", 0); v == nil || v.Number != 3 {
		t.Errorf("the newest of all is %v", v)
	}
	if v := r.Serving("native", 1); !v.Config.Batched || v.Config.MaxBatch != 4096 {
		t.Errorf("the native model: %+v", v.Config)
	}
	if st, _ := r.State("good", 1); st != Unknown {
		t.Errorf("a version that the policy leaves out is %v", st)
	}
}

// TestFailedReload: what fails leaves what served.
func TestFailedReload(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "m/1/model.onnx", addModel(t, 1))
	r, s := open(t, dir, nil)
	load := func() error { return r.Load(t.Context(), "m", nil) }
	if err := load(); err != nil {
		t.Fatal(err)
	}
	first := r.Serving("m", 1)
	if err := load(); err != nil || r.Serving("m", 1) != first {
		t.Errorf("an unchanged model was loaded again: %v", err)
	}
	put(t, dir, "m/1/model.onnx", []byte{1, 2, 3})
	if err := load(); err == nil || r.Serving("m", 1) != first || s.answer(t, "m/1") != 2 {
		t.Errorf("after a bad file: %v", err)
	}
	if e := r.Index()[0]; e.State != Ready || !strings.Contains(e.Reason, "model.onnx") {
		t.Errorf("the index says %+v", e)
	}
	put(t, dir, "m/2/model.onnx", []byte{1, 2, 3})
	if err := load(); err == nil || s.answer(t, "m/1") != 2 {
		t.Errorf("after a bad new version: %v", err)
	}
	wantIndex(t, r, "m/1 READY;m/2 UNAVAILABLE;")
	put(t, dir, "m/config.pbtxt", []byte("max_batch_size: x"))
	if err := load(); api.CodeOf(err) != api.CodeConfigInvalid || s.answer(t, "m/1") != 2 {
		t.Errorf("after a bad configuration: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "m/config.pbtxt")); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "m/2/model.onnx", addModel(t, 9))
	s.refuse = api.Errorf(api.CodeConfigInvalid, "the pipeline says no")
	if err := load(); api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), "says no") || s.answer(t, "m/1") != 2 {
		t.Errorf("after a refusal by the listener: %v", err)
	}
	s.refuse = nil
	if err := load(); err != nil || s.answer(t, "m/2") != 10 || s.answer(t, "m/1") != 0 {
		t.Errorf("after a good version: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "m")); err != nil {
		t.Fatal(err)
	}
	if err := load(); api.CodeOf(err) != api.CodeModelNotFound || s.answer(t, "m/2") != 10 {
		t.Errorf("after the folder went: %v", err)
	}
}

// TestUnloadWaits for the requests in flight; the model is closed after them.
func TestUnloadWaits(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "m/1/model.onnx", addModel(t, 1))
	r, s := open(t, dir, nil)
	if err := r.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, done := s.use("m/1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := r.Unload(ctx, "m", false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("unload with a request in flight: %v", err)
	}
	wantIndex(t, r, "m/1 UNLOADING;")
	if got := ask(t, v); got != 2 {
		t.Errorf("the request in flight got %v", got)
	}
	// A new load does not wait for the old version's requests.
	if err := r.Load(t.Context(), "m", nil); err != nil || s.answer(t, "m/1") != 2 {
		t.Errorf("load while draining: %v", err)
	}
	done()
	if err := r.Unload(t.Context(), "m", true); err != nil {
		t.Error(err)
	}
	wantIndex(t, r, "m/1 UNAVAILABLE;")
	if st, reason := r.State("m", 1); st != Unavailable || reason != "unloaded" {
		t.Errorf("%v %q", st, reason)
	}
	if err := r.Unload(t.Context(), "m", false); err != nil {
		t.Errorf("a second unload: %v", err)
	}
	for name, want := range map[string]api.Code{"none": api.CodeModelNotFound, "../m": api.CodeModelNameInvalid, "": api.CodeModelNameInvalid, ".m": api.CodeModelNameInvalid, "a/b": api.CodeModelNameInvalid} {
		if err := r.Unload(t.Context(), name, false); api.CodeOf(err) != want {
			t.Errorf("unload %q: %v", name, err)
		}
		if err := r.Load(t.Context(), name, nil); api.CodeOf(err) != want {
			t.Errorf("load %q: %v", name, err)
		}
	}
	wantIndex(t, r, "m/1 UNAVAILABLE;") // names asked for leave nothing behind
}

func TestOverride(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "m/1/model.onnx", addModel(t, 1))
	put(t, dir, "m/2/model.onnx", addModel(t, 2))
	r, s := open(t, dir, nil)
	load := func(o *Override) error { return r.Load(t.Context(), "m", o) }
	if err := load(&Override{Config: []byte(`{"version_policy":{"specific":{"versions":[1]}},"max_batch_size":3}`)}); err != nil {
		t.Fatal(err)
	}
	wantIndex(t, r, "m/1 READY;")
	if c := r.Serving("m", 1).Config; c.MaxBatch != 3 {
		t.Errorf("max batch %d", c.MaxBatch)
	}
	files := &Override{Config: []byte("{}"), Files: map[string][]byte{"7/model.onnx": addModel(t, 7)}}
	if err := load(files); err != nil || s.answer(t, "m/7") != 8 || s.answer(t, "m/1") != 0 {
		t.Errorf("with files: %v", err)
	}
	// Files may bring a model that the folder does not have.
	if err := r.Load(t.Context(), "new", files); err != nil || s.answer(t, "new/7") != 8 {
		t.Errorf("a model of files alone: %v", err)
	}
	for _, o := range []*Override{
		{Files: files.Files},
		{Config: []byte("{}"), Files: map[string][]byte{"../m/1/model.onnx": nil}},
		{Config: []byte("{}"), Files: map[string][]byte{"/1/model.onnx": nil}},
	} {
		if err := load(o); api.CodeOf(err) != api.CodeParameterInvalid || s.answer(t, "m/7") != 8 {
			t.Errorf("%v: %v", o.Files, err)
		}
	}
	if err := load(&Override{Config: []byte("{")}); api.CodeOf(err) != api.CodeConfigInvalid {
		t.Error(err)
	}
	if err := load(nil); err != nil || s.answer(t, "m/2") != 3 || s.answer(t, "m/7") != 0 {
		t.Errorf("back to the folder: %v", err)
	}
}

// TestBadModels: each kind of bad file has its code, and no text tells where it lies.
func TestBadModels(t *testing.T) {
	good := addModel(t, 1)
	unknown := build.New("g", 17)
	unknown.Opsets["com.example"] = 1
	unknown.Add(build.Node{Name: "n1", Domain: "com.example", Op: "Frobnicate", Inputs: []string{unknown.Input("x", build.Float, build.Sym("n"))}, Outputs: []string{"y"}})
	unknown.Output("y", build.Float, build.Sym("n"))
	swap := func(from, to string) []byte {
		if !strings.Contains(string(good), from) || len(from) != len(to) {
			t.Fatalf("%q is not in the model", from)
		}
		return []byte(strings.ReplaceAll(string(good), from, to))
	}
	cases := []struct {
		name  string
		model []byte
		code  api.Code
		text  string
	}{
		{"empty", nil, api.CodeModelTruncated, "empty"},
		{"truncated", good[:len(good)/2], api.CodeModelTruncated, "truncated"},
		{"garbage", []byte("this is no model at all"), api.CodeModelInvalid, "malformed"},
		{"operator", encode(t, unknown), api.CodeUnsupportedOperator, "node n1: operator Frobnicate of domain com.example (opset 1) is not supported (supported are"},
		{"weights", swap("\x08\x02\x10\x01", "\x08\x03\x10\x01"), api.CodeModelWeightsMismatch, "float32[3] takes 12 bytes of raw data, the file has 8"},
		{"cycle", swap("\x0a\x01x\x0a\x01w\x12\x01y", "\x0a\x01y\x0a\x01w\x12\x01y"), api.CodeModelCyclic, "cycle"},
	}
	dir := t.TempDir()
	r, _ := open(t, dir, nil)
	for _, c := range cases {
		put(t, dir, c.name+"/1/model.onnx", c.model)
		err := r.Load(t.Context(), c.name, nil)
		text := api.Message(err)
		if api.CodeOf(err) != c.code || !strings.Contains(text, c.text) || !strings.HasPrefix(text, "failed to load '"+c.name+"' version 1: 1/model.onnx: ") || strings.Contains(text, dir) {
			t.Errorf("%s: %s, %s", c.name, api.CodeOf(err), text)
		}
		if st, reason := r.State(c.name, 1); st != Unavailable || reason != text {
			t.Errorf("%s: the index says %v %q", c.name, st, reason)
		}
	}
	if os.Getuid() != 0 {
		put(t, dir, "locked/1/model.onnx", good)
		if err := os.Chmod(filepath.Join(dir, "locked/1/model.onnx"), 0); err != nil {
			t.Fatal(err)
		}
		err := r.Load(t.Context(), "locked", nil)
		if api.CodeOf(err) != api.CodeLoadFailed || strings.Contains(api.Message(err), dir) || !strings.Contains(err.Error(), dir) {
			t.Errorf("unreadable: %v", err)
		}
	}
}

// slowReady lets a test look while a load is under way.
type slowReady struct {
	*served
	begun, goOn chan struct{}
}

func (s *slowReady) Ready(v *Version) error {
	s.begun <- struct{}{}
	<-s.goOn
	return s.served.Ready(v)
}

// TestLoadingIsTold: while LoadAll works, every model that it will load is LOADING.
func TestLoadingIsTold(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a/1/model.onnx", addModel(t, 1))
	put(t, dir, "b/1/model.onnx", addModel(t, 2))
	r, s := open(t, dir, func(c *Config) { c.LoadParallel = 1 })
	slow := &slowReady{s, make(chan struct{}), make(chan struct{})}
	r.SetListener(slow)
	done := make(chan error)
	go func() { done <- r.LoadAll(context.Background()) }()
	<-slow.begun
	wantIndex(t, r, "a/1 LOADING;b/0 LOADING;")
	if st, _ := r.State("b", 0); st != Loading {
		t.Errorf("b is %v", st)
	}
	slow.goOn <- struct{}{}
	<-slow.begun
	wantIndex(t, r, "a/1 READY;b/1 LOADING;")
	slow.goOn <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Load(t.Context(), "a", nil); api.CodeOf(err) != api.CodeShuttingDown {
		t.Errorf("a load after Close: %v", err)
	}
}

// TestStrict: unknown fields are errors where the operator wants it.
func TestStrict(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "m/1/model.onnx", addModel(t, 1))
	put(t, dir, "m/config.pbtxt", []byte("name: \"m\"\nmax_bach_size: 8\n"))
	for _, strict := range []bool{false, true} {
		r, _ := open(t, dir, func(c *Config) { c.StrictConfig = strict })
		err := r.Load(t.Context(), "m", nil)
		if strict != (err != nil) || strict && (api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), "config.pbtxt line 2: max_bach_size: there is no such field")) {
			t.Errorf("strict %v: %v", strict, err)
		}
	}
}

// TestNativeConfigs: how a configuration names Go code, and what it gets wrong.
func TestNativeConfigs(t *testing.T) {
	dir := t.TempDir()
	r, s := open(t, dir, nil)
	load := func(name, text string) error {
		put(t, dir, name+"/config.pbtxt", []byte(text))
		return r.Load(t.Context(), name, nil)
	}
	if err := load("plus", `backend: "native"`); err != nil || s.answer(t, "plus/1") != 1 {
		t.Errorf("by the folder's name: %v", err)
	}
	if err := load("m", "platform: \"native\" default_model_filename: \"plus\" parameters { key: \"reject_nan\" value { string_value: \"true\" } }"); err != nil || s.answer(t, "m/1") != 1 {
		t.Errorf("by default_model_filename: %v", err)
	}
	for text, want := range map[string]string{
		"backend: \"native\"\nparameters { key: \"model\" value { string_value: \"minus\" } }":                          `line 2: parameters: no native model is called "minus": there are plus`,
		"backend: \"native\" default_model_filename: \"plus\" parameters { key: \"by\" value { string_value: \"x\" } }": `native model plus: parameter by: got "x", expected a number`,
		"backend: \"native\" default_model_filename: \"plus\" parameters { key: \"bye\" value { } }":                    `parameter "bye" is unknown`,
		"backend: \"native\" default_model_filename: \"plus\" input { name: \"x\" data_type: TYPE_INT32 }":              "expected TYPE_FP32",
		"backend: \"native\" platform: \"onnxruntime_onnx\" default_model_filename: \"plus\"":                           "platform",
	} {
		if err := load("n", text); api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
