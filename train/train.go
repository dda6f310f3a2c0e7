// Package train runs training jobs: a trainer by name turns a Job into a new
// version of a model in a repository folder, telling its progress on the way.
//
// Trainers live where their subject lives (train/tabular for tables of any kind,
// appointment/noshow, say) and are handed to a Registry by whoever starts jobs;
// nothing registers itself. The sub-packages are what trainers and jobs are made
// of: table (CSV), features (schema, statistics, checks, drift), tabular (the
// trainers gbdt, linear, mlp, command) on top of gbdt, linear, mlp and program,
// evaluate (metrics, calibration), snapshot (stored data), jobs (the job store
// and its child processes).
//
// Neighbours: runtime below, which trained models are tried on; appointment,
// pipeline (features alone), server and cmd above. A Registry must not be changed
// while jobs run; jobs may run at the same time. The callback of a job is called
// on the goroutine that runs it.
package train

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
)

// Job says what to train on and where the model goes.
type Job struct {
	// Trainer is the name that the trainer is registered by.
	Trainer string
	// ID names the job in the version that it makes; "" in the foreground.
	ID string
	// Data is the path of the training data.
	Data string
	// SHA256, if not empty, is what the data must hash to, in hex.
	SHA256 string
	// Columns says what the columns of the data are for.
	Columns Columns
	// Out is the repository folder; the version goes to Out/<Model>/<n>. A trainer that
	// makes one model alone has its own name for it where Model is "".
	Out, Model string
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

// Columns says what the columns of a table are for. All but Target may be empty.
type Columns struct {
	// Target is what is predicted.
	Target string `json:"target"`
	// Types declares columns that are not to be inferred: "numeric", "categorical" or
	// "ignore".
	Types map[string]string `json:"types,omitempty"`
	// Weight is the column of the rows' weights.
	Weight string `json:"weight,omitempty"`
	// Order is the column that orders the rows: the last of them are tested on.
	Order string `json:"order,omitempty"`
	// Group is the column of which no value is both trained and tested on.
	Group string `json:"group,omitempty"`
	// Missing lists the texts that stand for a missing value, instead of the usual ones.
	Missing []string `json:"missing,omitempty"`
}

// CheckSum holds the data, which hash to got (hex in small letters), to what was asked for.
func (j *Job) CheckSum(got string) error {
	if want := strings.ToLower(j.SHA256); want != "" && want != got {
		return api.Errorf(api.CodeTrainingDataChecksum, "the data's sha256 is %s, %s was asked for", got, want)
	}
	return nil
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
	Stage string `json:"stage"`
	// Step of Steps are done; both 0 where that can't be said.
	Step  int `json:"step,omitempty"`
	Steps int `json:"steps,omitempty"`
	// Message is a line for people, perhaps empty.
	Message string `json:"message,omitempty"`
}

// Metric is a figure of the trained model on the data held out.
type Metric struct {
	// Name is its name in cards; Set the rows that it was measured on.
	Name  string  `json:"name"`
	Set   string  `json:"set"`
	Value float64 `json:"value"`
	// Low and High are an interval at the 95 % level; equal where none was
	// computed.
	Low  float64 `json:"low95"`
	High float64 `json:"high95"`
	// Gate says what the figure had to be, "" where there was no bar; Passed
	// whether it was that.
	Gate   string `json:"gate,omitempty"`
	Passed bool   `json:"passed"`
}

// Result tells what a job made.
type Result struct {
	Model   string `json:"model"`
	Version int    `json:"version,omitempty"`
	// Path is the folder of the new version; "" where a gate was missed.
	Path    string        `json:"-"`
	Metrics []Metric      `json:"metrics,omitempty"`
	Took    time.Duration `json:"-"`
}

// Trainer turns a job into a model version. When a gate is missed it returns
// the Result with its metrics and an error of the code training_gate_missed,
// and writes nothing.
type Trainer func(ctx context.Context, job Job) (Result, error)

// Checker says of a job what is wrong with it, as far as that can be told without its data, of
// which it gets no more than that there are some (Job.Data is not empty). The error is what the
// trainer would end with.
type Checker func(job Job) error

// Registry holds trainers by name.
type Registry map[string]registered

type registered struct {
	train Trainer
	check Checker // nil: nothing can be told
}

// Add registers a trainer. A name taken twice is a broken invariant.
func (r Registry) Add(name string, t Trainer) { r.AddChecked(name, t, nil) }

// AddChecked registers a trainer whose jobs are checked before they are run.
func (r Registry) AddChecked(name string, t Trainer, check Checker) {
	if _, taken := r[name]; taken {
		panic("BUG: train: two trainers are called " + name)
	}
	r[name] = registered{t, check}
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

// Check says whether there is such a trainer, and whether it could do the job: see Checker.
func (r Registry) Check(job Job) error {
	if err := r.has(job.Trainer); err != nil {
		return err
	}
	if check := r[job.Trainer].check; check != nil {
		return check(job)
	}
	return nil
}

func (r Registry) has(name string) error {
	if _, ok := r[name]; !ok {
		return api.Errorf(api.CodeTrainerUnknown, "no trainer is called %q; there are: %s", name, strings.Join(r.Names(), ", "))
	}
	return nil
}

// Run runs the job in the foreground with the trainer it names.
func (r Registry) Run(ctx context.Context, job Job) (Result, error) {
	if err := r.has(job.Trainer); err != nil {
		return Result{}, err
	}
	if job.Now.IsZero() {
		job.Now = time.Now()
	}
	start := time.Now()
	res, err := r[job.Trainer].train(ctx, job)
	res.Took = time.Since(start)
	if err != nil {
		return res, fmt.Errorf("train %s: %w", job.Trainer, err)
	}
	return res, nil
}
