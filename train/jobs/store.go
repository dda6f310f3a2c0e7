package jobs

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
)

// newID makes ids that sort by time.
func newID(now time.Time) string {
	var b [4]byte
	rand.Read(b[:])
	return now.UTC().Format("20060102-150405") + fmt.Sprintf("%03d-", now.Nanosecond()/1e6) + hex.EncodeToString(b[:])
}

var idForm = regexp.MustCompile(`^[0-9]{8}-[0-9]{9}-[0-9a-f]{8}$`)

// create makes a job's folder, all at once.
func (r *Runner) create(j *Job) error {
	if err := os.MkdirAll(r.jobs, 0o755); err != nil {
		return train.WriteError(err, "the job can't be stored")
	}
	tmp, err := os.MkdirTemp(r.jobs, ".new-")
	if err != nil {
		return train.WriteError(err, "the job can't be stored")
	}
	defer os.RemoveAll(tmp)
	js, err := json.MarshalIndent(j, "", "  ")
	if err == nil {
		err = train.WriteFile(filepath.Join(tmp, jobFile), js)
	}
	if err == nil {
		j.lock, err = own(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, r.folder(j.ID))
	}
	if err == nil {
		err = syncFolder(r.jobs)
	}
	if err != nil {
		j.release()
		return train.WriteError(err, "the job can't be stored")
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (r *Runner) folder(id string) string { return filepath.Join(r.jobs, id) }

// save replaces a job's file. A failure is logged: the job goes on, and after a restart stands
// as it did before.
func (r *Runner) save(j *Job) {
	js, err := json.MarshalIndent(j, "", "  ")
	if err == nil {
		err = train.WriteFile(filepath.Join(r.folder(j.ID), jobFile), js)
	}
	if err != nil {
		r.log.Error("a job's state can't be stored", "job", j.ID, "error", err.Error())
	}
}

// readJobs reads every job there is; folders that hold none are passed over.
func (r *Runner) readJobs() ([]*Job, error) {
	entries, err := os.ReadDir(r.jobs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []*Job
	for _, e := range entries {
		if !idForm.MatchString(e.Name()) {
			continue
		}
		j, err := r.readJob(e.Name())
		if err != nil {
			r.log.Error("a job can't be read and is passed over", "job", e.Name(), "error", err.Error())
			continue
		}
		out = append(out, j)
	}
	return out, err
}

func (r *Runner) readJob(id string) (*Job, error) {
	b, err := os.ReadFile(filepath.Join(r.folder(id), jobFile))
	j := &Job{}
	if err == nil {
		err = json.Unmarshal(b, j)
	}
	if err == nil && j.ID != id {
		err = fmt.Errorf("it holds job %.80q", j.ID)
	}
	return j, err
}

// readOutcome reads what the child has left, nil if nothing.
func (r *Runner) readOutcome(id string) *outcome {
	b, err := os.ReadFile(filepath.Join(r.folder(id), resultFile))
	o := &outcome{}
	if err != nil || json.Unmarshal(b, o) != nil {
		return nil
	}
	return o
}

// lastBytes is how much of a log's end is looked at for the progress.
const lastBytes = 8 << 10

// progress is the last line of a job's log.
func (r *Runner) progress(id string) *Line {
	f, err := os.Open(filepath.Join(r.folder(id), logFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > lastBytes {
		_, _ = f.Seek(-lastBytes, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, 2*lastBytes))
	lines := bytes.Split(b, []byte{'\n'})
	for i := len(lines) - 1; i >= 0; i-- {
		l := &Line{}
		if json.Unmarshal(lines[i], l) == nil && l.Stage != "" {
			return l
		}
	}
	return nil
}

// readLog reads whole lines of a job's log from an offset on, at most limit bytes, and gives the
// offset behind them. Lines that are no JSON, such as a stack trace, are wrapped.
func (r *Runner) readLog(id string, from int64, limit int) ([]json.RawMessage, int64, error) {
	f, err := os.Open(filepath.Join(r.folder(id), logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, from, nil
	}
	if err != nil {
		return nil, from, api.Wrap(api.CodeInternal, err, "the job's log can't be read")
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, from, api.Wrap(api.CodeInternal, err, "the job's log can't be read")
	}
	b := bufio.NewReader(io.LimitReader(f, int64(limit)))
	var out []json.RawMessage
	for {
		line, err := b.ReadBytes('\n')
		if err != nil {
			return out, from, nil // a line that is being written waits for the next look
		}
		from += int64(len(line))
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			line, _ = json.Marshal(Line{Event: train.Event{Stage: "output", Message: string(bytes.ToValidUTF8(line, []byte("�")))}})
		}
		out = append(out, line)
	}
}
