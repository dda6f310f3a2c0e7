package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Query says which lines are wanted. Empty fields don't matter.
type Query struct {
	RequestID, TraceID, Model, Tenant, Code string
	// Level is the least: DEBUG, INFO, WARN or ERROR.
	Level string
	// Text is anywhere in the line.
	Text string
	// Since and Until bound the time.
	Since, Until time.Time
	// Limit bounds the lines; the latest are given.
	Limit int
}

// Levels, rising.
var Levels = []string{"DEBUG", "INFO", "WARN", "ERROR"}

// matcher looks at lines.
type matcher struct {
	q     Query
	quick [][]byte // must be in the line
	level int
}

func newMatcher(q Query) *matcher {
	m := &matcher{q: q, level: slices.Index(Levels, q.Level)}
	for _, v := range []string{q.RequestID, q.TraceID, q.Model, q.Tenant, q.Code, q.Text} {
		// A value that JSON may spell in several ways is left to the exact look.
		if v != "" && !strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7e || strings.ContainsRune(`"\<>&`, r) }) {
			m.quick = append(m.quick, []byte(v))
		}
	}
	return m
}

// wants reports whether a line is wanted. What is no line of ours, as one that a power cut
// tore, is not.
func (m *matcher) wants(line []byte) bool {
	for _, v := range m.quick {
		if !bytes.Contains(line, v) {
			return false
		}
	}
	var l struct {
		Time      time.Time `json:"time"`
		Level     string    `json:"level"`
		RequestID string    `json:"request_id"`
		TraceID   string    `json:"trace_id"`
		Model     string    `json:"model"`
		Tenant    string    `json:"tenant"`
		Code      string    `json:"code"`
	}
	if json.Unmarshal(line, &l) != nil {
		return false
	}
	is := func(got, want string) bool { return want == "" || got == want }
	q := &m.q
	return is(l.RequestID, q.RequestID) && is(l.TraceID, q.TraceID) && is(l.Model, q.Model) && is(l.Tenant, q.Tenant) && is(l.Code, q.Code) &&
		(m.level < 0 || slices.Index(Levels, l.Level) >= m.level) && (q.Text == "" || bytes.Contains(line, []byte(q.Text))) &&
		(q.Since.IsZero() || !l.Time.Before(q.Since)) && (q.Until.IsZero() || l.Time.Before(q.Until))
}

// Find gives the latest lines that are wanted, in the order of their times, and whether
// there are more.
func (j *Journal) Find(ctx context.Context, q Query) (lines [][]byte, more bool, err error) {
	select {
	case j.queries <- struct{}{}:
		defer func() { <-j.queries }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	m := newMatcher(q)
	if j.cfg.Dir == "" {
		lines, more = j.inMemory(m)
		return lines, more, nil
	}
	seen := map[string]bool{}
	for _, e := range slices.Backward(j.files()) {
		base := strings.TrimSuffix(e.Name(), packed)
		if seen[base] || !covers(e, q) {
			continue
		}
		seen[base] = true
		found, cut, err := j.inFile(ctx, e.Name(), m)
		if err != nil {
			return nil, false, err
		}
		lines, more = append(found, lines...), more || cut
		if len(lines) >= q.Limit {
			break // files of several processes overlap in time; the next may have later lines, seldom
		}
	}
	slices.SortStableFunc(lines, func(a, b []byte) int { return bytes.Compare(timeOf(a), timeOf(b)) })
	if n := len(lines) - q.Limit; n > 0 {
		lines, more = lines[n:], true
	}
	return lines, more, nil
}

// timeOf is the text of a line's time, which orders as the time does: slog writes one
// zone, and its fractions of a second only differ in length at the end.
func timeOf(line []byte) []byte {
	_, rest, _ := bytes.Cut(line, []byte(`"time":"`))
	t, _, _ := bytes.Cut(rest, []byte{'"'})
	return bytes.TrimSuffix(t, []byte{'Z'})
}

// covers reports whether a file may have lines of the time that is asked for.
func covers(e os.DirEntry, q Query) bool {
	name := strings.TrimPrefix(e.Name(), prefix)
	began, err := time.Parse(layout, name[:min(len(name), len(layout))])
	if err == nil && !q.Until.IsZero() && began.After(q.Until) {
		return false
	}
	st, err := e.Info()
	return err != nil || q.Since.IsZero() || !st.ModTime().Before(q.Since.Add(-time.Second))
}

func (j *Journal) inMemory(m *matcher) ([][]byte, bool) {
	j.mu.Lock()
	all := slices.Clone(j.memory)
	j.mu.Unlock()
	last := &latest{limit: m.q.Limit}
	for _, line := range all {
		if m.wants(line) {
			last.add(line)
		}
	}
	return last.lines()
}

// latest keeps the last lines of many.
type latest struct {
	limit int
	ring  [][]byte
	n     int
}

func (l *latest) add(line []byte) {
	if l.limit <= 0 {
		l.n++
		return
	}
	line = bytes.TrimSuffix(bytes.Clone(line), []byte{'\n'})
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, line)
	} else {
		l.ring[l.n%l.limit] = line
	}
	l.n++
}

