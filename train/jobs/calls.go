package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/snapshot"
)

// Create stores a job, to be run when its turn comes. What can be said at once about a bad
// request is.
func (r *Runner) Create(q Request) (*Job, error) {
	if q.Model != "" && !config.ValidName(q.Model) {
		return nil, api.Errorf(api.CodeModelNameInvalid, "got the model name '%.100s', expected letters, digits and . _ - with no dot in front", q.Model)
	}
	given := 0
	for _, there := range []bool{q.Data.Snapshot != "", q.Data.Path != "", q.Data.CSV != "", len(q.Data.Requests) > 0} {
		if there {
			given++
		}
	}
	if given > 1 {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "data has %d of snapshot, path, csv and requests, expected one", given)
	}
	if err := r.trainers.Check(q.job(given > 0)); err != nil {
		return nil, err
	}
	if err := r.storeData(&q); err != nil {
		return nil, err
	}
	if _, err := r.dataPath(&q.Data); err != nil {
		return nil, err
	}
	j := &Job{State: Queued, Created: time.Now().UTC().Truncate(time.Millisecond), Request: q}
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := 0
	for _, other := range r.all {
		if other.State == Queued {
			waiting++
		}
	}
	if waiting >= r.cfg.Queue {
		return nil, api.Errorf(api.CodeTrainingQueueFull, "%d jobs wait already", waiting)
	}
	for j.ID = newID(j.Created); r.all[j.ID] != nil; j.ID = newID(j.Created) {
	}
	if err := r.create(j); err != nil {
		return nil, err
	}
	r.all[j.ID] = j
	r.wakeUp()
	shown := *j
	return &shown, nil
}

// job is what a trainer checks of a request.
func (q *Request) job(withData bool) train.Job {
	j := train.Job{Trainer: q.Trainer, SHA256: q.Data.SHA256, Columns: q.Columns, Model: q.Model, Seed: q.Seed, Parameters: q.parameters()}
	if withData {
		j.Data = "data"
	}
	return j
}

func (q *Request) parameters() map[string]string {
	out := map[string]string{}
	for k, v := range q.Parameters {
		out[k] = string(v)
	}
	return out
}

// storeData makes a snapshot of data that came with the request.
func (r *Runner) storeData(q *Request) error {
	name, kind, text := q.Model+".csv", snapshot.Table, []byte(q.Data.CSV)
	if len(q.Data.Requests) > 0 {
		name, kind, text = q.Model+".jsonl", snapshot.Requests, nil
		for _, one := range q.Data.Requests {
			var b bytes.Buffer
			_ = json.Compact(&b, one) // it came out of valid JSON
			text = append(append(text, b.Bytes()...), '\n')
		}
	}
	if len(text) == 0 {
		return nil
	}
	snap, err := r.snapshots.Add(name, kind, bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	q.Data.CSV, q.Data.Requests, q.Data.Snapshot = "", nil, snap.ID
	return nil
}

// dataPath finds the file that a job names.
func (r *Runner) dataPath(d *Data) (string, error) {
	switch {
	case d.Snapshot != "":
		if _, err := r.snapshots.Get(d.Snapshot); err != nil {
			return "", err
		}
		return r.snapshots.Path(d.Snapshot), nil
	case d.Path == "":
		return "", nil
	case r.cfg.DataDir == "":
		return "", api.Errorf(api.CodeTrainingDataForbidden, "the server's configuration names no folder of training data: upload the data as a snapshot")
	case !filepath.IsLocal(d.Path):
		return "", api.Errorf(api.CodeTrainingDataForbidden, "the path '%.200s' leaves the folder of training data", d.Path)
	}
	// Links that lead out of the folder are refused by opening the file below it.
	root, err := os.OpenRoot(r.cfg.DataDir)
	if err != nil {
		return "", api.Wrap(api.CodeTrainingDataUnreadable, err, "the folder of training data can't be opened")
	}
	defer root.Close()
	st, err := root.Stat(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", api.Errorf(api.CodeTrainingDataUnreadable, "there is no file '%.200s' in the folder of training data", d.Path)
	}
	if err != nil || !st.Mode().IsRegular() {
		return "", api.Errorf(api.CodeTrainingDataForbidden, "'%.200s' is no file of the folder of training data", d.Path)
	}
	return filepath.Join(r.cfg.DataDir, d.Path), nil
}

// notFound is the error of an unknown id.
func notFound(id string) error {
	return api.Errorf(api.CodeTrainingJobNotFound, "there is no job '%.80s'", id)
}

// Get describes a job.
func (r *Runner) Get(id string) (*Job, error) {
	r.mu.Lock()
	j := r.find(id)
	if j == nil {
		r.mu.Unlock()
		return nil, notFound(id)
	}
	shown := *j
	r.mu.Unlock()
	shown.Progress = r.progress(id)
	return &shown, nil
}

// List lists the jobs, the newest first.
func (r *Runner) List() []*Job {
	r.mu.Lock()
	r.refresh()
	out := []*Job{}
	for _, j := range r.all {
		shown := *j
		out = append(out, &shown)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b *Job) int { return cmp.Compare(b.ID, a.ID) })
	for _, j := range out {
		if j.State == Running {
			j.Progress = r.progress(j.ID)
		}
	}
	return out
}

