package journal

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newJournal(t *testing.T, cfg Config) *Journal {
	t.Helper()
	j, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func logger(j *Journal) *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func find(t *testing.T, j *Journal, q Query) (texts []string, more bool) {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	lines, more, err := j.Find(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		texts = append(texts, string(l))
	}
	return texts, more
}

// TestFilters holds in memory and in files alike.
func TestFilters(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		j := newJournal(t, Config{Dir: dir})
		l := logger(j)
		l.Info("request", "request_id", "a", "model", "m", "tenant", "t1")
		l.Warn("request refused", "request_id", "b", "model", "m", "code", "queue_full")
		l.Debug("executed", "request_id", "a", "model", "m")
		l.Error("odd \"id\" <é>", "request_id", "\"<é>\"", "model", "n", "trace_id", "77")
		f := func(q Query, want int) {
			t.Helper()
			if got, _ := find(t, j, q); len(got) != want {
				t.Errorf("%+v: %d lines, want %d: %v", q, len(got), want, got)
			}
		}
		f(Query{}, 4)
		f(Query{RequestID: "a"}, 2)
		f(Query{RequestID: "\"<é>\""}, 1)
		f(Query{Model: "m", Level: "INFO"}, 2)
		f(Query{Level: "ERROR"}, 1)
		f(Query{Code: "queue_full"}, 1)
		f(Query{Code: "queue_ful"}, 0)
		f(Query{Tenant: "t1"}, 1)
		f(Query{TraceID: "77"}, 1)
		f(Query{Text: "refused"}, 1)
		f(Query{Since: time.Now().Add(time.Hour)}, 0)
		f(Query{Until: time.Now().Add(-time.Hour)}, 0)
		f(Query{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}, 4)
		if got, more := find(t, j, Query{Limit: 2}); len(got) != 2 || !more || !strings.Contains(got[0], "executed") {
			t.Errorf("the latest two: %v %v", got, more)
		}
	}
}

// TestRotation: many small files, compressed, found in order, and bounded.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, Config{Dir: dir, FileBytes: 2000, KeepBytes: 1 << 20})
	l := logger(j)
	for i := range 500 {
		l.Info("line", "request_id", fmt.Sprint(i%7), "n", i)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	packed, _ := filepath.Glob(filepath.Join(dir, "*.zst"))
	plain, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if len(packed) < 15 || len(plain) > 2 {
		t.Errorf("%d compressed files, %d plain", len(packed), len(plain))
	}
	again := newJournal(t, Config{Dir: dir, FileBytes: 2000, KeepBytes: 1 << 20})
	got, _ := find(t, again, Query{RequestID: "3"})
	if len(got) != 71 {
		t.Errorf("%d lines of request 3, want 71", len(got))
	}
	for i, line := range got {
		if !strings.Contains(line, fmt.Sprintf(`"n":%d}`, i*7+3)) {
			t.Fatalf("line %d is %s", i, line)
		}
	}
	small := newJournal(t, Config{Dir: dir, FileBytes: 2000, KeepBytes: 2000})
	small.work.Wait()
	left, _ := filepath.Glob(filepath.Join(dir, "*.zst"))
	if len(left) >= len(packed) || len(left) == 0 {
		t.Errorf("%d of %d files are left", len(left), len(packed))
	}
}

// TestTorn: what a power cut left of a line loses that line alone.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "aimass-20260101T000000.000Z-1.jsonl"), []byte("{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"INFO\",\"msg\":\"whole\"}\n{\"time\":\"2026-01-0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "aimass-20260101T000001.000Z-1.jsonl.zst"), []byte("no zstd"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := newJournal(t, Config{Dir: dir})
	if got, _ := find(t, j, Query{}); len(got) != 1 || !strings.Contains(got[0], "whole") {
		t.Error(got)
	}
}

