//go:build linux

package child

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hierarchy makes what the kernel shows of a service in a delegated group: the file system from
// the root on.
func hierarchy(t *testing.T, controllers, enabled string) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	dir = filepath.Join(root, "sys/fs/cgroup/system.slice/aimass.service")
	for name, text := range map[string]string{
		"proc/self/mountinfo": "24 1 0:22 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
		"proc/self/cgroup":    "1:name=systemd:/elsewhere\n0::/system.slice/aimass.service/server\n",
		"sys/fs/cgroup/system.slice/aimass.service/cgroup.controllers":     controllers + "\n",
		"sys/fs/cgroup/system.slice/aimass.service/cgroup.subtree_control": enabled + "\n",
	} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root, dir
}

func TestOpenGroups(t *testing.T) {
	root, dir := hierarchy(t, "cpuset cpu io memory pids", "")
	g, err := openGroups(root, "")
	if err != nil || g.Dir() != dir {
		t.Fatalf("%v, %v", g, err)
	}
	if got := read(filepath.Join(dir, "cgroup.subtree_control")); got != "+cpu +memory +pids" {
		t.Errorf("enabled: %q", got)
	}
	if list, _ := filepath.Glob(filepath.Join(dir, prefix+"*")); len(list) > 0 {
		t.Errorf("left: %v", list)
	}
	bad := func(want string, change func(root, dir string), given string) {
		t.Helper()
		root, dir := hierarchy(t, "cpu memory pids", "cpu memory pids")
		change(root, dir)
		if given != "" {
			given = filepath.Join(root, given)
		}
		if _, err := openGroups(root, given); !errors.Is(err, ErrNoGroups) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	set := func(name, text string) func(root, dir string) {
		return func(root, _ string) { _ = os.WriteFile(filepath.Join(root, name), []byte(text), 0o644) }
	}
	bad("not mounted", set("proc/self/mountinfo", "24 1 0:22 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"), "")
	bad("topmost", set("proc/self/cgroup", "0::/\n"), "")
	bad("in no group", set("proc/self/cgroup", "1:cpu:/\n"), "")
	bad("memory is needed", set("sys/fs/cgroup/system.slice/aimass.service/cgroup.controllers", "cpu pids\n"), "")
	bad("cpu is needed", func(string, string) {}, "absent")
	bad("holds processes", func(_, dir string) {
		// What the kernel answers to a group with processes of its own, it does for any write.
		if err := errors.Join(os.Remove(filepath.Join(dir, "cgroup.subtree_control")), os.Mkdir(filepath.Join(dir, "cgroup.subtree_control"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}, "")
}

// TestLimitGroup compares what is written with cgroup-v2.rst's formats.
func TestLimitGroup(t *testing.T) {
	dir := t.TempDir()
	files := []string{"memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight", "cpu.idle", "pids.max"}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want map[string]string) {
		t.Helper()
		for f, text := range want {
			if got := read(filepath.Join(dir, f)); got != text {
				t.Errorf("%s is %q, want %q", f, got, text)
			}
		}
	}
	l := Limits{Memory: 1 << 30, Cores: 2, Processes: 100}
	if err := limitGroup(dir, l); err != nil {
		t.Fatal(err)
	}
	check(map[string]string{"memory.max": "1073741824", "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "200000 100000", "cpu.idle": "1",
		"cpu.weight": "", "pids.max": "100"})
	_ = os.Remove(filepath.Join(dir, "cpu.idle"))
	_ = os.Remove(filepath.Join(dir, "memory.swap.max"))
	if err := limitGroup(dir, l); err != nil {
		t.Fatal(err)
	}
	check(map[string]string{"cpu.weight": "1"})
	_ = os.Remove(filepath.Join(dir, "memory.max"))
	if err := limitGroup(dir, l); err == nil {
		t.Error("a limit that can't be set is no error")
	}
	g := &Group{Dir: dir}
	for text, want := range map[string]bool{"low 0\noom 1\noom_kill 0\n": false, "oom 1\noom_kill 2\noom_group_kill 1\n": true} {
		if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if g.OutOfMemory() != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// TestBornInGroup: for real, where a hierarchy of version 2 may be written to: a process is born
// in its group, and one that has left the process group dies with it.
func TestBornInGroup(t *testing.T) {
	top := ""
	for l := range strings.SplitSeq(read("/proc/self/mountinfo"), "\n") {
		if before, _, ok := strings.Cut(l, " - cgroup2 "); ok {
			top = strings.Fields(before)[4]
		}
	}
	if top == "" {
		t.Skip("NOT RUN: no control groups of version 2 are mounted")
	}
	g, err := (&Groups{top}).New(Limits{})
	if err != nil {
		t.Skipf("NOT RUN: no control group of version 2 can be made: %v", err)
	}
	t.Cleanup(g.Close)
	left := filepath.Join(t.TempDir(), "left")
	p, err := Start(exec.Command("sh", "-c", `setsid sh -c 'echo >"$0"; exec sleep 1000' "$0" & exec sleep 1000`, left), Options{Group: g})
	if err != nil {
		t.Fatal(err)
	}
	members := func() int { return len(strings.Fields(read(filepath.Join(g.Dir, "cgroup.procs")))) }
	become := func(want int) {
		t.Helper()
		for n := 0; members() != want; n++ {
			if n == 1000 {
				t.Fatalf("%d processes are in the group, want %d", members(), want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for n := 0; n < 1000; n++ {
		if _, err := os.Stat(left); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	become(2)
	g.Close() // kills the one that has left the process group, too
	_ = p.Wait()
	if _, err := os.Stat(g.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
}

// TestClean: groups of processes that are no more are removed, others are not.
func TestClean(t *testing.T) {
	dir := t.TempDir()
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, prefix+strconv.Itoa(dead.Process.Pid)+"-1")
	mine := filepath.Join(dir, prefix+strconv.Itoa(os.Getpid())+"-1")
	if err := errors.Join(os.Mkdir(gone, 0o755), os.Mkdir(mine, 0o755)); err != nil {
		t.Fatal(err)
	}
	(&Groups{dir}).clean()
	if _, err := os.Stat(gone); err == nil {
		t.Error("the group of a dead process stays")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}