func (l *latest) lines() (lines [][]byte, more bool) {
	if l.n <= len(l.ring) {
		return l.ring, false
	}
	if l.limit <= 0 {
		return nil, true
	}
	k := l.n % l.limit
	return append(slices.Clone(l.ring[k:]), l.ring[:k]...), true
}

// maxLine bounds a line; longer ones are passed over.
const maxLine = 1 << 20

func (j *Journal) inFile(ctx context.Context, name string, m *matcher) ([][]byte, bool, error) {
	path := filepath.Join(j.cfg.Dir, name)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		// It was compressed since the folder was listed, or removed.
		if f, err = os.Open(path + packed); errors.Is(err, os.ErrNotExist) {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(f.Name(), packed) {
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, false, err
		}
		defer z.Close()
		r = z
	}
	last := &latest{limit: m.q.Limit}
	in := bufio.NewReaderSize(r, maxLine)
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		if err == nil && m.wants(line) {
			last.add(line)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // the rest of a line that is too long is no JSON, and not wanted
		}
		if err != nil {
			break // the end, or what a power cut left: all lines before it count
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
	}
	lines, more := last.lines()
	return lines, more, nil
}

// Tail follows the journal.
type Tail struct {
	m       *matcher
	lines   chan []byte
	journal *Journal
	dropped int64 // guarded by the journal's mu
}

// tailBuffer bounds the lines that wait for a reader of a Tail.
const tailBuffer = 1024

// Follow gives the latest lines that are wanted, as Find does, and then, by the Tail, those to
// come whatever Until is: each line once. The Tail must be closed.
func (j *Journal) Follow(ctx context.Context, q Query) (past [][]byte, t *Tail, err error) {
	live := q
	live.Until = time.Time{}
	t = &Tail{m: newMatcher(live), lines: make(chan []byte, tailBuffer), journal: j}
	j.mu.Lock()
	j.tails[t] = struct{}{}
	j.mu.Unlock()
	// Followed before it is searched, so that no line falls between.
	if past, _, err = j.Find(ctx, q); err != nil {
		t.Close()
		return nil, nil, err
	}
	t.forget(past)
	return past, t, nil
}

// forget takes out what waits and was found as well: a line is offered before it can be found.
func (t *Tail) forget(past [][]byte) {
	t.journal.mu.Lock()
	defer t.journal.mu.Unlock()
	if _, open := t.journal.tails[t]; !open {
		return
	}
	found := map[string]int{}
	for _, line := range past {
		found[string(line)]++
	}
	for range len(t.lines) {
		line := <-t.lines
		if found[string(line)] > 0 {
			found[string(line)]--
			continue
		}
		t.lines <- line // there is room: nobody else offers meanwhile
	}
}

// offer hands a line on, or drops it if the reader is too slow.
func (t *Tail) offer(line []byte) {
	if !t.m.wants(line) {
		return
	}
	select {
	case t.lines <- bytes.TrimSuffix(bytes.Clone(line), []byte{'\n'}):
	default:
		t.dropped++
	}
}

func (t *Tail) end() { close(t.lines) }

// Lines has the lines; it is closed when the journal is.
func (t *Tail) Lines() <-chan []byte { return t.lines }

// Dropped counts the lines that the reader was too slow for.
func (t *Tail) Dropped() int64 {
	t.journal.mu.Lock()
	defer t.journal.mu.Unlock()
	return t.dropped
}

// Close ends following.
func (t *Tail) Close() {
	t.journal.mu.Lock()
	defer t.journal.mu.Unlock()
	delete(t.journal.tails, t)
}
