package jobs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/child"
)

// A job's folder has ownerFile, locked by the server that runs the job, and cancelFile once another
// server was asked to cancel it. lookEvery is how often servers look at what others did.
const (
	ownerFile  = "owner"
	cancelFile = "cancel"
	lookEvery  = time.Second
)

// own takes the lock of a job's folder; nil without an error where another holds it. The lock
// goes with the process, however that ends.
func own(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	return nil, err
}

// release gives the job's lock back.
func (j *Job) release() {
	if j.lock != nil {
		_ = j.lock.Close()
		j.lock = nil
	}
}

// letGo gives all locks back: this server runs nothing any more.
func (r *Runner) letGo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.all {
		j.release()
	}
}

// find gives a job as it stands, nil where there is none; r.mu is held. What another server runs
// is read anew.
func (r *Runner) find(id string) *Job {
	if j := r.all[id]; j == nil || j.lock == nil && !j.State.Done() {
		if !idForm.MatchString(id) {
			return nil
		}
		if fresh, err := r.readJob(id); err == nil {
			r.all[id] = fresh
		}
	}
	return r.all[id]
}

// refresh reads what other servers have made or changed; r.mu is held.
func (r *Runner) refresh() {
	entries, _ := os.ReadDir(r.jobs)
	for _, e := range entries {
		r.find(e.Name())
	}
}

// follow looks at what other servers on the folder do until ctx ends.
func (r *Runner) follow(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.look()
			r.wakeUp()
		case <-ctx.Done():
			return
		}
	}
}

// look takes over the jobs whose server is gone, and cancels those that another was asked to
// cancel.
func (r *Runner) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	for _, j := range r.all {
		if j.State.Done() {
			continue
		}
		if j.lock == nil && !r.adopt(j) {
			continue
		}
		if _, err := os.Stat(filepath.Join(r.folder(j.ID), cancelFile)); err == nil {
			r.cancel(j)
		}
	}
}

// adopt takes over a job that no server runs: one whose child had done its work is ended by that,
// another waits again, unless it was tried often enough. It reports whether the job is this
// server's now, to run.
func (r *Runner) adopt(j *Job) bool {
	lock, err := own(r.folder(j.ID))
	if err != nil {
		r.log.Error("a job can't be locked and waits", "job", j.ID, "error", err.Error())
	}
	if lock == nil {
		return false
	}
	// Read again under the lock: its server may have ended it since.
	if fresh, err := r.readJob(j.ID); err == nil {
		*j = *fresh
	}
	if j.lock = lock; j.State.Done() {
		j.release()
		return false
	}
	if j.State == Queued {
		return true
	}
	if n := child.EndLeft(); n > 0 {
		r.log.Warn("processes that a dead server had left were ended", "job", j.ID, "processes", n)
	}
	if r.settle(j) {
		r.log.Info("a job was found done after a restart", "job", j.ID, "state", j.State)
		return false
	}
	if j.Attempts >= r.cfg.Attempts {
		r.end(j, &outcome{Error: &ErrorState{api.CodeTrainingInterrupted, "the server was ended while the job ran, in each of its attempts"}})
		return false
	}
	j.State, j.Started = Queued, nil
	r.save(j)
	r.log.Info("a job that was interrupted waits again", "job", j.ID, "attempts", j.Attempts)
	return true
}
