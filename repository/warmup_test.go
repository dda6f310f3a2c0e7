package repository

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// spy is a native model that notes what it is run on.
type spy struct {
	plus
	mu   sync.Mutex
	seen []*tensor.Tensor
	took time.Duration
	rows int // of the answer; 0: as in the input
}

func (s *spy) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	s.mu.Lock()
	x := in[0].(*tensor.Tensor)
	s.seen = append(s.seen, x.Clone())
	s.mu.Unlock()
	time.Sleep(s.took)
	if s.rows > 0 {
		y, err := alloc(tensor.Float32, tensor.Shape{s.rows, 2})
		return []tensor.Value{y}, err
	}
	return s.plus.Run(ctx, in, alloc)
}

func (s *spy) batches() []int {
	var rows []int
	for _, x := range s.seen {
		rows = append(rows, x.Shape[0])
	}
	return rows
}

// warm loads a spy with a configuration and files beside it.
func warm(t *testing.T, s *spy, cfg Config, text string, files map[string][]byte) (string, error) {
	t.Helper()
	cfg.Dir = t.TempDir()
	put(t, cfg.Dir, "m/config.pbtxt", []byte("backend: \"native\"\n"+text))
	for name, b := range files {
		put(t, cfg.Dir, "m/"+name, b)
	}
	e := runtime.NewEngine(runtime.Config{Natives: []native.Entry{{Name: "m", New: func(native.Source) (native.Model, error) { return s, nil }}}})
	var log bytes.Buffer
	r, err := New(cfg, e, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	err = r.Load(t.Context(), "m", nil)
	if e := r.Close(t.Context()); e != nil {
		t.Error(e)
	}
	return log.String(), err
}

func TestWarmupBatches(t *testing.T) {
	f := func(cfg Config, text string, took time.Duration, want ...int) {
		t.Helper()
		s := &spy{took: took}
		if _, err := warm(t, s, cfg, text, nil); err != nil || !slices.Equal(s.batches(), want) {
			t.Errorf("%q: batches %v, want %v; %v", text, s.batches(), want, err)
		}
	}
	f(Config{}, "", 0, 1, 2, 4, 8, 16, 32, 64)
	f(Config{WarmupRows: 5}, "", 0, 1, 2, 4)
	f(Config{}, "max_batch_size: 6", 0, 1, 2, 4)
	f(Config{}, "max_batch_size: 0", 0, 1)
	f(Config{WarmupOff: true}, "model_warmup { }", 0)
	f(Config{WarmupBudget: time.Millisecond}, "", 5*time.Millisecond, 1)
}

func TestWarmupConfigured(t *testing.T) {
	floats := func(v ...float32) []byte {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	f := func(text string, files map[string][]byte, want string) {
		t.Helper()
		s := &spy{}
		_, err := warm(t, s, Config{WarmupRows: 1}, "model_warmup { name: \"w\" "+text+" }", files)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		var got []string
		for _, x := range s.seen[:len(s.seen)-1] { // the last is made up
			got = append(got, fmt.Sprint(tensor.Data[float32](x)))
		}
		if all := strings.Join(got, " "); all != want {
			t.Errorf("%q: ran on %s, want %s", text, all, want)
		}
	}
	input := func(kind string) string {
		return `inputs { key: "x" value { data_type: TYPE_FP32 dims: 2 ` + kind + ` } }`
	}
	f(`batch_size: 1 `+input("zero_data: true"), nil, "[0 0]")
	f(`batch_size: 2 count: 3 `+input("zero_data: true"), nil, "[0 0 0 0] [0 0 0 0] [0 0 0 0]")
	f(`batch_size: 2 `+input(`input_data_file: "x"`), map[string][]byte{"warmup/x": floats(1, 2, 3, 4)}, "[1 2 3 4]")
	f(`batch_size: 2 `+input(`input_data_file: "x"`), map[string][]byte{"warmup/x": floats(1, 2)}, "[1 2 1 2]")
	s := &spy{}
	if _, err := warm(t, s, Config{}, "model_warmup { batch_size: 8 "+input("random_data: true")+" }", nil); err != nil {
		t.Fatal(err)
	}
	if v := tensor.Data[float32](s.seen[0]); slices.Min(v) < 0 || slices.Max(v) >= 1 || slices.Min(v) == slices.Max(v) {
		t.Errorf("random data %v", v)
	}
}

func TestWarmupRefuses(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := warm(t, &spy{}, Config{}, "model_warmup { "+text+" }", map[string][]byte{"warmup/short": {1, 2, 3}})
		if api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), "line 2: model_warmup[0]") {
			t.Errorf("%q: %v", text, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(api.Message(err), w) {
				t.Errorf("%q: %q is not in %q", text, w, api.Message(err))
			}
		}
	}
	in := func(s string) string { return `inputs { key: "x" value { ` + s + ` } }` }
	f("batch_size: 4097 ", "got batch_size 4097, expected at most max_batch_size, 4096")
	f("", "input 'x' is missing")
	f(in("data_type: TYPE_INT32 dims: 2"), "got data_type TYPE_INT32, expected TYPE_FP32")
	f(in("data_type: TYPE_FP32 dims: 3"), "got shape [1,3], expected [-1 2]")
	f(in("data_type: TYPE_FP32 dims: -1"), "expected extents of 1 or more")
	f(in(`data_type: TYPE_FP32 dims: 2 input_data_file: "none"`), "warmup/none can't be read")
	f(in(`data_type: TYPE_FP32 dims: 2 input_data_file: "../config.pbtxt"`), "expected one in the folder warmup")
	f(in(`data_type: TYPE_FP32 dims: 2 input_data_file: "short"`), "the file has 3 bytes, expected 8")
	f(in("data_type: TYPE_FP32 dims: 2")+`inputs { key: "z" value { } }`, "got 2 inputs, the model has 1")
}

