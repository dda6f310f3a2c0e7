// Package program runs a training program that the operator has named: in a process group of its
// own, with limits on time, memory and cores, and an environment that holds what it needs and
// nothing of the server's.
//
// Memory is that of all its processes together. Where a folder of control groups is given, the
// kernel holds that limit, and that of the cores, by a group of the program's own; elsewhere memory is looked at
// many times a second, and a limit of twice as much on each process's data stands behind it.
// When the program ends, in whatever way, every process that it has left is killed.
//
// Neighbours: internal/child below; tabular above. Concurrency: runs are independent.
package program

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/child"
)

// Config names a program and its limits.
type Config struct {
	// Command is the program and its arguments. A name without a slash is looked up in PATH.
	Command []string `yaml:"command"`
	// Time bounds the run. Default 1 h.
	Time time.Duration `yaml:"time"`
	// Memory bounds the memory of all processes together, in bytes. Default 4 GiB.
	Memory int64 `yaml:"memory"`
	// Cores bounds the cores that it may use. Default 1.
	Cores int `yaml:"cores"`
	// Env are further variables.
	Env map[string]string `yaml:"env"`
	// Groups is the folder of control groups in which the program gets one of its own, "" for none.
	Groups string `yaml:"-"`
	// Relay has the program rest and go on when this process is told to by SIGTSTP and SIGCONT.
	Relay bool `yaml:"-"`
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.Time == 0 {
		c.Time = time.Hour
	}
	if c.Memory == 0 {
		c.Memory = 4 << 30
	}
	if c.Cores == 0 {
		c.Cores = 1
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		return errors.New("program: no command is given")
	case c.Time < 0:
		return errors.New("program: time is negative")
	case c.Memory < 1<<20:
		return errors.New("program: memory is in bytes, at least 1048576")
	case c.Cores < 1:
		return errors.New("program: cores must be at least 1")
	}
	return nil
}

// passed are the variables of the server's environment that a program gets.
var passed = []string{"PATH", "LANG", "LC_ALL", "TZ"}

// Run runs the program in dir with the variables given and tells its output line by line. The
// error has the code training_program_failed, training_time_exceeded or
// training_memory_exceeded, or is that of the context.
func Run(ctx context.Context, c Config, dir string, env map[string]string, tell func(line string)) error {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return api.Errorf(api.CodeTrainingProgramFailed, "the program's configuration is wrong: %w", err)
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	cmd.Dir = dir
	cmd.Env = environment(&c, dir, env)
	r, w, err := os.Pipe()
	if err != nil {
		return api.Errorf(api.CodeTrainingProgramFailed, "the program can't be started: %w", err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	group, held := c.group()
	if group != nil {
		defer group.Close()
	}
	tell(fmt.Sprintf("limits: %v, %d MiB, cores: %d; %s", c.Time, c.Memory>>20, c.Cores, held))
	p, err := child.Start(cmd, child.Options{Group: group})
	w.Close()
	if err != nil {
		r.Close()
		return api.Errorf(api.CodeTrainingProgramFailed, "the program %s can't be started: %w", c.Command[0], err)
	}
	limit(p.PID, &c)
	read := make(chan struct{})
	var last tail
	go func() {
		defer close(read)
		readLines(r, func(line string) { last.add(line); tell(line) })
	}()
	go keepTime(limited, &c, p, func() {
		cancel(api.Errorf(api.CodeTrainingTimeExceeded, "the program ran longer than its limit of %v and was ended", c.Time))
	})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		if group == nil {
			watch(limited, p.PID, c.Memory, cancel)
		}
	}()
	select {
	case <-p.Done():
	case <-limited.Done():
		p.Signal(syscall.SIGKILL)
	}
	err = p.Wait()
	cause := context.Cause(limited)
	cancel(nil)
	<-watching
	// Nobody holds the pipe any more, unless a process has left the group: then its lines are
	// not waited for.
	select {
	case <-read:
	case <-time.After(time.Second):
	}
	r.Close()
	if cause != nil {
		return cause
	}
	if group != nil && group.OutOfMemory() {
		return api.Errorf(api.CodeTrainingMemoryExceeded, "the program took more than its limit of %d MiB and was ended by the kernel", c.Memory>>20)
	}
	if err != nil {
		return api.Errorf(api.CodeTrainingProgramFailed, "the program ended with %w%s", err, last.text())
	}
	return nil
}

// mostProcesses bounds the processes and threads of a program in a control group.
const mostProcesses = 4096

// group makes the program's control group, nil if there is none, and says what holds the limits.
func (c *Config) group() (g *child.Group, held string) {
	const otherwise = "memory is looked at every 50ms, each process has twice as much at most"
	if c.Groups == "" {
		return nil, otherwise
	}
	groups, err := child.OpenGroups(c.Groups)
	if err == nil {
		g, err = groups.New(child.Limits{Memory: c.Memory, Cores: c.Cores, Processes: mostProcesses})
	}
	if err != nil {
		return nil, fmt.Sprintf("%s, since %v", otherwise, err)
	}
	return g, "held by the control group " + g.Dir
}

// keepTime calls over when the program has run for its time. What it rests does not count.
func keepTime(ctx context.Context, c *Config, p *child.Process, over func()) {
	turns := make(chan os.Signal, 2)
	if c.Relay {
		notifyTurns(turns)
		defer signal.Stop(turns)
	}
	left, began := c.Time, time.Now()
	timer := time.NewTimer(left)
	defer timer.Stop()
	for rests := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			over()
			return
		case s := <-turns:
			if rest := isPause(s); rest != rests {
				if rests = rest; rest {
					timer.Stop()
					left -= time.Since(began)
				} else {
					began = time.Now()
					timer.Reset(left)
				}
			}
			setResting(p, rests)
		}
	}
}

func environment(c *Config, dir string, env map[string]string) []string {
	out := []string{"HOME=" + dir, "TMPDIR=" + dir, fmt.Sprintf("OMP_NUM_THREADS=%d", c.Cores)}
	for _, k := range passed {
		if v, ok := os.LookupEnv(k); ok {
			out = append(out, k+"="+v)
		}
	}
	for k, v := range c.Env {
		out = append(out, k+"="+v)
	}
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	return out
}

// maxLine bounds a line of output; what is longer is cut.
const maxLine = 4096

func readLines(r io.Reader, f func(string)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, more, err := b.ReadLine()
		if len(line) > 0 || err == nil {
			f(strings.ToValidUTF8(string(line), "�"))
		}
		for more && err == nil {
			_, more, err = b.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

// tail keeps the last lines of output for an error.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(t.lines) == 3 {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, line)
}

func (t *tail) text() string {
	if len(t.lines) == 0 {
		return " and printed nothing"
	}
	return "; it printed last: " + strings.Join(t.lines, " | ")
}
