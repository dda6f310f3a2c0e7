package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Groups is a folder of the version-2 hierarchy of control groups (cgroups(7)) in which this
// process may make groups: one that was delegated to it.
type Groups struct{ dir string }

// controllers are what limits need.
var controllers = []string{"cpu", "memory", "pids"}

// OpenGroups opens the folder dir or, where that is "", the one above this process's own group,
// as a service manager delegates it that puts the service into a group below
// (systemd's Delegate=yes with DelegateSubgroup=). The error, an ErrNoGroups, says what is missing.
func OpenGroups(dir string) (*Groups, error) { return openGroups("/", dir) }

func openGroups(root, dir string) (*Groups, error) {
	if dir == "" {
		var err error
		if dir, err = above(root); err != nil {
			return nil, err
		}
	}
	have := strings.Fields(read(filepath.Join(dir, "cgroup.controllers")))
	for _, c := range controllers {
		if !slices.Contains(have, c) {
			return nil, fmt.Errorf("%w in %s: it has the controllers %q, and %s is needed", ErrNoGroups, dir, strings.Join(have, " "), c)
		}
	}
	if enabled := strings.Fields(read(filepath.Join(dir, "cgroup.subtree_control"))); !slices.Contains(enabled, "cpu") || !slices.Contains(enabled, "memory") ||
		!slices.Contains(enabled, "pids") {
		if err := write(dir, "cgroup.subtree_control", "+"+strings.Join(controllers, " +")); err != nil {
			return nil, fmt.Errorf("%w: %w (a group that holds processes can't have groups with limits below it)", ErrNoGroups, err)
		}
	}
	g := &Groups{dir}
	g.clean()
	probe, err := g.New(Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoGroups, err)
	}
	probe.Close()
	return g, nil
}

// Dir is the folder.
func (g *Groups) Dir() string { return g.dir }

// above is the folder above this process's own group.
func above(root string) (string, error) {
	mount := ""
	for l := range strings.SplitSeq(read(filepath.Join(root, "proc/self/mountinfo")), "\n") {
		before, after, ok := strings.Cut(l, " - cgroup2 ")
		if w := strings.Fields(before); ok && after != "" && len(w) > 4 {
			mount = w[4]
			break
		}
	}
	if mount == "" {
		return "", fmt.Errorf("%w: that hierarchy is not mounted", ErrNoGroups)
	}
	for l := range strings.SplitSeq(read(filepath.Join(root, "proc/self/cgroup")), "\n") {
		own, ok := strings.CutPrefix(l, "0::")
		if !ok {
			continue
		}
		if own == "/" || strings.HasPrefix(own, "/..") {
			return "", fmt.Errorf("%w: this process is in the topmost group that it sees", ErrNoGroups)
		}
		return filepath.Join(root, mount, filepath.Dir(own)), nil
	}
	return "", fmt.Errorf("%w: this process is in no group of that hierarchy", ErrNoGroups)
}

// Group is a control group for one process and what it starts. Its members, however they left
// their process group, are killed by Close.
type Group struct {
	Dir string
	fd  *os.File
}

// prefix, the number of the process that made it and a count name a group.
const prefix = "aimass-"

var made atomic.Int64

// New makes a group below the folder. Beside other groups it only gets the processor time that
// nobody else wants: inside a group of its own a thread's priority counts for nothing outside.
func (g *Groups) New(l Limits) (*Group, error) {
	dir := filepath.Join(g.dir, fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), made.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	err := limitGroup(dir, l)
	if err == nil {
		var f *os.File
		if f, err = os.Open(dir); err == nil {
			return &Group{Dir: dir, fd: f}, nil
		}
	}
	_ = os.Remove(dir)
	return nil, err
}

func limitGroup(dir string, l Limits) error {
	const period = 100000 // µs
	var errs []error
	if l.Memory > 0 {
		errs = append(errs, write(dir, "memory.max", strconv.FormatInt(l.Memory, 10)), write(dir, "memory.oom.group", "1"))
		// Without swap the file is not there, and nothing to be limited.
		_ = write(dir, "memory.swap.max", "0")
	}
	if l.Cores > 0 {
		errs = append(errs, write(dir, "cpu.max", fmt.Sprintf("%d %d", l.Cores*period, period)))
		if write(dir, "cpu.idle", "1") != nil { // Linux 5.15
			errs = append(errs, write(dir, "cpu.weight", "1"))
		}
	}
	if l.Processes > 0 {
		errs = append(errs, write(dir, "pids.max", strconv.Itoa(l.Processes)))
	}
	return errors.Join(errs...)
}

// OutOfMemory tells whether the kernel has killed the members for going beyond their memory.
func (g *Group) OutOfMemory() bool {
	for l := range strings.SplitSeq(read(filepath.Join(g.Dir, "memory.events")), "\n") {
		if n, ok := strings.CutPrefix(l, "oom_kill "); ok && n != "0" {
			return true
		}
	}
	return false
}

// Close kills the members and removes the group.
func (g *Group) Close() {
	g.fd.Close()
	remove(g.Dir)
}

// remove waits for the members to be gone, which the kernel sees to.
func remove(dir string) {
	const tries = 200
	_ = write(dir, "cgroup.kill", "1")
	for range tries {
		if err := syscall.Rmdir(dir); !errors.Is(err, syscall.EBUSY) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// clean removes the groups of processes that are no more.
func (g *Groups) clean() {
	list, _ := filepath.Glob(filepath.Join(g.dir, prefix+"*-*"))
	for _, dir := range list {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if pid, err := strconv.Atoi(owner); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			remove(dir)
		}
	}
}

func read(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// write sets a file of a group; it makes none, since the kernel does.
func write(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