// TestWarmupFindsMixedRows: an answer without a row for each of the request's is refused
// before any client is given another's.
func TestWarmupFindsMixedRows(t *testing.T) {
	_, err := warm(t, &spy{rows: 1}, Config{}, "", nil)
	if api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), "output 'y' has the shape [1,2] for a batch of 2") {
		t.Error(err)
	}
	dir := t.TempDir()
	put(t, dir, "m/1/model.onnx", sumModel(t))
	put(t, dir, "m/config.pbtxt", []byte("max_batch_size: 4\noutput { name: \"y\" dims: 2 }\ndynamic_batching { }"))
	r, _ := open(t, dir, nil)
	err = r.Load(t.Context(), "m", nil)
	if api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), "line 1: max_batch_size: output 'y' has the shape [1,2] for a batch of 2") {
		t.Error(err)
	}
}

// TestWarmupOpenExtents: made-up sizes are tried until the model runs, and one that never
// does still serves; huge declared shapes are not made up at all.
func TestWarmupOpenExtents(t *testing.T) {
	dir := t.TempDir()
	model := func(name string, shape []build.Dim, add func(g *build.Graph, x string) string) {
		g := build.New(name, 17)
		out := add(g, g.Input("x", build.Float, shape...))
		g.Output(out, build.Float, build.Sym("a"), build.Sym("b"))
		put(t, dir, name+"/1/model.onnx", encode(t, g))
	}
	// x plus a constant of 32 columns runs with 32 or 1 columns, of 13 with 1 alone.
	columns := func(n int) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			return g.Op("Add", []string{x, g.Const("w", make([]float32, n), int64(n))})
		}
	}
	model("broadcast", []build.Dim{build.Sym("n"), build.Sym("c")}, columns(13))
	model("impossible", []build.Dim{build.Sym("n"), build.Sym("c")}, func(g *build.Graph, x string) string {
		return g.Op("MatMul", []string{x, g.Const("w", make([]float32, 13), 13, 1)})
	})
	model("huge", []build.Dim{build.Size(1 << 20), build.Size(1 << 18)}, func(g *build.Graph, x string) string { return g.Op("Relu", []string{x}) })
	var log bytes.Buffer
	r, err := New(Config{Dir: dir, LoadParallel: 1}, runtime.NewEngine(runtime.Config{}), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := r.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIndex(t, r, "broadcast/1 READY;huge/1 READY;impossible/1 READY;")
	for _, line := range strings.Split(log.String(), "\n") {
		if strings.Contains(line, "could not be warmed up") && strings.Contains(line, "model=broadcast") {
			t.Errorf("the broadcast model was not warmed up: %s", line)
		}
	}
	for _, name := range []string{"impossible", "huge"} {
		if !strings.Contains(log.String(), `could not be warmed up with made-up inputs: give it a model_warmup" model=`+name) {
			t.Errorf("no warning for %s in %s", name, log.String())
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("loading took %v", took)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStringsFromFile(t *testing.T) {
	text := func(v ...string) []byte {
		var b []byte
		for _, s := range v {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
		}
		return b
	}
	f := func(b []byte, rows int, want string) {
		t.Helper()
		got, err := fromFile(tensor.String, tensor.Shape{rows, 2}, b, rows)
		if err != nil {
			if want != "" {
				t.Error(err)
			}
			return
		}
		if s := strings.Join(got.Strings(), ","); s != want || want == "" {
			t.Errorf("got %q, want %q", s, want)
		}
	}
	f(text("a", ""), 1, "a,")
	f(text("a", "bc"), 3, "a,bc,a,bc,a,bc")
	f(text("a", "b", "c", "d"), 2, "a,b,c,d")
	f(text("a", "b", "c"), 2, "")
	f(nil, 2, "")
	f([]byte{1, 0, 0}, 1, "")
	f([]byte{255, 255, 255, 255, 0}, 1, "")
}
