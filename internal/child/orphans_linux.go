package child

import (
	"bytes"
	"os"
	"os/exec"
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

// mark names this process in the environment of those that it starts, and of all that they start: the first process of
// a container is left other people's orphans, too.
var mark = "AIMASS_CHILD_OF=" + strconv.Itoa(os.Getpid())

// adopt makes this process the parent of what cmd will leave behind, and has it known by the mark.
func adopt(cmd *exec.Cmd) {
	reap()
	cmd.Env = append(cmd.Environ(), mark)
}

var reap = sync.OnceFunc(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// killOrphans kills the processes with the mark that were left to this one, as one that left its group by setsid.
// As each one dies, what it has started is left to this process in turn.
func killOrphans() {
	const rounds = 200
	for range rounds {
		found := false
		starting.Lock()
		for pid := range orphans {
			found = true
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
		starting.Unlock()
		if !found {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// orphans yields the processes that killOrphans is about.
func orphans(yield func(pid int) bool) {
	self := strconv.Itoa(os.Getpid())
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
		// The second field is the name in parentheses and may hold anything; state and parent follow.
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if err != nil || len(f) < 2 || string(f[1]) != self || !marked(name) {
			continue
		}
		if _, ours := leaders.Load(pid); !ours && !yield(pid) {
			return
		}
	}
}

func marked(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/environ")
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		if string(entry) == mark {
			return true
		}
	}
	return false
}