// Cancel ends a job that waits or runs. A running one ends soon after, one of another server when
// that looks.
func (r *Runner) Cancel(id string) (*Job, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.find(id)
	switch {
	case j == nil:
		return nil, notFound(id)
	case j.State.Done():
		return nil, api.Errorf(api.CodeTrainingJobFinished, "the job has ended: it is %s", j.State)
	case j.lock == nil:
		if err := os.WriteFile(filepath.Join(r.folder(id), cancelFile), nil, 0o644); err != nil {
			return nil, train.WriteError(err, "the job can't be cancelled")
		}
	default:
		r.cancel(j)
	}
	shown := *j
	return &shown, nil
}

// cancel ends a job of this server; r.mu is held.
func (r *Runner) cancel(j *Job) {
	if j.State == Queued {
		r.end(j, &outcome{Error: &ErrorState{api.CodeTrainingCancelled, "the job was cancelled before it began"}})
		return
	}
	if run := r.runs[j.ID]; run != nil && !run.cancelled {
		run.cancelled = true
		if run.process != nil {
			r.stop(run.process)
		}
	}
}

// RemoveSnapshot deletes data that no job waits for or works on.
func (r *Runner) RemoveSnapshot(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	for _, j := range r.all {
		if !j.State.Done() && j.Request.Data.Snapshot == id {
			return api.Errorf(api.CodeSnapshotInUse, "job %s, which is %s, needs the snapshot", j.ID, j.State)
		}
	}
	return r.snapshots.Remove(id)
}

// logLook is how often a log that is followed is looked at, and logPiece how much of it at a
// time.
const (
	logLook  = 100 * time.Millisecond
	logPiece = 1 << 20
)

// Log calls f with the lines of a job's log from an offset on, and with the offset behind each
// call's lines. With follow it goes on until the job has ended or ctx has; f is then also
// called, with no lines, now and then, and its error ends it, too.
func (r *Runner) Log(ctx context.Context, id string, from int64, follow bool, f func(lines []json.RawMessage, next int64) error) error {
	for {
		j, err := r.Get(id)
		if err != nil {
			return err
		}
		lines, next, err := r.readLog(id, from, logPiece)
		if err != nil {
			return err
		}
		if err := f(lines, next); err != nil {
			return err
		}
		if next > from {
			from = next
			continue
		}
		if !follow || j.State.Done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(logLook):
		}
	}
}

// Artefacts lists the files that a job has left: its log and those of its version.
func (r *Runner) Artefacts(id string) ([]string, error) {
	j, err := r.Get(id)
	if err != nil {
		return nil, err
	}
	out := []string{}
	if _, err := os.Stat(filepath.Join(r.folder(id), logFile)); err == nil {
		out = append(out, logFile)
	}
	if dir := r.versionFolder(j); dir != "" {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Type().IsRegular() {
				out = append(out, e.Name())
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// versionFolder is where the version that a job made lies, "" if it made none.
func (r *Runner) versionFolder(j *Job) string {
	if j.State != Succeeded || j.Result == nil || j.Result.Version == 0 {
		return ""
	}
	path, _, _ := train.Published(r.cfg.Repository, j.Request.Model, j.ID)
	return path
}

// Artefact opens one of them; the caller closes it.
func (r *Runner) Artefact(id, name string) (*os.File, error) {
	names, err := r.Artefacts(id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, name) {
		return nil, api.Errorf(api.CodeTrainingJobNotFound, "job %s has no artefact '%.80s'; it has: %s", id, name, strings.Join(names, ", "))
	}
	dir := r.folder(id)
	if name != logFile {
		j, err := r.Get(id)
		if err != nil {
			return nil, err
		}
		dir = r.versionFolder(j)
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingJobNotFound, "the artefact %s of job %s is gone", strconv.Quote(name), id)
	}
	return f, nil
}