func TestMemoryBound(t *testing.T) {
	j := newJournal(t, Config{MemoryBytes: 10000})
	l := logger(j)
	for i := range 1000 {
		l.Info("line", "n", i)
	}
	got, _ := find(t, j, Query{})
	if len(got) == 0 || len(got) > 200 || !strings.HasSuffix(got[len(got)-1], `"n":999}`) || j.used > 10000 {
		t.Errorf("%d lines, %d bytes", len(got), j.used)
	}
}

// TestFollowEachOnce: whoever begins to follow while lines are written gets each once and
// in order, those that were there and those that come.
func TestFollowEachOnce(t *testing.T) {
	for k := range 10 {
		dir := ""
		if k%2 == 1 {
			dir = t.TempDir()
		}
		j := newJournal(t, Config{Dir: dir})
		l := logger(j)
		const before, during = 50, 400
		for i := range before {
			l.Info("line", "n", i)
		}
		begun, written := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(written)
			for i := range during {
				l.Info("line", "n", before+i)
				if i == during/8 {
					close(begun)
				}
			}
		}()
		<-begun
		got, tail, err := j.Follow(context.Background(), Query{Limit: 10000})
		if err != nil {
			t.Fatal(err)
		}
		<-written
		for len(tail.Lines()) > 0 {
			got = append(got, <-tail.Lines())
		}
		tail.Close()
		if len(got) != before+during {
			t.Errorf("%q: %d lines of %d", dir, len(got), before+during)
		}
		for i, line := range got {
			if !strings.Contains(string(line), fmt.Sprintf(`"n":%d}`, i)) {
				t.Fatalf("%q: line %d is %s", dir, i, line)
			}
		}
	}
}

// TestForget: what was found and waits as well is given once; a line that stands twice in the
// log stays twice.
func TestForget(t *testing.T) {
	j := newJournal(t, Config{})
	_, tail, err := j.Follow(context.Background(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	for _, line := range []string{`{"n":1}`, `{"n":2}`, `{"n":2}`, `{"n":3}`} {
		_, _ = j.Write([]byte(line + "\n"))
	}
	tail.forget([][]byte{[]byte(`{"n":0}`), []byte(`{"n":1}`), []byte(`{"n":2}`)})
	var got []string
	for len(tail.Lines()) > 0 {
		got = append(got, string(<-tail.Lines()))
	}
	if want := []string{`{"n":2}`, `{"n":3}`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFollow: a follower gets what it wants, in order; a slow one loses lines and holds
// nobody up.
func TestFollow(t *testing.T) {
	j := newJournal(t, Config{})
	l := logger(j)
	_, quick, err := j.Follow(context.Background(), Query{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	_, slow, err := j.Follow(context.Background(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	n := 0
	wg.Go(func() {
		for line := range quick.Lines() {
			if !strings.Contains(string(line), fmt.Sprintf(`"n":%d,`, n)) {
				t.Errorf("line %d is %s", n, line)
			}
			if n++; n == tailBuffer/2 {
				return
			}
		}
	})
	for i := range tailBuffer / 2 {
		l.Info("line", "n", i, "model", "m")
		l.Info("line", "n", i, "model", "other")
		l.Info("line", "n", i, "model", "other")
	}
	wg.Wait()
	if d := slow.Dropped(); d != tailBuffer/2 {
		t.Errorf("%d lines dropped", d)
	}
	quick.Close()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for range slow.Lines() {
	}
	slow.Close()
}

// TestFullDisk: lines are lost and counted, and the log goes on.
func TestFullDisk(t *testing.T) {
	j := newJournal(t, Config{Dir: t.TempDir()})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Logf("NOT RUN: no /dev/full: %v", err)
		return
	}
	j.mu.Lock()
	good := j.file
	j.file = full
	j.mu.Unlock()
	logger(j).Info("lost")
	j.mu.Lock()
	j.file = good
	j.mu.Unlock()
	full.Close()
	logger(j).Info("kept")
	if got, _ := find(t, j, Query{}); len(got) != 1 || j.Lost() != 1 || !strings.Contains(got[0], "kept") {
		t.Errorf("%v, %d lost", got, j.Lost())
	}
}
