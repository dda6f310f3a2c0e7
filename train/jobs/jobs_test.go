//go:build linux

package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/child"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/program"
)

// The test binary is the child, too, and the server that is killed.
const (
	asChild  = "AIMASS_TEST_JOB_CHILD"
	asServer = "AIMASS_TEST_JOB_SERVER"
	asLeaver = "AIMASS_TEST_JOB_SERVER_LEAVES" // the server's one job is leave
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asServer) != "":
		serveUntilKilled(os.Getenv(asServer))
	case os.Getenv(asChild) != "":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		if err := Work(ctx, os.Args[len(os.Args)-1], trainers); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(ExitCode(err))
		}
		stop()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// trainers are small: slow publishes after the milliseconds of its parameter, crash panics, picky has jobs
// refused that have no target, leave runs a program which starts another that leaves its group, and at the next attempt ends.
func trainers(Site) train.Registry {
	r := train.Registry{}
	r.Add("slow", func(ctx context.Context, j train.Job) (train.Result, error) {
		ms, err := strconv.Atoi(j.Parameters["ms"])
		if err != nil {
			return train.Result{}, api.Errorf(api.CodeTrainingParameterInvalid, "ms is %q", j.Parameters["ms"])
		}
		for i := range 10 {
			j.Tell(train.Event{Stage: "work", Step: i + 1, Steps: 10})
			select {
			case <-ctx.Done():
				return train.Result{}, context.Cause(ctx)
			case <-time.After(time.Duration(ms) * time.Millisecond / 10):
			}
		}
		path, version, err := train.Publish(train.Place{Repository: j.Out, Model: j.Model, JobID: j.ID}, func(int) (map[string][]byte, error) {
			return map[string][]byte{"model.onnx": []byte("whole"), "report.json": []byte(`{"metrics":[{"name":"auc","value":0.8}]}`)}, nil
		})
		return train.Result{Model: j.Model, Version: version, Path: path, Metrics: []train.Metric{{Name: "auc", Value: 0.8}}}, err
	})
	r.Add("spin", func(ctx context.Context, j train.Job) (train.Result, error) {
		for ctx.Err() == nil {
		}
		return train.Result{}, context.Cause(ctx)
	})
	r.Add("leave", func(ctx context.Context, j train.Job) (train.Result, error) {
		file := filepath.Join(j.Out, "left")
		script := "setsid sh -c 'echo $$ >" + file + ".new; mv " + file + ".new " + file + "; sleep 300; true' & sleep 300"
		if _, err := os.Stat(file); err == nil {
			script = "exit 3"
		}
		return train.Result{}, program.Run(ctx, program.Config{Command: []string{"sh", "-c", script}}, j.Out, nil, func(string) {})
	})
	r.Add("crash", func(context.Context, train.Job) (train.Result, error) { panic("on purpose") })
	r.AddChecked("picky", nil, func(j train.Job) error {
		if j.Data == "" || j.Columns.Target == "" {
			return api.Errorf(api.CodeTrainingColumnMissing, "no target")
		}
		return nil
	})
	return r
}

// configIn is that of a runner in a folder.
func configIn(t testing.TB, dir string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asChild, "1")
	return Config{Dir: filepath.Join(dir, "train"), Repository: filepath.Join(dir, "models"), Child: []string{self}}
}

