//go:build !linux

package child

import (
	"os"
	"os/exec"
	"syscall"
)

// Elsewhere than on Linux nothing is paused: signal 0 does nothing.
const (
	pauseSignal  = syscall.Signal(0)
	resumeSignal = syscall.Signal(0)
)

// EndLeft finds nothing elsewhere than on Linux.
func EndLeft() int { return 0 }

// run starts and awaits the command; elsewhere than on Linux it has no group, outlives this
// process and runs at the usual priority.
func (p *Process) run(cmd *exec.Cmd, _ Options, started chan<- error) {
	err := cmd.Start()
	if err == nil {
		p.PID = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	p.err = cmd.Wait()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(p.done)
}

func signalGroup(pid int, s syscall.Signal) {
	if q, err := os.FindProcess(pid); err == nil {
		_ = q.Signal(s)
	}
}
