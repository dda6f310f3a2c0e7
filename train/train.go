// Package train runs training jobs: a trainer by name turns a Job into a new
// version of a model in a repository folder, telling its progress on the way.
//
// Trainers live where their subject lives (appointment/noshow, say) and are
// handed to a Registry by whoever starts jobs; nothing registers itself. The
// sub-packages are what trainers are made of: gbdt (trees), evaluate (metrics,
// calibration).
//
// Neighbours: appointment and cmd above. A Registry must not be changed while
// jobs run; jobs may run at the same time. The callback of a job is called on
// the goroutine that runs it.
package train

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Job says what to train on and where the model goes.
type Job struct {
	// Trainer is the name that the trainer is registered by.
	Trainer string
	// Data is the path of the training data.
	Data string
	// SHA256, if not empty, is what the data must hash to, in hex.
	SHA256 string
	// Out is the repository folder; the version goes to Out/<model>/<n>.
	Out string
	// Seed decides every draw of the training.
	Seed uint64
	// Workers is how many cores to use; 0 means all.
	Workers int
	// Now is the time of the training as cards record it and as outcomes are
	// checked against; zero means the clock.
	Now time.Time
	// Parameters are the trainer's own settings by name; an unknown one is an
	// error.
	Parameters map[string]string
	// Progress, if not nil, is told what happens.
	Progress func(Event)
}

// Tell reports an event if anyone listens.
func (j *Job) Tell(e Event) {
	if j.Progress != nil {
		j.Progress(e)
	}
}

// Event is one piece of progress.
type Event struct {
	// Stage is what is being done, in a word or two.
	Stage string
	// Step of Steps are done; both 0 where that can't be said.
	Step, Steps int
	// Message is a line for people, perhaps empty.
	Message string
}

// Metric is a figure of the trained model on the data held out.
type Metric struct {
	// Name is its name in cards; Set the rows that it was measured on.
	Name, Set string
	Value     float64
	// Low and High are an interval at the 95 % level; equal where none was
	// computed.
	Low, High float64
	// Gate says what the figure had to be, "" where there was no bar; Passed
	// whether it was that.
	Gate   string
	Passed bool
}

// Result tells what a job made.
type Result struct {
	Model   string
	Version int
	// Path is the folder of the new version; "" where a gate was missed.
	Path    string
	Metrics []Metric
	Took    time.Duration
}

// Trainer turns a job into a model version. When a gate is missed it returns
// the Result with its metrics and an *Error of CodeGateMissed, and writes
// nothing.
type Trainer func(ctx context.Context, job Job) (Result, error)

// Registry holds trainers by name.
type Registry map[string]Trainer

// Add registers a trainer. A name taken twice is a broken invariant.
func (r Registry) Add(name string, t Trainer) {
	if _, taken := r[name]; taken {
		panic("BUG: train: two trainers are called " + name)
	}
	r[name] = t
}

// Names lists the trainers in order.
func (r Registry) Names() []string {
	names := make([]string, 0, len(r))
	for n := range r {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Run runs the job in the foreground with the trainer it names.
func (r Registry) Run(ctx context.Context, job Job) (Result, error) {
	t, ok := r[job.Trainer]
	if !ok {
		return Result{}, Errorf(CodeTrainerUnknown, "no trainer is called %q; there are: %s", job.Trainer, strings.Join(r.Names(), ", "))
	}
	if job.Now.IsZero() {
		job.Now = time.Now()
	}
	start := time.Now()
	res, err := t(ctx, job)
	res.Took = time.Since(start)
	if err != nil {
		return res, fmt.Errorf("train %s: %w", job.Trainer, err)
	}
	return res, nil
}
