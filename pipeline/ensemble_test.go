package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// shop is a repository in a folder of its own with a pipeline on top.
type shop struct {
	dir  string
	pipe *Pipeline
	repo *repository.Repository
}

func newShop(t *testing.T) *shop { return newShopOf(t, func(*shop) []native.Entry { return nil }) }

// newShopOf is newShop with native models.
func newShopOf(t *testing.T, natives func(*shop) []native.Entry) *shop {
	t.Helper()
	c, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{dir: t.TempDir(), pipe: New(c)}
	engine := runtime.NewEngine(runtime.Config{Natives: natives(s)})
	if s.repo, err = repository.New(repository.Config{Dir: s.dir}, engine, nil); err != nil {
		t.Fatal(err)
	}
	s.repo.SetListener(NewListener(s.pipe, batcher.Config{}, 2, nil))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.repo.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		c.Close()
	})
	return s
}

func (s *shop) put(t *testing.T, name string, b []byte) {
	t.Helper()
	p := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// pairwise puts a model y = op(x, w) on rows of two; "join" one of y = a + b.
func (s *shop) pairwise(t *testing.T, name, op string, w float32) {
	t.Helper()
	g := build.New(name, 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(2))
	g.Output(g.OpAs("y", op, []string{x, g.Const("w", []float32{w}, 1)}), build.Float, build.Sym("n"), build.Size(2))
	s.model(t, name, g)
}

// version puts a further version of a pairwise model.
func (s *shop) version(t *testing.T, name string, number int, op string, w float32) {
	t.Helper()
	s.pairwise(t, name, op, w)
	from, to := filepath.Join(s.dir, name, "1"), filepath.Join(s.dir, name, fmt.Sprint(number))
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) join(t *testing.T) {
	t.Helper()
	g := build.New("join", 17)
	a := g.Input("a", build.Float, build.Sym("n"), build.Size(2))
	b := g.Input("b", build.Float, build.Sym("n"), build.Size(2))
	g.Output(g.OpAs("y", "Add", []string{a, b}), build.Float, build.Sym("n"), build.Size(2))
	s.model(t, "join", g)
}

func (s *shop) model(t *testing.T, name string, g *build.Graph) {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, name+"/1/model.onnx", b)
}

func (s *shop) base(t *testing.T) {
	t.Helper()
	s.pairwise(t, "plus", "Add", 1)
	s.pairwise(t, "times", "Mul", 10)
	s.join(t)
}

const ends = `platform: "ensemble" max_batch_size: 8
input { name: "in" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "out" data_type: TYPE_FP32 dims: [ 2 ] }
`

func stepText(model, in, out string) string {
	port := "x"
	text := fmt.Sprintf("step { model_name: %q model_version: -1 output_map { key: \"y\" value: %q }", model, out)
	for i, name := range strings.Fields(in) {
		if model == "join" {
			port = string(rune('a' + i))
		}
		text += fmt.Sprintf(" input_map { key: %q value: %q }", port, name)
	}
	return text + " }\n"
}

func scheduling(steps ...string) string {
	return "ensemble_scheduling {\n" + strings.Join(steps, "") + "}\n"
}

func (s *shop) ensemble(t *testing.T, name, text string) error {
	t.Helper()
	s.put(t, name+"/config.pbtxt", []byte(text))
	return s.repo.Load(context.Background(), name, nil)
}

func (s *shop) ask(ctx context.Context, model string, vals ...float32) ([]float32, error) {
	x := tensor.FromSlice(vals, len(vals)/2, 2)
	out, err := s.pipe.Predict(ctx, model, []native.Named{{Name: "in", Tensor: x}}, "out")
	if err != nil {
		return nil, err
	}
	return tensor.Data[float32](out[0]), nil
}

// diamond is in·10 + (in+1), its branches side by side.
var diamond = ends + scheduling(stepText("join", "big small", "out"), stepText("times", "in", "big"), stepText("plus", "in", "small"))

