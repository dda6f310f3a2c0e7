// Package journal keeps the server's log so that it can be searched and followed: in
// files of one JSON object a line, which are closed when they are large or old enough,
// compressed with zstd and in the end removed; or, without a folder, the latest lines in
// memory.
//
//	aimass-20261125T210249.123Z-4711.jsonl        being written, by process 4711
//	aimass-20261124T090000.000Z-4711.jsonl.zst    closed
//
// `zstdcat FILE | jq` reads one. Several processes may share a folder: a file that is
// being written is locked, what a dead process left is compressed by the next one.
//
// Neighbours: server/logs writes lines, rest answers queries.
//
// Ownership: Write copies. Lines that come out belong to the caller.
//
// Concurrency: everything is safe for concurrent use.
//
// A disk that is full loses lines and is told of by Lost; it never stops a request.
package journal

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Config of a journal.
type Config struct {
	// Dir is the folder of the files; empty: memory.
	Dir string
	// FileBytes and FileAge close a file. Defaults 64 MiB, one day.
	FileBytes int64
	FileAge   time.Duration
	// KeepBytes bounds all files together, closed ones as compressed. Default 1 GiB.
	KeepBytes int64
	// MemoryBytes bounds the lines in memory where there is no folder. Default 4 MiB.
	MemoryBytes int
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.FileBytes == 0 {
		c.FileBytes = 64 << 20
	}
	if c.FileAge == 0 {
		c.FileAge = 24 * time.Hour
	}
	if c.KeepBytes == 0 {
		c.KeepBytes = 1 << 30
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 4 << 20
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	if c.FileBytes < 1024 || c.KeepBytes < c.FileBytes || c.FileAge < 0 {
		return fmt.Errorf("log files: %d bytes a file and %d in all, expected at least 1024, and in all no less than one", c.FileBytes, c.KeepBytes)
	}
	return nil
}

// Journal keeps lines.
type Journal struct {
	cfg Config

	mu     sync.Mutex
	file   *os.File // nil without a folder
	size   int64
	opened time.Time
	torn   bool // the last write ended in the middle of a line
	lost   int64
	memory [][]byte
	used   int
	tails  map[*Tail]struct{}

	tidying sync.Mutex
	work    sync.WaitGroup
	queries chan struct{} // bounds the searches at once
}

const (
	prefix = "aimass-"
	suffix = ".jsonl"
	packed = ".zst"
	layout = "20060102T150405.000Z"
)

// New makes a journal and opens its first file.
func New(cfg Config) (*Journal, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	j := &Journal{cfg: cfg, tails: map[*Tail]struct{}{}, queries: make(chan struct{}, 2)}
	if cfg.Dir == "" {
		return j, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("log files: %w", err)
	}
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("log files: %w", err)
	}
	j.work.Go(j.tidy)
	return j, nil
}

// open begins a file. j.mu is held, or nobody has j yet.
func (j *Journal) open() error {
	now := time.Now().UTC()
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s%s-%d%s", prefix, now.Add(time.Duration(n)*time.Millisecond).Format(layout), os.Getpid(), suffix)
		f, err := os.OpenFile(filepath.Join(j.cfg.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
		if os.IsExist(err) && n < 1000 {
			continue
		}
		if err != nil {
			return err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			return err
		}
		j.file, j.size, j.opened, j.torn = f, 0, now, false
		return nil
	}
}

// Write takes one line, with its line feed. It fails never: what can't be written is
// counted.
func (j *Journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for t := range j.tails {
		t.offer(line)
	}
	if j.cfg.Dir == "" {
		j.remember(line)
		return len(line), nil
	}
	if j.file == nil || j.size > 0 && (j.size+int64(len(line)) > j.cfg.FileBytes || time.Since(j.opened) > j.cfg.FileAge) {
		j.rotate()
	}
	if j.file == nil {
		j.lost++
		return len(line), nil
	}
	if j.torn {
		n, _ := j.file.Write([]byte{'\n'})
		j.torn = n == 0
	}
	n, err := j.file.Write(line)
	j.size += int64(n)
	if err != nil {
		j.lost++
		j.torn = j.torn || n > 0
	}
	return len(line), nil
}

func (j *Journal) remember(line []byte) {
	j.memory = append(j.memory, slices.Clone(line))
	j.used += len(line)
	drop := 0
	for j.used > j.cfg.MemoryBytes && drop < len(j.memory)-1 {
		j.used -= len(j.memory[drop])
		drop++
	}
	clear(j.memory[:drop]) // for the collector: the array lives until append needs a new one
	j.memory = j.memory[drop:]
}

// rotate closes the file and begins another; the old one is compressed meanwhile. j.mu is
// held.
func (j *Journal) rotate() {
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
	if j.open() == nil {
		j.work.Go(j.tidy)
	}
}

// Lost counts lines that the disk did not take.
func (j *Journal) Lost() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// Close ends the journal; its last file is compressed by the process that comes next.
func (j *Journal) Close() error {
	j.mu.Lock()
	for t := range j.tails {
		t.end()
	}
	j.tails = map[*Tail]struct{}{}
	var err error
	if j.file != nil {
		err = j.file.Close()
		j.file = nil
	}
	j.mu.Unlock()
	j.work.Wait()
	return err
}

// files lists the journal's files by name, which is by time.
func (j *Journal) files() []fs.DirEntry {
	entries, _ := os.ReadDir(j.cfg.Dir)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		n := e.Name()
		return !strings.HasPrefix(n, prefix) || !strings.HasSuffix(n, suffix) && !strings.HasSuffix(n, suffix+packed)
	})
}

// tidy compresses what is closed and removes the oldest files beyond the bound.
func (j *Journal) tidy() {
	j.tidying.Lock()
	defer j.tidying.Unlock()
	for _, e := range j.files() {
		if strings.HasSuffix(e.Name(), suffix) {
			j.pack(filepath.Join(j.cfg.Dir, e.Name()))
		}
	}
	var total int64
	for _, e := range slices.Backward(j.files()) {
		st, err := e.Info()
		if err != nil {
			continue
		}
		if total += st.Size(); total > j.cfg.KeepBytes && strings.HasSuffix(e.Name(), packed) {
			_ = os.Remove(filepath.Join(j.cfg.Dir, e.Name()))
		}
	}
}

// pack compresses a closed file in its place. A reader sees the one or the other, for an
// instant both.
func (j *Journal) pack(path string) {
	in, err := os.Open(path)
	if err != nil {
		return
	}
	defer in.Close()
	if syscall.Flock(int(in.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return // it is being written
	}
	tmp := path + packed + ".new"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return
	}
	defer os.Remove(tmp)
	z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	if err == nil {
		if _, err = io.Copy(z, in); err == nil {
			err = z.Close()
		}
	}
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err != nil || cerr != nil {
		return // the plain file stays
	}
	if st, err := in.Stat(); err == nil {
		_ = os.Chtimes(tmp, st.ModTime(), st.ModTime())
	}
	if os.Rename(tmp, path+packed) == nil {
		_ = os.Remove(path)
	}
}
