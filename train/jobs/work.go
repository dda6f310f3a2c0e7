package jobs

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
)

// The files of a job's folder.
const (
	jobFile    = "job.json"
	taskFile   = "task.json"
	logFile    = "log.jsonl"
	resultFile = "result.json"
)

// Work runs a job's task in this process, which is the child: it tells its progress on standard
// output, one JSON line each, and leaves its outcome in the folder. The error is for the
// outcome that can't be written; that of the training is in it.
func Work(ctx context.Context, dir string, trainers func(Site) train.Registry) error {
	b, err := os.ReadFile(filepath.Join(dir, taskFile))
	if err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	for name, p := range t.Programs {
		p.Relay, p.Groups = true, t.Groups
		t.Programs[name] = p
	}
	told := &teller{out: os.Stdout}
	job := train.Job{Trainer: t.Trainer, ID: t.ID, Data: t.Data, SHA256: t.SHA256, Columns: t.Columns, Out: t.Out, Model: t.Model,
		Seed: t.Seed, Workers: t.Workers, Now: t.Now, Parameters: t.Parameters, Progress: told.tell}
	res, err := trainers(t.Site).Run(ctx, job)
	o := outcome{Result: Result{Model: res.Model, Version: res.Version, Metrics: res.Metrics, Seconds: res.Took.Seconds()}}
	if err != nil {
		o.Error = errorState(err)
		told.tell(train.Event{Stage: "failed", Message: o.Error.Message})
	} else {
		told.tell(train.Event{Stage: "done", Message: "wrote version " + filepath.Base(res.Path)})
	}
	js, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := train.WriteFile(filepath.Join(dir, resultFile), js); err != nil {
		return train.WriteError(err, "the job's result can't be written")
	}
	return nil
}

// exitDiskFull is the status of a child that had no room for its result (ENOSPC).
const exitDiskFull = 28

// ExitCode is the status that a child ends with when Work fails, by which the server knows a
// full disk.
func ExitCode(err error) int {
	if api.CodeOf(err) == api.CodeTrainingDiskFull {
		return exitDiskFull
	}
	return 1
}

// errorState is how an error is kept. A job's errors are shown to those alone who may change
// the server, so the cause is, too.
func errorState(err error) *ErrorState {
	s := &ErrorState{Code: api.CodeOf(err), Message: api.Message(err)}
	switch s.Code {
	case api.CodeCancelled:
		s.Code, s.Message = api.CodeTrainingCancelled, "the job was cancelled"
	case api.CodeInternal:
		s.Message = err.Error()
	}
	return s
}

// The bounds on a job's log.
const (
	mostLog  = 16 << 20
	restless = 100 * time.Millisecond
)

// teller writes events as lines: of one stage not more often than once in a while, unless they
// have no steps.
type teller struct {
	out     *os.File
	stage   string
	last    time.Time
	written int
}

func (t *teller) tell(e train.Event) {
	now := time.Now()
	if e.Stage == t.stage && e.Steps > 0 && e.Step < e.Steps && now.Sub(t.last) < restless {
		return
	}
	t.stage, t.last = e.Stage, now
	last := e.Stage == "failed" || e.Stage == "done"
	b, err := json.Marshal(Line{Time: now.UTC(), Event: e})
	if err != nil || t.written > mostLog && !last {
		return
	}
	if t.written += len(b) + 1; t.written > mostLog && !last {
		b, _ = json.Marshal(Line{Time: now.UTC(), Event: train.Event{Stage: e.Stage, Message: "the log is full: what follows is left out"}})
	}
	_, _ = t.out.Write(append(b, '\n'))
}