func TestEnsemble(t *testing.T) {
	s := newShop(t)
	s.base(t)
	if err := s.ensemble(t, "chain", ends+scheduling(stepText("plus", "in", "mid"), stepText("times", "mid", "out"))); err != nil {
		t.Fatal(err)
	}
	if err := s.ensemble(t, "diamond", diamond); err != nil {
		t.Fatal(err)
	}
	if err := s.ensemble(t, "nested", ends+"response_cache { enable: true }\n"+scheduling(
		`step { model_name: "diamond" model_version: 1 input_map { key: "in" value: "in" } output_map { key: "out" value: "mid" } }`, stepText("plus", "mid", "out"))); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for model, want := range map[string]func(x float32) float32{
			"chain": func(x float32) float32 { return (x + 1) * 10 }, "diamond": func(x float32) float32 { return 11*x + 1 }, "nested": func(x float32) float32 { return 11*x + 2 },
		} {
			got, err := s.ask(context.Background(), model, 1, 2, 3, 4)
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range got {
				if g != want(float32(i+1)) {
					t.Errorf("%s: got %v", model, got)
					break
				}
			}
		}
	}
	v, err := s.pipe.Resolve([]byte("diamond"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Done()
	for _, st := range v.StepStats() {
		if n := st.Success.Count.Load(); n < 4 {
			t.Errorf("step %d (%s) counted %d requests", st.Step, st.Model, n)
		}
	}
	if n := v.Stats.ExecutionCount.Load(); n < 4 {
		t.Errorf("%d executions", n)
	}
	if _, err := s.ask(context.Background(), "diamond", make([]float32, 18)...); api.CodeOf(err) != api.CodeBatchTooLarge {
		t.Errorf("nine rows of eight: %v", err)
	}
}

// TestEnsembleAnswersBelongToRequests: under concurrency, deadlines, cancelled callers and
// reloads of the models that it is made of, an answer is the request's own or an error.
func TestEnsembleAnswersBelongToRequests(t *testing.T) {
	s := newShop(t)
	s.base(t)
	if err := s.ensemble(t, "diamond", diamond); err != nil {
		t.Fatal(err)
	}
	stop, reloads := make(chan struct{}), sync.WaitGroup{}
	reloads.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.repo.Load(context.Background(), []string{"plus", "times", "join", "diamond"}[i%4], &repository.Override{Config: fmt.Appendf(nil, `{"parameters":{"n":{"string_value":"%d"}}}`, i)}); err != nil && i%4 != 3 {
				t.Errorf("reload: %v", err)
			}
		}
	})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for range 60 {
				x := rng.Float32()
				ctx, cancel := context.Background(), func() {}
				if rng.IntN(3) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(500))*time.Microsecond)
				}
				got, err := s.ask(ctx, "diamond", x, x)
				cancel()
				switch api.CodeOf(err) {
				case "":
					if got[0] != 10*x+(x+1) || got[1] != got[0] {
						t.Errorf("asked %v, got %v", x, got)
					}
				case api.CodeCancelled, api.CodeRequestTimeout, api.CodeDeadlineUnmeetable:
				default:
					t.Errorf("unexpected: %v", err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	reloads.Wait()
}

func TestBadEnsembles(t *testing.T) {
	s := newShop(t)
	s.base(t)
	g := build.New("ints", 17)
	x := g.Input("x", build.Int32, build.Sym("n"), build.Size(2))
	g.Output(g.OpAs("y", "Identity", []string{x}), build.Int32, build.Sym("n"), build.Size(2))
	s.model(t, "ints", g)
	s.put(t, "one/config.pbtxt", []byte(ends+scheduling(`step { model_name: "other" model_version: -1 input_map { key: "in" value: "in" } output_map { key: "out" value: "out" } }`)))
	for name, c := range map[string]struct{ text, want string }{
		"cycle":        {ends + scheduling(stepText("join", "in b", "a"), stepText("plus", "a", "b"), stepText("plus", "a", "out")), "form a cycle: join → plus → join"},
		"self":         {ends + scheduling(stepText("join", "in a", "a"), stepText("plus", "a", "out")), "form a cycle: join → join"},
		"other":        {ends + scheduling(`step { model_name: "one" model_version: -1 input_map { key: "in" value: "in" } output_map { key: "out" value: "out" } }`), "made of each other: other → one → other"},
		"missing":      {ends + scheduling(stepText("absent", "in", "out")), "line 5: ensemble_scheduling.step[0].model_name: model 'absent' can't be loaded"},
		"version":      {ends + scheduling(strings.Replace(stepText("plus", "in", "out"), "-1", "7", 1)), "does not serve version 7"},
		"no steps":     {ends, "there are no steps"},
		"dtype":        {ends + scheduling(stepText("ints", "in", "out")), "tensor 'in' is FP32[-1,2], input 'x' of model 'ints' takes INT32[-1,2]"},
		"shape":        {strings.Replace(ends, "dims: [ 2 ]", "dims: [ 3 ]", 1) + scheduling(stepText("plus", "in", "out")), "tensor 'in' is FP32[-1,3]"},
		"output shape": {strings.Replace(ends, "[ 2 ] }\no", "[ 2 ] }\n o", 1) + "output { name: \"o2\" data_type: TYPE_INT32 dims: [ 2 ] }\n" + scheduling(stepText("plus", "in", "out"), stepText("plus", "in", "o2")), "output 'o2' is declared as INT32[-1,2], its step gives FP32[-1,2]"},
		"unmapped":     {ends + scheduling(stepText("plus", "nowhere", "out")), "nothing makes tensor 'nowhere'"},
		"unread":       {ends + scheduling(strings.Replace(stepText("plus", "in", "out"), `input_map { key: "x" value: "in" }`, "", 1)), "no step reads input 'in'"},
		"unmade":       {ends + scheduling(stepText("plus", "in", "elsewhere")), "no step makes output 'out'"},
		"twice":        {ends + scheduling(stepText("plus", "in", "out"), stepText("times", "in", "out")), "tensor 'out' is made twice, here and by step 0"},
		"over input":   {ends + scheduling(stepText("plus", "in", "in"), stepText("times", "in", "out")), "made twice, here and by the request"},
		"half mapped":  {ends + scheduling(stepText("join", "in", "out")), "input 'b' of model 'join' is not mapped"},
		"no input":     {ends + scheduling(strings.Replace(stepText("plus", "in", "out"), `key: "x"`, `key: "z"`, 1)), "model 'plus' has no input 'z'"},
		"no output":    {ends + scheduling(strings.Replace(stepText("plus", "in", "out"), `key: "y"`, `key: "z"`, 1)), "model 'plus' has no output 'z'"},
		"address":      {ends + scheduling(stepText("grpc://nowhere/m", "in", "out")), "expected grpc://host:port/model"},
		"platform":     {strings.Replace(ends, "ensemble", "onnxruntime_onnx", 1) + scheduling(stepText("plus", "in", "out")), `expected "ensemble"`},
		"untyped":      {strings.Replace(ends, "data_type: TYPE_FP32", "", 1) + scheduling(stepText("plus", "in", "out")), "needs a name and a data_type"},
	} {
		name, model := name, strings.ReplaceAll(name, " ", "-")
		err := s.ensemble(t, model, c.text)
		if api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if v := s.pipe.Peek([]byte(model), nil); v != nil {
			t.Errorf("%s serves all the same", name)
		}
	}
}

func TestEnsembleLoadsAndUnloadsItsModels(t *testing.T) {
	s := newShop(t)
	s.base(t)
	if err := s.ensemble(t, "diamond", diamond); err != nil {
		t.Fatal(err)
	}
	if err := s.ensemble(t, "single", ends+scheduling(stepText("plus", "in", "out"))); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := s.repo.Unload(ctx, "times", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ask(ctx, "diamond", 1, 2); api.CodeOf(err) != api.CodeModelNotFound || !strings.Contains(err.Error(), "step 1 ('times')") {
		t.Errorf("a step's model is gone: %v", err)
	}
	if err := s.repo.Unload(ctx, "diamond", true); err != nil {
		t.Fatal(err)
	}
	for model, serves := range map[string]bool{"plus": true, "times": false, "join": false, "diamond": false, "single": true} {
		if got := s.repo.Serving(model, 0) != nil; got != serves {
			t.Errorf("after the unload %s serves: %v", model, got)
		}
	}
	if err := s.repo.LoadAll(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ask(ctx, "diamond", 1, 2); err != nil || got[1] != 23 {
		t.Errorf("after loading all: %v, %v", got, err)
	}
}

// TestEnsembleForgetsWithItsModels: what an ensemble remembers goes when a model that it is made of, at any depth, is
// replaced, is reloaded, or another version of it is to answer.
func TestEnsembleForgetsWithItsModels(t *testing.T) {
	s := newShop(t)
	s.base(t)
	const cached = "response_cache { enable: true }\n"
	if err := s.ensemble(t, "inner", ends+cached+scheduling(stepText("plus", "in", "out"))); err != nil {
		t.Fatal(err)
	}
	inner := strings.NewReplacer(`"x"`, `"in"`, `"y"`, `"out"`).Replace(stepText("inner", "in", "mid"))
	if err := s.ensemble(t, "outer", ends+cached+scheduling(inner, stepText("times", "mid", "out"))); err != nil {
		t.Fatal(err)
	}
	want := func(what string, x float32) {
		t.Helper()
		hits := &s.pipe.Cache().Stats().Hits
		for model, y := range map[string]float32{"inner": x, "outer": 10 * x} {
			from := hits.Load()
			for n := 0; hits.Load() == from; n++ {
				if got, err := s.ask(context.Background(), model, 1, 1); err != nil || got[0] != y {
					t.Fatalf("%s: %s gave %v, %v, want %v", what, model, got, err, y)
				}
				if n == 1000 {
					t.Fatalf("%s: nothing is remembered of %s: the test shows nothing", what, model)
				}
				time.Sleep(time.Millisecond) // the cache takes new entries in the background
			}
		}
	}
	load := func(model string) {
		t.Helper()
		if err := s.repo.Load(context.Background(), model, nil); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", 2)
	s.version(t, "plus", 2, "Add", 4)
	load("plus")
	want("a new version", 5)
	s.version(t, "plus", 2, "Add", 6)
	load("plus")
	want("the version has other weights", 7)
}

// relay is a native model whose answer is that of another.
type relay struct {
	call  native.Caller
	model string
}

func (relay) Inputs() []native.Port  { return []native.Port{native.Tensor("x", tensor.Float32, -1, 2)} }
func (relay) Outputs() []native.Port { return []native.Port{native.Tensor("y", tensor.Float32, -1, 2)} }
func (r relay) Run(ctx context.Context, in []tensor.Value, _ native.Alloc) ([]tensor.Value, error) {
	out, err := r.call(ctx, r.model, []native.Named{{Name: "x", Tensor: in[0].(*tensor.Tensor)}}, "y")
	if err != nil {
		return nil, err
	}
	return []tensor.Value{out[0]}, nil
}

// open is a relay that tells whom it asks.
type open struct{ relay }

func (o open) Asks() []string { return []string{o.model} }

func nativeText(model, more string) string {
	return fmt.Sprintf("backend: \"native\" max_batch_size: 8 parameters { key: \"model\" value { string_value: %q } }\n%s", model, more)
}

// TestNativeForgetsWithWhatItAsks: what is remembered of a native model goes when one of the models that it asks changes,
// or any where it doesn't tell; and what is remembered of an ensemble goes, too, where the native model in between remembers nothing.
func TestNativeForgetsWithWhatItAsks(t *testing.T) {
	s := newShopOf(t, func(s *shop) []native.Entry {
		call := func(ctx context.Context, model string, in []native.Named, want ...string) ([]*tensor.Tensor, error) {
			return s.pipe.Predict(ctx, model, in, want...)
		}
		return []native.Entry{
			{Name: "open", New: func(native.Source) (native.Model, error) { return open{relay{call, "plus"}}, nil }},
			{Name: "closed", New: func(native.Source) (native.Model, error) { return relay{call, "plus"}, nil }},
		}
	})
	s.base(t)
	const cached = "response_cache { enable: true }\n"
	load := func(model string) {
		t.Helper()
		if err := s.repo.Load(context.Background(), model, nil); err != nil {
			t.Fatal(err)
		}
	}
	put := func(model, text string) {
		t.Helper()
		s.put(t, model+"/config.pbtxt", []byte(text))
		s.put(t, model+"/1/empty", nil)
		load(model)
	}
	load("plus")
	load("times")
	put("open", nativeText("open", cached))
	put("closed", nativeText("closed", cached))
	put("plain", nativeText("open", ""))
	if err := s.ensemble(t, "over", ends+cached+scheduling(stepText("plain", "in", "out"))); err != nil {
		t.Fatal(err)
	}
	generations := func() (out [3]uint64) {
		for i, model := range []string{"open", "closed", "over"} {
			out[i] = s.pipe.Versions([]byte(model))[0].Generation()
		}
		return out
	}
	before := generations()
	load("times")
	after := generations()
	if after[0] != before[0] || after[1] == before[1] || after[2] != before[2] {
		t.Errorf("a model that only the closed one may ask was loaded: %v, before %v", after, before)
	}
	before = after
	load("plus")
	if after = generations(); after[0] == before[0] || after[1] == before[1] || after[2] == before[2] {
		t.Errorf("a model that all ask was loaded: %v, before %v", after, before)
	}
}

// asker is a caller that must be asked by one at a time and tells one of them that it has gone.
type asker struct {
	t      *testing.T
	asking atomic.Int32
	gone   chan struct{}
}

func (a *asker) Gone() <-chan struct{} {
	if a.asking.Add(1) > 1 {
		a.t.Error("the caller is asked by several at once")
	}
	time.Sleep(2 * time.Millisecond)
	a.asking.Add(-1)
	return a.gone
}

// TestOneWatchesForAllSteps: of steps that wait side by side none is left behind when the caller goes away, which is told once.
func TestOneWatchesForAllSteps(t *testing.T) {
	s := newShop(t)
	s.base(t)
	for _, model := range []string{"plus", "times"} {
		s.put(t, model+"/config.pbtxt", []byte("max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 60000000 }"))
	}
	if err := s.ensemble(t, "diamond", diamond); err != nil {
		t.Fatal(err)
	}
	v, err := s.pipe.Resolve([]byte("diamond"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Done()
	caller := &asker{t: t, gone: make(chan struct{}, 1)}
	c := &Call{}
	c.In, c.Caller = []tensor.Tensor{*tensor.FromSlice([]float32{1, 2}, 1, 2)}, caller
	done := make(chan error, 1)
	go func() { done <- v.Infer(context.Background(), c) }()
	waiting := func() (n int64) {
		for _, model := range []string{"plus", "times"} {
			n += s.pipe.Peek([]byte(model), nil).Queue().Waiting.Load()
		}
		return n
	}
	for waiting() < 2 {
		time.Sleep(time.Millisecond)
	}
	caller.gone <- struct{}{}
	select {
	case err := <-done:
		if api.CodeOf(err) != api.CodeCancelled || waiting() != 0 {
			t.Errorf("%v, and %d wait", err, waiting())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a step still waits")
	}
}

// TestScalarForAPortOfUnknownRank: where a model doesn't tell an input's rank, a request without a batch axis is refused.
func TestScalarForAPortOfUnknownRank(t *testing.T) {
	s := newShop(t)
	s.base(t)
	if err := s.repo.Load(context.Background(), "plus", nil); err != nil {
		t.Fatal(err)
	}
	spec := s.pipe.Peek([]byte("plus"), nil).Spec
	spec.Model, spec.Inputs = "loose", []Port{{Name: "x", DType: tensor.Float32}}
	v, err := s.pipe.Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer s.pipe.Detach(v)
	c := &Call{}
	c.In = []tensor.Tensor{*tensor.FromSlice([]float32{1})}
	if err := v.CheckInput(0, c.In[0].DType, c.In[0].Shape); err != nil {
		t.Fatal(err)
	}
	if err := v.Infer(context.Background(), c); api.CodeOf(err) != api.CodeShapeMismatch {
		t.Errorf("got %v", err)
	}
}
