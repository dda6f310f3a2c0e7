package program

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aimass/aimass/api"
)

// group is a running program with its processes.
type group struct {
	cmd *exec.Cmd
	pid int
}

// start starts the program as the leader of a process group that dies with this process.
func start(cmd *exec.Cmd, c *Config) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g := &group{cmd: cmd, pid: cmd.Process.Pid}
	// Limits of a child are set from here: they hold for what it starts and allocates next.
	_ = unix.Prlimit(g.pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(2 * c.Memory), Max: uint64(2 * c.Memory)}, nil)
	_ = unix.Prlimit(g.pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	var all, some unix.CPUSet
	if unix.SchedGetaffinity(0, &all) == nil && all.Count() > c.Cores {
		// The last cores: the first ones are everybody's choice.
		for cpu := len(all)*64 - 1; cpu >= 0 && some.Count() < c.Cores; cpu-- {
			if all.IsSet(cpu) {
				some.Set(cpu)
			}
		}
		_ = unix.SchedSetaffinity(g.pid, &some)
	}
	return g, nil
}

func (g *group) wait() error { return g.cmd.Wait() }

// kill ends all processes of the group.
func (g *group) kill() { _ = syscall.Kill(-g.pid, syscall.SIGKILL) }

// lookEvery is how often memory is looked at.
const lookEvery = 50 * time.Millisecond

// watch ends the run when the processes take more memory together than the limit.
func (g *group) watch(ctx context.Context, limit int64, end context.CancelCauseFunc) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if n := g.memory(); n > limit {
				end(api.Errorf(api.CodeTrainingMemoryExceeded, "the program took %d MiB, its limit is %d MiB, and was ended", n>>20, limit>>20))
				return
			}
		}
	}
}

// memory is the resident memory of the group's processes, what they share counted once a
// process.
func (g *group) memory() int64 {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	page := int64(os.Getpagesize())
	total := int64(0)
	for _, name := range stats {
		b, err := os.ReadFile(name)
		// The second field is the name in parentheses and may hold anything.
		if i := bytes.LastIndexByte(b, ')'); err == nil && i >= 0 {
			f := bytes.Fields(b[i+1:])
			if len(f) < 22 || string(f[2]) != strconv.Itoa(g.pid) {
				continue
			}
			pages, _ := strconv.ParseInt(string(f[21]), 10, 64)
			total += pages * page
		}
	}
	return total
}
