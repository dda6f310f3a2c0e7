// Package jobs keeps training jobs: their requests and states on disk, and the child processes
// that run them one after another at low priority, so that serving goes first. A job survives
// the server: one that it was ended with is run again, and since a version names the job that
// made it, no job makes two.
//
// A job's folder has job.json (what was asked for and how it stands, replaced as a whole),
// task.json (what the child is to do), log.jsonl (what it tells) and result.json (what it
// made). The child writes the last two, this package the others.
//
// Neighbours: train, train/snapshot and internal/child below; server and cmd above. The child
// is this binary again (Work).
//
// Concurrency: a Runner is safe for concurrent use. Several servers may share a folder: each runs
// the jobs that it was given, whose locks it holds, and those of a server that is gone.
package jobs

import (
	"encoding/json"
	"os"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/program"
)

// State is how a job stands.
type State string

// The states. The last three do not change.
const (
	Queued    State = "queued"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Done says that the state does not change any more.
func (s State) Done() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Request asks for a job.
type Request struct {
	Trainer string `json:"trainer"`
	// Model is the name of the model that gets a new version.
	Model string `json:"model"`
	Data  Data   `json:"data"`
	train.Columns
	Parameters map[string]Text `json:"parameters,omitempty"`
	// Seed decides every draw; 0 means 1.
	Seed uint64 `json:"seed,omitempty"`
	// Load has the server load the model when the job has succeeded.
	Load bool `json:"load,omitempty"`
}

// Data names the training data in one of these ways, or none for a trainer that makes its own.
type Data struct {
	// Snapshot is the id of one that was uploaded.
	Snapshot string `json:"snapshot,omitempty"`
	// Path is a file below the folder of training data that the server's configuration names.
	Path string `json:"path,omitempty"`
	// CSV is the text itself; it becomes a snapshot.
	CSV string `json:"csv,omitempty"`
	// Requests are inference requests, as a compression is calibrated and compared with; they
	// become a snapshot.
	Requests []json.RawMessage `json:"requests,omitempty"`
	// SHA256, if given, is what the data must hash to.
	SHA256 string `json:"sha256,omitempty"`
}

// Text is a parameter's value: a JSON string, number or bool, kept as its text.
type Text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = Text(s)
		return nil
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[' || b[0] == 'n') {
		return api.Errorf(api.CodeTrainingParameterInvalid, "a parameter is %.40s, expected a string, a number or a bool", b)
	}
	*t = Text(b)
	return nil
}

// Job is a job as the API shows it.
type Job struct {
	ID      string     `json:"id"`
	State   State      `json:"state"`
	Created time.Time  `json:"created"`
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
	// Attempts counts how often it was begun.
	Attempts int         `json:"attempts"`
	Request  Request     `json:"request"`
	Progress *Line       `json:"progress,omitempty"`
	Result   *Result     `json:"result,omitempty"`
	Error    *ErrorState `json:"error,omitempty"`

	// lock is held by the server that runs the job, nil in all others.
	lock *os.File
}

// Result is what a job has made; of a failed one, the figures alone.
type Result struct {
	Model   string         `json:"model,omitempty"`
	Version int            `json:"version,omitempty"`
	Metrics []train.Metric `json:"metrics,omitempty"`
	Seconds float64        `json:"seconds"`
}

// ErrorState is why a job has failed.
type ErrorState struct {
	Code    api.Code `json:"code"`
	Message string   `json:"message"`
}

// Line is a line of a job's log.
type Line struct {
	Time time.Time `json:"time"`
	train.Event
}

// task is what the child is to do.
type task struct {
	Trainer    string            `json:"trainer"`
	ID         string            `json:"id"`
	Data       string            `json:"data"`
	SHA256     string            `json:"sha256,omitempty"`
	Columns    train.Columns     `json:"columns"`
	Out        string            `json:"out"`
	Model      string            `json:"model"`
	Seed       uint64            `json:"seed"`
	Workers    int               `json:"workers"`
	Now        time.Time         `json:"now"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Site
}

// Site is what the server's configuration lets jobs use, and no request can name.
type Site struct {
	// Programs are those that the trainer command may run.
	Programs map[string]program.Config `json:"programs,omitempty"`
	// Groups is the folder of control groups for programs, "" for none.
	Groups string `json:"groups,omitempty"`
	// ModelKeys is where the keys of sealed models come from, "" for nowhere.
	ModelKeys string `json:"model_keys,omitempty"`
}

// outcome is what the child leaves in result.json.
type outcome struct {
	Result Result      `json:"result"`
	Error  *ErrorState `json:"error,omitempty"`
}
