//go:build linux

package job

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/jobs"
)

// asChild has the test binary do a job.
const asChild = "AIMASS_TEST_COMPRESS_CHILD"

// trainers are the compressor, one that takes its time first, and one that crashes.
func trainers(s jobs.Site) train.Registry {
	r := train.Registry{}
	r.Add(TrainerName, Trainer(s.ModelKeys))
	r.Add("slow", func(ctx context.Context, j train.Job) (train.Result, error) {
		j.Tell(train.Event{Stage: "waiting"})
		select {
		case <-ctx.Done():
			return train.Result{}, context.Cause(ctx)
		case <-time.After(time.Second):
		}
		return Trainer(s.ModelKeys)(ctx, j)
	})
	r.Add("crash", func(ctx context.Context, j train.Job) (train.Result, error) {
		j.Tell(train.Event{Stage: "crop"})
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	})
	return r
}

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		if err := jobs.Work(ctx, os.Args[len(os.Args)-1], trainers); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(jobs.ExitCode(err))
		}
		stop()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// model writes a perceptron x[n,16] → y[n,3] with a card and a feature file, as a version.
func model(t *testing.T, repo, version string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	weights := func(n int) []float32 {
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(rng.NormFloat64() / 4)
		}
		return w
	}
	g := build.New("mlp", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(16))
	h := g.Op("Relu", []string{g.Op("MatMul", []string{x, g.Const("w1", weights(16*256), 16, 256)})})
	g.Output(g.OpAs("y", "MatMul", []string{h, g.Const("w2", weights(256*3), 256, 3)}), build.Float, build.Sym("n"), build.Size(3))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(repo, "mlp", version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"model.onnx": string(b), cardName: `{"model":"mlp","task":"a test"}`, cardText: "# mlp\n", "labels.txt": "a\nb\nc\n", "signature.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func start(t *testing.T, dir, keys string) (*jobs.Runner, func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asChild, "1")
	site := jobs.Site{ModelKeys: keys}
	r, err := jobs.Open(jobs.Config{Dir: filepath.Join(dir, "train"), Repository: filepath.Join(dir, "models"), Child: []string{self}, Workers: 1, Site: site}, trainers(site), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return r, stop
}

func wait(t *testing.T, r *jobs.Runner, id string, ok func(*jobs.Job) bool) *jobs.Job {
	t.Helper()
	for range 3000 {
		j, err := r.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if ok(j) {
			return j
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("job %s does not come so far", id)
	return nil
}

func done(j *jobs.Job) bool { return j.State.Done() }

func do(t *testing.T, r *jobs.Runner, q jobs.Request) *jobs.Job {
	t.Helper()
	j, err := r.Create(q)
	if err != nil {
		t.Fatal(err)
	}
	return wait(t, r, j.ID, done)
}

func request(model string, parameters map[string]jobs.Text) jobs.Request {
	return jobs.Request{Trainer: TrainerName, Model: model, Parameters: parameters}
}

// requests are labelled rows for the perceptron.
func requests(n int) []json.RawMessage {
	rng := rand.New(rand.NewPCG(5, 6))
	var out []json.RawMessage
	for range n {
		row := make([]float64, 16)
		for i := range row {
			row[i] = rng.NormFloat64()
		}
		data, _ := json.Marshal(row)
		out = append(out, json.RawMessage(fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,16],"datatype":"FP32","data":%s}],"labels":[%d]}`, data, rng.IntN(3))))
	}
	return out
}

func versions(dir, model string) int {
	entries, _ := os.ReadDir(filepath.Join(dir, "models", model))
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			n++
		}
	}
	return n
}

func TestCompressed(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "models")
	model(t, repo, "4")
	if err := os.WriteFile(filepath.Join(repo, "mlp", configName), []byte("name: \"mlp\"\nmax_batch_size: 8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := start(t, dir, "")
	q := request("small", map[string]jobs.Text{"base": "mlp", "crop": "true", "quantize": "int8-static", "calibrate": "entropy", "min_cosine": "0.9"})
	q.Data.Requests = requests(20)
	j := do(t, r, q)
	if j.State != jobs.Succeeded || j.Result.Model != "small" || j.Result.Version != 1 {
		t.Fatalf("%+v %+v", j.Result, j.Error)
	}
	if j.Request.Data.Snapshot == "" || j.Request.Data.Requests != nil {
		t.Error("the requests did not become a snapshot")
	}
	figures := map[string]float64{}
	for _, m := range j.Result.Metrics {
		figures[m.Name+" "+m.Set] = m.Value
		if m.Name == "cosine_mean" && (m.Gate != "cosine_mean>=0.9" || !m.Passed) {
			t.Errorf("%+v", m)
		}
	}
	if f := figures["file of the original"]; f < 0.1 || f > 0.6 {
		t.Errorf("figures %v", figures)
	}
	if _, there := figures["accuracy labels, before"]; !there {
		t.Errorf("no accuracy by the labels: %v", figures)
	}
	names, err := r.Artefacts(j.ID)
	if want := "[job.txt labels.txt log.jsonl model.onnx model_card.json model_card.md report.json report.txt]"; err != nil || fmt.Sprint(names) != want {
		t.Errorf("artefacts %v, want %s: %v", names, want, err)
	}
	card, _ := os.ReadFile(filepath.Join(repo, "small", "1", cardName))
	text, _ := os.ReadFile(filepath.Join(repo, "small", "1", cardText))
	if !strings.Contains(string(card), `"base": "mlp/4"`) || !strings.Contains(string(card), `"task": "a test"`) || !strings.Contains(string(text), "Version 1 of small was made of mlp/4") {
		t.Errorf("%s\n%s", card, text)
	}
	if c, err := os.ReadFile(filepath.Join(repo, "small", configName)); err != nil || strings.TrimSpace(string(c)) != "max_batch_size: 8" {
		t.Errorf("configuration %q: %v", c, err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Open(filepath.Join(repo, "small", "1", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	_ = m.Close()
}

// TestBarAndRefusals: what can't be done has its code and publishes nothing.
func TestBarAndRefusals(t *testing.T) {
	dir := t.TempDir()
	model(t, filepath.Join(dir, "models"), "1")
	r, _ := start(t, dir, "")
	f := func(want api.Code, text string, parameters map[string]jobs.Text) *jobs.Job {
		t.Helper()
		j := do(t, r, request("", parameters))
		if j.State != jobs.Failed || j.Error.Code != want || !strings.Contains(j.Error.Message, text) {
			t.Errorf("%v: %s %+v, want %s with %q", parameters, j.State, j.Error, want, text)
		}
		return j
	}
	j := f(api.CodeCompressionBarMissed, "mean cosine", map[string]jobs.Text{"base": "mlp/1", "prune": "0.99", "min_cosine": "0.999"})
	if j.Result == nil || len(j.Result.Metrics) == 0 {
		t.Error("a job below its bar tells no figures")
	}
	f(api.CodeCompressionFailed, "attention", map[string]jobs.Text{"base": "mlp/1", "prune_heads": "0.5"})
	f(api.CodeModelNotFound, "absent", map[string]jobs.Text{"base": "absent", "crop": "true"})
	f(api.CodeModelVersionNotFound, "version 2", map[string]jobs.Text{"base": "mlp/2", "crop": "true"})
	f(api.CodeTrainingParameterInvalid, "base", map[string]jobs.Text{"base": "../mlp/1", "crop": "true"})
	f(api.CodeTrainingParameterInvalid, "base", map[string]jobs.Text{"crop": "true"})
	f(api.CodeTrainingParameterInvalid, "nothing is to be done", map[string]jobs.Text{"base": "mlp/1"})
	f(api.CodeTrainingParameterInvalid, "has no parameter", map[string]jobs.Text{"base": "mlp/1", "squeeze": "true"})
	f(api.CodeTrainingParameterInvalid, "has no parameter", map[string]jobs.Text{"base": "mlp/1", "inputs": "/etc/passwd"})
	f(api.CodeTrainingParameterInvalid, "prune", map[string]jobs.Text{"base": "mlp/1", "prune": "much"})
	f(api.CodeTrainingParameterInvalid, "int8", map[string]jobs.Text{"base": "mlp/1", "quantize": "int3"})
	f(api.CodeTrainingParameterInvalid, "expected true or false", map[string]jobs.Text{"base": "mlp/1", "encrypt": "command:id"})
	f(api.CodeTrainingParameterInvalid, "--model-keys", map[string]jobs.Text{"base": "mlp/1", "encrypt": "true"})
	bad := request("", map[string]jobs.Text{"base": "mlp/1", "crop": "true"})
	bad.Data.Requests = []json.RawMessage{[]byte(`{"inputs":[{"name":"z","shape":[1],"datatype":"FP32","data":[1]}]}`)}
	if j := do(t, r, bad); j.Error == nil || j.Error.Code != api.CodeCompressionFailed || !strings.Contains(j.Error.Message, `no input "x"`) {
		t.Errorf("inputs of another model: %+v", j.Error)
	}
	sum := request("", map[string]jobs.Text{"base": "mlp/1", "crop": "true"})
	sum.Data.Requests, sum.Data.SHA256 = requests(1), "00"
	if j := do(t, r, sum); j.Error == nil || j.Error.Code != api.CodeTrainingDataChecksum {
		t.Errorf("another hash: %+v", j.Error)
	}
	if n := versions(dir, "mlp"); n != 1 {
		t.Errorf("%d versions, want the original alone", n)
	}
}

// TestSealed: with the server's keys the result is sealed, opens again, and a sealed original
// is only taken for a sealed result.
func TestSealed(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "models")
	model(t, repo, "1")
	line, err := seal.NewKey("k")
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := start(t, dir, "file:"+keys)
	if j := do(t, r, request("", map[string]jobs.Text{"base": "mlp/1", "crop": "true", "encrypt": "true"})); j.State != jobs.Succeeded || j.Result.Version != 2 {
		t.Fatalf("%+v", j.Error)
	}
	again := do(t, r, request("twice", map[string]jobs.Text{"base": "mlp/2", "quantize": "int8", "encrypt": "true"}))
	if again.State != jobs.Succeeded {
		t.Fatalf("%+v", again.Error)
	}
	if j := do(t, r, request("open", map[string]jobs.Text{"base": "mlp/2", "quantize": "int8"})); j.Error == nil || j.Error.Code != api.CodeTrainingParameterInvalid || !strings.Contains(j.Error.Message, "sealed") {
		t.Errorf("unsealed: %+v", j.Error)
	}
	ring, err := seal.LoadKeyring("file:" + keys)
	if err != nil {
		t.Fatal(err)
	}
	c, err := repository.Find(filepath.Join(repo, "twice", "1"), "model.onnx", ring)
	if err != nil || !c.Sealed {
		t.Fatalf("%v %v", c.Sealed, err)
	}
	if _, err := runtime.NewEngine(runtime.Config{}).Read(c.Bytes); err != nil {
		t.Error(err)
	}
}

// TestCrashCancelRestart: the store and its promises are those of training jobs.
func TestCrashCancelRestart(t *testing.T) {
	dir := t.TempDir()
	model(t, filepath.Join(dir, "models"), "1")
	r, stop := start(t, dir, "")
	q := request("", map[string]jobs.Text{"base": "mlp/1", "crop": "true"})
	q.Trainer = "crash"
	if j := do(t, r, q); j.State != jobs.Failed || j.Error.Code != api.CodeTrainingProgramFailed {
		t.Errorf("crashed: %s %+v", j.State, j.Error)
	}
	q.Trainer = "slow"
	slow := func() *jobs.Job {
		j, err := r.Create(q)
		if err != nil {
			t.Fatal(err)
		}
		return wait(t, r, j.ID, func(j *jobs.Job) bool { return j.Progress != nil })
	}
	j := slow()
	if _, err := r.Cancel(j.ID); err != nil {
		t.Error(err)
	}
	if j = wait(t, r, j.ID, done); j.State != jobs.Cancelled || j.Error.Code != api.CodeTrainingCancelled {
		t.Errorf("cancelled: %s %+v", j.State, j.Error)
	}
	j = slow()
	stop()
	again, _ := start(t, dir, "")
	if j = wait(t, again, j.ID, done); j.State != jobs.Succeeded || j.Result.Version != 2 || versions(dir, "mlp") != 2 {
		t.Errorf("after a restart: %s %+v, %d versions", j.State, j.Error, versions(dir, "mlp"))
	}
}

// TestDiskFull: a full disk has its code and leaves nothing half-written.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("NOT RUN: %s: no small file system can be mounted here: %v", t.Name(), err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	model(t, filepath.Join(dir, "models"), "1")
	r, _ := start(t, dir, "")
	q := request("", map[string]jobs.Text{"base": "mlp/1", "crop": "true"})
	for full := false; !full; {
		n := versions(dir, "mlp")
		j := do(t, r, q)
		switch {
		case j.State == jobs.Failed && j.Error.Code == api.CodeTrainingDiskFull:
			full = true
			fallthrough
		case j.State != jobs.Succeeded:
			if !full || versions(dir, "mlp") != n {
				t.Fatalf("%s %+v, %d versions after %d", j.State, j.Error, versions(dir, "mlp"), n)
			}
		case n > 4:
			t.Fatal("the disk does not fill up")
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, "models", "mlp", ".*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
