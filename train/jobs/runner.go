package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/child"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/snapshot"
)

// Config of a Runner.
type Config struct {
	// Dir holds jobs and snapshots; it is made when the first comes.
	Dir string
	// Repository is the folder of models that jobs publish to.
	Repository string
	// DataDir holds files that jobs may name by path; "" allows none.
	DataDir string
	// Parallel is how many jobs run at once. Default 1.
	Parallel int
	// Workers is the cores that one job computes on. Default: one less than there are.
	Workers int
	// Share is the part of the time, 0 to 1, in which jobs run while requests come. Default 0.1;
	// 1 has them run always.
	Share float64
	// Traffic, unless nil, tells of the requests that come.
	Traffic Traffic
	// Queue bounds the jobs that wait. Default 100.
	Queue int
	// Attempts is how often a job is begun before restarts of the server count against it.
	// Default 3.
	Attempts int
	Site
	// Child is the command line that runs Work; the job's folder is added. Default: this
	// binary's own.
	Child []string
	// Loaded, unless nil, is called when a job that asks for it has succeeded, to load its
	// model.
	Loaded func(ctx context.Context, model string) error
}

const defaultShare = 0.1

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	set := func(to *int, n int) {
		if *to == 0 {
			*to = n
		}
	}
	set(&c.Parallel, 1)
	set(&c.Workers, max(1, goruntime.GOMAXPROCS(0)-1))
	set(&c.Queue, 100)
	if c.Share == 0 {
		c.Share = defaultShare
	}
	set(&c.Attempts, 3)
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	if c.Dir == "" || c.Repository == "" {
		return errors.New("jobs: Dir and Repository must be given")
	}
	if c.Parallel < 1 || c.Workers < 1 || c.Queue < 1 || c.Attempts < 1 {
		return errors.New("jobs: Parallel, Workers, Queue and Attempts must be at least 1")
	}
	if c.Share < 0.01 || c.Share > 1 {
		return errors.New("jobs: Share must be 0.01 to 1")
	}
	for _, p := range c.Programs {
		if err := p.WithDefaults().Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Runner keeps the jobs of one folder and runs them.
type Runner struct {
	cfg       Config
	jobs      string
	snapshots *snapshot.Store
	trainers  train.Registry
	log       *slog.Logger
	wake      chan struct{}

	mu   sync.Mutex
	all  map[string]*Job
	runs map[string]*running
}

// running is a job that a child works on.
type running struct {
	process   *child.Process
	cancelled bool
}

// Open reads the jobs of a folder. trainers are those that requests may name. Nothing runs
// before Run.
func Open(c Config, trainers train.Registry, log *slog.Logger) (*Runner, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(c.Child) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		c.Child = []string{self, "train", "run-job"}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{cfg: c, jobs: filepath.Join(c.Dir, "jobs"), snapshots: snapshot.Open(filepath.Join(c.Dir, "snapshots")), trainers: trainers, log: log,
		wake: make(chan struct{}, 1), all: map[string]*Job{}, runs: map[string]*running{}}
	list, err := r.readJobs()
	for _, j := range list {
		r.all[j.ID] = j
	}
	return r, err
}

// Snapshots gives the store of data.
func (r *Runner) Snapshots() *snapshot.Store { return r.snapshots }

// Trainers lists the trainers that jobs may name.
func (r *Runner) Trainers() []string { return r.trainers.Names() }

// Run runs the jobs until ctx ends; then those in progress are ended and wait for the next Run,
// here or of another server on the folder. What a server before has left running is settled first.
func (r *Runner) Run(ctx context.Context) {
	r.look()
	defer r.letGo()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { r.follow(ctx) })
	slots := make(chan struct{}, r.cfg.Parallel)
	for {
		for {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			j := r.next()
			if j == nil {
				<-slots
				break
			}
			wg.Go(func() {
				defer func() { <-slots; r.wakeUp() }()
				r.run(ctx, j)
			})
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// settle ends a job by what its child has left; false means that it has left nothing. A child
// that was killed between publishing and saying so has published all the same.
func (r *Runner) settle(j *Job) bool {
	if o := r.readOutcome(j.ID); o != nil {
		r.end(j, o)
		return true
	}
	if path, version, ok := train.Published(r.cfg.Repository, j.Request.Model, j.ID); ok {
		o := &outcome{Result: Result{Model: filepath.Base(filepath.Dir(path)), Version: version}}
		if b, err := os.ReadFile(filepath.Join(path, "report.json")); err == nil {
			var rep struct {
				Metrics []train.Metric `json:"metrics"`
				Seconds float64        `json:"seconds"`
			}
			if json.Unmarshal(b, &rep) == nil {
				o.Result.Metrics, o.Result.Seconds = rep.Metrics, rep.Seconds
			}
		}
		r.end(j, o)
		return true
	}
	return false
}

// end makes a state final; r.mu is held.
func (r *Runner) end(j *Job, o *outcome) {
	now := time.Now().UTC()
	j.Ended, j.State = &now, Succeeded
	if j.Error = o.Error; o.Error != nil {
		if j.State = Failed; o.Error.Code == api.CodeTrainingCancelled {
			j.State = Cancelled
		}
	}
	if o.Result.Version > 0 || o.Result.Metrics != nil {
		j.Result = &o.Result
	}
	r.save(j)
	j.release()
	level, code, reason := slog.LevelInfo, "", ""
	if j.Error != nil {
		code, reason = string(j.Error.Code), j.Error.Message
	}
	if j.State == Failed {
		level = slog.LevelWarn
	}
	r.log.Log(context.Background(), level, "job ended", "job", j.ID, "trainer", j.Request.Trainer, "model", j.Request.Model, "state", string(j.State), "code", code, "reason", reason)
}

// next takes the oldest job that waits and makes it running.
func (r *Runner) next() *Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first *Job
	for _, j := range r.all {
		if j.State == Queued && j.lock != nil && (first == nil || cmp.Compare(j.ID, first.ID) < 0) {
			first = j
		}
	}
	if first != nil {
		now := time.Now().UTC()
		first.State, first.Started = Running, &now
		first.Attempts++
		r.save(first)
		r.runs[first.ID] = &running{}
	}
	return first
}

// patience is how long a child may take to end after it was asked to.
const patience = 5 * time.Second

// run has a child do a job.
func (r *Runner) run(ctx context.Context, j *Job) {
	err := r.begin(j)
	r.mu.Lock()
	run := r.runs[j.ID]
	r.mu.Unlock()
	if err == nil {
		select {
		case <-run.process.Done():
		case <-ctx.Done():
			run.process.Signal(syscall.SIGTERM)
			select {
			case <-run.process.Done():
			case <-time.After(patience):
				run.process.Signal(syscall.SIGKILL)
			}
		}
		err = run.process.Wait()
	}
	r.mu.Lock()
	delete(r.runs, j.ID)
	stopped := ctx.Err() != nil && !run.cancelled
	switch o := r.readOutcome(j.ID); {
	case stopped && (o == nil || o.Error != nil && o.Error.Code == api.CodeTrainingCancelled):
		// The server ends: the job waits for the next one, and this attempt does not count.
		_ = os.Remove(filepath.Join(r.folder(j.ID), resultFile))
		j.State, j.Started = Queued, nil
		j.Attempts--
		r.save(j)
	case r.settle(j):
	case run.cancelled:
		r.end(j, &outcome{Error: &ErrorState{api.CodeTrainingCancelled, "the job was cancelled"}})
	case exitStatus(err) == exitDiskFull:
		r.end(j, &outcome{Error: &ErrorState{api.CodeTrainingDiskFull, "there was no room for the job's result"}})
	case err != nil && api.CodeOf(err) != api.CodeInternal:
		r.end(j, &outcome{Error: errorState(err)})
	default:
		text := "the job's process ended without a result"
		if err != nil {
			text += ": " + err.Error()
		}
		r.end(j, &outcome{Error: &ErrorState{api.CodeTrainingProgramFailed, text}})
	}
	load := j.State == Succeeded && j.Request.Load && r.cfg.Loaded != nil
	r.mu.Unlock()
	if load {
		if err := r.cfg.Loaded(ctx, j.Result.Model); err != nil {
			r.log.Error("the model of a job can't be loaded", "job", j.ID, "model", j.Result.Model, "error", err.Error())
		}
	}
}

func exitStatus(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return 0
}

// begin writes the task and starts the child.
func (r *Runner) begin(j *Job) error {
	dir := r.folder(j.ID)
	t := task{Trainer: j.Request.Trainer, ID: j.ID, SHA256: j.Request.Data.SHA256, Columns: j.Request.Columns, Out: r.cfg.Repository, Model: j.Request.Model,
		Seed: max(1, j.Request.Seed), Workers: r.cfg.Workers, Now: j.Created, Site: r.cfg.Site, Parameters: j.Request.parameters()}
	var err error
	if t.Data, err = r.dataPath(&j.Request.Data); err != nil {
		return err
	}
	js, err := json.Marshal(t)
	if err == nil {
		err = train.WriteFile(filepath.Join(dir, taskFile), js)
	}
	if err != nil {
		return train.WriteError(err, "the job's task can't be written")
	}
	out, err := os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return train.WriteError(err, "the job's log can't be written")
	}
	defer out.Close()
	cmd := exec.Command(r.cfg.Child[0], append(slices.Clone(r.cfg.Child[1:]), dir)...)
	cmd.Stdout, cmd.Stderr = out, out
	// The child's own collector keeps to the job's cores, too: the rest are the server's.
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(r.cfg.Workers))
	p, err := child.Start(cmd, child.Options{Low: true})
	if err != nil {
		return api.Errorf(api.CodeTrainingProgramFailed, "the job's process can't be started: %w", err)
	}
	if r.cfg.Traffic != nil && r.cfg.Share < 1 {
		go pace(p, r.cfg.Traffic, r.cfg.Share)
	}
	r.mu.Lock()
	run := r.runs[j.ID]
	run.process = p
	late := run.cancelled
	r.mu.Unlock()
	if late {
		r.stop(p)
	}
	return nil
}

// stop asks a child to end and makes it, if it does not.
func (r *Runner) stop(p *child.Process) {
	p.Signal(syscall.SIGTERM)
	go func() {
		select {
		case <-p.Done():
		case <-time.After(patience):
			p.Signal(syscall.SIGKILL)
		}
	}()
}
