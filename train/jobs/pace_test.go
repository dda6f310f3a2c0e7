//go:build linux

package jobs

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// stopped tells whether a process is stopped.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.HasPrefix(b[bytes.LastIndexByte(b, ')')+1:], []byte(" T "))
}

// TestRestsWhileRequestsCome: a job is stopped and goes on, again and again, as long as requests
// come, and then only goes on; one that rests can be cancelled.
func TestRestsWhileRequestsCome(t *testing.T) {
	c := configIn(t, t.TempDir())
	var requests atomic.Int64
	var busy atomic.Bool
	c.Traffic = func() (begun, pending int64) {
		if busy.Load() {
			requests.Add(1)
		}
		return requests.Load(), 0
	}
	r, _ := start(t, c)
	j := create(t, r, Request{Trainer: "spin", Model: "m"})
	var pid int
	wait(t, r, j.ID, func(*Job) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if run := r.runs[j.ID]; run != nil && run.process != nil {
			pid = run.process.PID
		}
		return pid != 0
	})
	is := func(want bool) {
		t.Helper()
		for range 10000 {
			if stopped(t, pid) == want {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("stopped is never %v", want)
	}
	is(false)
	busy.Store(true)
	for range 3 {
		is(true)
		is(false)
	}
	busy.Store(false)
	is(false)
	// The last request has to be forgotten, and the rest that it caused to be over.
	time.Sleep(quiet + 5*turn)
	for range 50 {
		if stopped(t, pid) {
			t.Fatal("it rests, and no requests come")
		}
		time.Sleep(time.Millisecond)
	}
	busy.Store(true)
	is(true)
	if _, err := r.Cancel(j.ID); err != nil {
		t.Fatal(err)
	}
	if j := wait(t, r, j.ID, done); j.State != Cancelled {
		t.Errorf("it is %s", j.State)
	}
}
