package child

import (
	"errors"
	"os/exec"
	goruntime "runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// What Pause and Resume send; a process can be told of both.
const (
	pauseSignal  = syscall.SIGTSTP
	resumeSignal = syscall.SIGCONT
)

// run starts and awaits the command on one thread, which it never gives back: the kernel kills
// the process when the thread that started it ends, and the priority is inherited from it.
func (p *Process) run(cmd *exec.Cmd, o Options, started chan<- error) {
	goruntime.LockOSThread()
	if o.Low {
		lowPriority()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !o.Spare, Pdeathsig: syscall.SIGKILL}
	if o.Group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(o.Group.fd.Fd())
	}
	own := adopt(cmd, o)
	starting.RLock()
	err := cmd.Start()
	if err == nil {
		p.PID = cmd.Process.Pid
		leaders.Store(p.PID, p)
	}
	starting.RUnlock()
	started <- err
	if err != nil {
		return
	}
	// The leader stays a zombie, and its number taken, until the rest of the group is gone.
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.mu.Lock()
	if p.ended = true; !o.Spare {
		signalGroup(p.PID, syscall.SIGKILL)
	}
	p.mu.Unlock()
	if !o.Spare {
		killOrphans()
	}
	p.err = cmd.Wait()
	leaders.CompareAndDelete(p.PID, p)
	if o.Spare && p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		killMarked(own)
	}
	close(p.done)
}

// lowPriority lowers this thread: SCHED_IDLE runs when nothing else wants the core, and so does
// its input and output.
func lowPriority() {
	const (
		ioWhoThread = 1
		ioIdle      = 3 << 13
	)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioWhoThread, 0, ioIdle)
}

func signalGroup(pid int, s syscall.Signal) { _ = syscall.Kill(-pid, s) }
