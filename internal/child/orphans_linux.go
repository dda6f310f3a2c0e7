package child

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leaders are the processes that Start started and that have not been waited for. While one is being
// started, and is in a group of its own but not yet among them, nobody looks for orphans.
var (
	leaders  sync.Map
	starting sync.RWMutex
)

// adopt makes this process the parent of what its children leave behind.
var adopt = sync.OnceFunc(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// killOrphans kills the processes that were left to this one and are in another process group than it, as one
// that left its own by setsid: neither a leader nor what another package started. As each one dies, what it
// has started is left to this process in turn.
func killOrphans() {
	const rounds = 200
	for range rounds {
		found := false
		starting.Lock()
		for pid := range orphans {
			found = true
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		starting.Unlock()
		if !found {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// orphans yields the processes that killOrphans is about, zombies too.
func orphans(yield func(pid int) bool) {
	self, group := strconv.Itoa(os.Getpid()), strconv.Itoa(syscall.Getpgrp())
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + name + "/stat")
		// The second field is the name in parentheses and may hold anything; state, parent and group follow.
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if err != nil || len(f) < 3 || string(f[1]) != self || string(f[2]) == group {
			continue
		}
		if _, ours := leaders.Load(pid); !ours && !yield(pid) {
			return
		}
	}
}
