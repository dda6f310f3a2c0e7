// Package child starts processes that work for this one: leaders of a process group of their
// own, killed when this process dies in whatever way, and, if asked for, at a priority at which
// they only get what nobody else wants, or in a control group with limits. When one ends, what is
// left of its group is killed, and what it started that has left the group: this process becomes
// the parent of that (PR_SET_CHILD_SUBREAPER) and knows it by a variable of its environment. What a process that was killed itself
// could not see to, another ends (EndLeft).
//
// Neighbours: train/program, train/jobs and internal/seal. Concurrency: a Process may be used from any number
// of goroutines.
package child

import (
	"os/exec"
	"sync"
	"syscall"
)

// Process is a process that was started.
type Process struct {
	// PID is also the number of its process group.
	PID  int
	done chan struct{}
	err  error
	// mu keeps a signal from hitting another group, once the number is free again.
	mu    sync.Mutex
	ended bool
}

// Options of a start.
type Options struct {
	// Low gives the process the lowest priority of scheduling, input and output.
	Low bool
	// Spare lets what the process has started live on if it ends well, as the agent that a key command leaves; if not,
	// that is killed all the same. It stays in this process's group, so that it may ask at the terminal: there is no Pause, Resume or Signal.
	Spare bool
	// Group, unless nil, is the control group that it is born in.
	Group *Group
}

// Start starts a command.
func Start(cmd *exec.Cmd, o Options) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, o, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Wait waits for the end and gives what exec.Cmd.Wait gives.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Done is closed at the end.
func (p *Process) Done() <-chan struct{} { return p.done }

// Pause has the group stop as a terminal would, until Resume. A process that leads groups of its
// own passes both on to them.
func (p *Process) Pause() { p.Signal(pauseSignal) }

// Resume has the group go on.
func (p *Process) Resume() { p.Signal(resumeSignal) }

// Signal sends a signal to every process of the group.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		signalGroup(p.PID, s)
	}
}