// start runs the jobs of a folder until the end of the test or the call of stop.
func start(t testing.TB, c Config) (r *Runner, stop func()) {
	t.Helper()
	r, err := Open(c, trainers(Site{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return r, stop
}

func request(trainer string, ms int) Request {
	return Request{Trainer: trainer, Model: "m", Parameters: map[string]Text{"ms": Text(strconv.Itoa(ms))}}
}

// wait waits until a job is in a state that satisfies ok.
func wait(t testing.TB, r *Runner, id string, ok func(*Job) bool) *Job {
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
	j, _ := r.Get(id)
	t.Fatalf("job %s stays %s: %+v", id, j.State, j.Error)
	return nil
}

func done(j *Job) bool { return j.State.Done() }

func create(t testing.TB, r *Runner, q Request) *Job {
	t.Helper()
	j, err := r.Create(q)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func versions(dir string) int {
	entries, _ := os.ReadDir(filepath.Join(dir, "models", "m"))
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			n++
		}
	}
	return n
}

func TestJobRunsAndTells(t *testing.T) {
	dir := t.TempDir()
	r, stop := start(t, configIn(t, dir))
	j := wait(t, r, create(t, r, request("slow", 300)).ID, done)
	if j.State != Succeeded || j.Result.Version != 1 || len(j.Result.Metrics) != 1 || j.Attempts != 1 || j.Progress.Stage != "done" {
		t.Errorf("%+v, result %+v, error %+v", j, j.Result, j.Error)
	}
	var stages []string
	err := r.Log(t.Context(), j.ID, 0, true, func(lines []json.RawMessage, _ int64) error {
		for _, b := range lines {
			var l Line
			if err := json.Unmarshal(b, &l); err != nil {
				return err
			}
			stages = append(stages, l.Stage)
		}
		return nil
	})
	if err != nil || len(stages) < 2 || stages[0] != "work" || stages[len(stages)-1] != "done" {
		t.Errorf("the log tells %v: %v", stages, err)
	}
	names, err := r.Artefacts(j.ID)
	if want := "[job.txt log.jsonl model.onnx report.json]"; err != nil || fmt.Sprint(names) != want {
		t.Errorf("artefacts %v, want %s: %v", names, want, err)
	}
	f, err := r.Artefact(j.ID, "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(f)
	f.Close()
	if string(b) != "whole" {
		t.Errorf("the model is %q", b)
	}
	for _, name := range []string{"absent", "../job.json", "job.json"} {
		if _, err := r.Artefact(j.ID, name); api.CodeOf(err) != api.CodeTrainingJobNotFound {
			t.Errorf("artefact %q: %v", name, err)
		}
	}
	stop()
	again, _ := start(t, configIn(t, dir))
	if k, err := again.Get(j.ID); err != nil || k.State != Succeeded || k.Result.Version != 1 {
		t.Errorf("after a restart: %+v %v", k, err)
	}
}

func TestFailureCancelAndQueue(t *testing.T) {
	dir := t.TempDir()
	c := configIn(t, dir)
	c.Queue = 2
	r, _ := start(t, c)
	f := func(q Request, state State, code api.Code, text string) {
		t.Helper()
		if j := wait(t, r, create(t, r, q).ID, done); j.State != state || j.Error.Code != code || !strings.Contains(j.Error.Message, text) {
			t.Errorf("%+v: %s %+v, want %s with %q", q, j.State, j.Error, code, text)
		}
	}
	bad := request("slow", 0)
	bad.Parameters["ms"] = "soon"
	f(bad, Failed, api.CodeTrainingParameterInvalid, "soon")
	f(request("crash", 0), Failed, api.CodeTrainingProgramFailed, "exit status 2")

	long := create(t, r, request("slow", 60_000))
	wait(t, r, long.ID, func(j *Job) bool { return j.State == Running })
	first, second := create(t, r, request("slow", 1)), create(t, r, request("slow", 1))
	if _, err := r.Create(request("slow", 1)); api.CodeOf(err) != api.CodeTrainingQueueFull {
		t.Errorf("a third that waits: %v", err)
	}
	if j, err := r.Cancel(second.ID); err != nil || j.State != Cancelled {
		t.Errorf("cancelled in the queue: %+v %v", j, err)
	}
	if _, err := r.Cancel(long.ID); err != nil {
		t.Error(err)
	}
	if j := wait(t, r, long.ID, done); j.State != Cancelled || j.Error.Code != api.CodeTrainingCancelled {
		t.Errorf("cancelled while it ran: %s %+v", j.State, j.Error)
	}
	if j := wait(t, r, first.ID, done); j.State != Succeeded {
		t.Errorf("the next: %s %+v", j.State, j.Error)
	}
	if _, err := r.Cancel(long.ID); api.CodeOf(err) != api.CodeTrainingJobFinished {
		t.Errorf("cancelled twice: %v", err)
	}
	if _, err := r.Get("../x"); api.CodeOf(err) != api.CodeTrainingJobNotFound {
		t.Errorf("no such job: %v", err)
	}
	if n := versions(dir); n != 1 {
		t.Errorf("%d versions, want 1", n)
	}
}

func TestRequestsThatCantBe(t *testing.T) {
	dir := t.TempDir()
	c := configIn(t, dir)
	c.DataDir = filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(c.DataDir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"data/sub/good.csv": "a,b\n1,2\n", "secret.csv": "a\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret.csv"), filepath.Join(c.DataDir, "link.csv")); err != nil {
		t.Fatal(err)
	}
	r, err := Open(c, trainers(Site{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(want api.Code, q Request) {
		t.Helper()
		if _, err := r.Create(q); api.CodeOf(err) != want {
			t.Errorf("%+v: %v, want %s", q, err, want)
		}
	}
	path := func(p string) Request { return Request{Trainer: "slow", Model: "m", Data: Data{Path: p}} }
	f("", path("sub/good.csv"))
	f(api.CodeTrainingDataForbidden, path("../secret.csv"))
	f(api.CodeTrainingDataForbidden, path(filepath.Join(dir, "secret.csv")))
	f(api.CodeTrainingDataForbidden, path("link.csv"))
	f(api.CodeTrainingDataForbidden, path("sub"))
	f(api.CodeTrainingDataUnreadable, path("absent.csv"))
	f(api.CodeTrainerUnknown, Request{Trainer: "magic"})
	f(api.CodeModelNameInvalid, Request{Trainer: "slow", Model: "../m"})
	f(api.CodeTrainingColumnMissing, Request{Trainer: "picky", Model: "m", Data: Data{CSV: "a,b\n1,2\n"}})
	if left := r.Snapshots().List(); len(left) > 0 {
		t.Errorf("data of refused requests are kept: %v", left)
	}
	f("", Request{Trainer: "picky", Model: "m", Columns: train.Columns{Target: "b"}, Data: Data{CSV: "a,b\n1,2\n"}})
	f(api.CodeSnapshotNotFound, Request{Trainer: "slow", Model: "m", Data: Data{Snapshot: "../../x"}})
	f(api.CodeTrainingParameterInvalid, Request{Trainer: "slow", Model: "m", Data: Data{Path: "a", CSV: "b"}})
	f(api.CodeTrainingDataUnreadable, Request{Trainer: "slow", Model: "m", Data: Data{CSV: "a,a\n"}})
}

// TestStoppedServerGoesOn: a job that the end of its server interrupts runs again with the
// next, and its attempt does not count.
func TestStoppedServerGoesOn(t *testing.T) {
	dir := t.TempDir()
	r, stop := start(t, configIn(t, dir))
	j := create(t, r, request("slow", 1500))
	wait(t, r, j.ID, func(j *Job) bool { return j.Progress != nil })
	stop()
	if k, _ := r.Get(j.ID); k.State != Queued || k.Attempts != 0 {
		t.Errorf("after the stop: %+v", k)
	}
	again, _ := start(t, configIn(t, dir))
	if k := wait(t, again, j.ID, done); k.State != Succeeded || k.Attempts != 1 || versions(dir) != 1 {
		t.Errorf("%+v, %d versions", k, versions(dir))
	}
}

// TestPriority: a child runs at the lowest priority.
func TestPriority(t *testing.T) {
	var out strings.Builder
	cmd := exec.Command("sh", "-c", "cut -d' ' -f19,41 /proc/self/stat")
	cmd.Stdout = &out
	p, err := child.Start(cmd, child.Options{Low: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil || out.String() != "19 5\n" {
		t.Errorf("nice and policy %q, want 19 and 5 (SCHED_IDLE): %v", out.String(), err)
	}
}

// serveUntilKilled is a server: it runs the jobs of a folder and says when it does.
func serveUntilKilled(dir string) {
	self, _ := os.Executable()
	os.Setenv(asChild, "1")
	os.Unsetenv(asServer)
	r, err := Open(Config{Dir: filepath.Join(dir, "train"), Repository: filepath.Join(dir, "models"), Child: []string{self}, Attempts: 1 << 20}, trainers(Site{}), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("up")
	go r.Run(context.Background())
	if os.Getenv(asLeaver) != "" {
		_, err = r.Create(request("leave", 0))
		fmt.Println(err)
		select {}
	}
	for i := 0; ; i++ {
		if j, err := r.Create(request("slow", 1+i%20)); err == nil {
			fmt.Println(j.ID)
		}
		time.Sleep(time.Duration(rand.IntN(80)) * time.Millisecond)
	}
}

// TestNothingIsLeftOfADeadServer: what a program had started that left its group, when its server was killed, is ended before the job is
// run again.
func TestNothingIsLeftOfADeadServer(t *testing.T) {
	dir := t.TempDir()
	c := configIn(t, dir)
	if err := os.MkdirAll(c.Repository, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asServer+"="+dir, asLeaver+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid string
	for n := 0; pid == ""; n++ {
		if n == 1000 {
			t.Fatal("the program does not start")
		}
		time.Sleep(10 * time.Millisecond)
		b, _ := os.ReadFile(filepath.Join(c.Repository, "left"))
		pid = strings.TrimSpace(string(b))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	lives := func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err == nil && !strings.Contains(string(stat), ") Z ")
	}
	time.Sleep(100 * time.Millisecond)
	if !lives() {
		t.Fatal("it is ended without the next server: the test shows nothing")
	}
	r, _ := start(t, c)
	j := wait(t, r, r.List()[0].ID, done)
	if j.Attempts != 2 || j.Error == nil || !strings.Contains(j.Error.Message, "status 3") {
		t.Errorf("%d attempts, %+v", j.Attempts, j.Error)
	}
	if lives() {
		t.Error("it lives on")
	}
}

// TestPowerCut kills the server with its child at random moments. No job that was accepted may
// be lost, none may make two versions, and every version is whole. AIMASS_POWER_CUTS says how
// often (make test-power: 200).
func TestPowerCut(t *testing.T) {
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("AIMASS_POWER_CUTS")); err == nil {
		rounds = n
	}
	dir := t.TempDir()
	var accepted []string
	for round := range rounds {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), asServer+"="+dir)
		pipe, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(pipe)
		if up, err := out.ReadString('\n'); up != "up\n" {
			t.Fatalf("the server says %q: %v", up, err)
		}
		first := ""
		if round == rounds-1 && len(accepted) == 0 { // the last server has taken a job at least
			first, _ = out.ReadString('\n')
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		_ = cmd.Process.Kill()
		rest, _ := io.ReadAll(out)
		_ = cmd.Wait()
		lines := strings.Split(first+string(rest), "\n")
		for _, id := range lines[:len(lines)-1] { // the last may be cut off
			if idForm.MatchString(id) {
				accepted = append(accepted, id)
			}
		}
	}
	c := configIn(t, dir)
	c.Attempts, c.Queue, c.Parallel = 1<<20, 1<<20, 2
	r, _ := start(t, c)
	made := map[int]string{}
	for _, id := range accepted {
		j := wait(t, r, id, done)
		if j.State != Succeeded {
			t.Errorf("job %s is %s: %+v", id, j.State, j.Error)
			continue
		}
		if other, twice := made[j.Result.Version]; twice {
			t.Errorf("jobs %s and %s both made version %d", id, other, j.Result.Version)
		}
		made[j.Result.Version] = id
	}
	for _, j := range r.List() { // those whose id was not printed any more
		wait(t, r, j.ID, done)
	}
	if n, jobs := versions(dir), len(r.List()); n != jobs {
		t.Errorf("%d jobs made %d versions", jobs, n)
	}
	whole, _ := filepath.Glob(filepath.Join(dir, "models", "m", "[0-9]*", "model.onnx"))
	for _, path := range whole {
		if b, _ := os.ReadFile(path); string(b) != "whole" {
			t.Errorf("%s holds %q", path, b)
		}
	}
	if len(accepted) == 0 || len(whole) != versions(dir) {
		t.Errorf("%d jobs, %d models in %d versions", len(accepted), len(whole), versions(dir))
	}
	t.Logf("%d cuts: %d jobs were accepted, %d made whole versions", rounds, len(accepted), len(made))
}
