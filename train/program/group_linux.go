package program

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/child"
)

// notifyTurns has this process's turns sent; isPause tells which they are.
func notifyTurns(to chan<- os.Signal) { signal.Notify(to, syscall.SIGTSTP, syscall.SIGCONT) }

func isPause(s os.Signal) bool { return s == syscall.SIGTSTP }

// setResting stops a program in a way that it can't refuse, or has it go on.
func setResting(p *child.Process, rests bool) {
	if rests {
		p.Signal(syscall.SIGSTOP)
	} else {
		p.Signal(syscall.SIGCONT)
	}
}

// limit sets the limits of a child from outside: they hold for what it starts and allocates
// next.
func limit(pid int, c *Config) {
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(2 * c.Memory), Max: uint64(2 * c.Memory)}, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	var all, some unix.CPUSet
	if unix.SchedGetaffinity(0, &all) == nil && all.Count() > c.Cores {
		// The last cores: the first ones are everybody's choice.
		for cpu := len(all)*64 - 1; cpu >= 0 && some.Count() < c.Cores; cpu-- {
			if all.IsSet(cpu) {
				some.Set(cpu)
			}
		}
		_ = unix.SchedSetaffinity(pid, &some)
	}
}

// lookEvery is how often memory is looked at.
const lookEvery = 50 * time.Millisecond

// watch ends the run when the processes take more memory together than the limit.
func watch(ctx context.Context, pid int, limit int64, end context.CancelCauseFunc) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if n := memory(pid); n > limit {
				end(api.Errorf(api.CodeTrainingMemoryExceeded, "the program took %d MiB, its limit is %d MiB, and was ended", n>>20, limit>>20))
				return
			}
		}
	}
}

// memory is the resident memory of the group's processes, what they share counted once a
// process.
func memory(pid int) int64 {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	page := int64(os.Getpagesize())
	total := int64(0)
	for _, name := range stats {
		b, err := os.ReadFile(name)
		// The second field is the name in parentheses and may hold anything.
		if i := bytes.LastIndexByte(b, ')'); err == nil && i >= 0 {
			f := bytes.Fields(b[i+1:])
			if len(f) < 22 || string(f[2]) != strconv.Itoa(pid) {
				continue
			}
			pages, _ := strconv.ParseInt(string(f[21]), 10, 64)
			total += pages * page
		}
	}
	return total
}
