//go:build linux

package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

// shell runs a script under limits.
func shell(t *testing.T, ctx context.Context, c Config, script string, env map[string]string) (string, string, error) {
	t.Helper()
	dir := t.TempDir()
	c.Command = []string{"sh", "-c", script}
	var out []string
	err := Run(ctx, c, dir, env, func(line string) { out = append(out, line) })
	if len(out) > 0 && strings.HasPrefix(out[0], "limits: ") {
		out = out[1:]
	}
	return strings.Join(out, "\n"), dir, err
}

func TestEnvironmentAndOutput(t *testing.T) {
	t.Setenv("SECRET", "s")
	out, dir, err := shell(t, t.Context(), Config{Env: map[string]string{"MORE": "m"}}, `echo "$DATA $MORE $HOME ${SECRET-none}"; echo err >&2; pwd`,
		map[string]string{"DATA": "d"})
	if want := fmt.Sprintf("d m %s none\nerr\n%s", dir, dir); err != nil || out != want {
		t.Errorf("%q, want %q: %v", out, want, err)
	}
}

func TestHowItEnds(t *testing.T) {
	f := func(want api.Code, text string, c Config, script string) {
		t.Helper()
		_, _, err := shell(t, t.Context(), c, script, nil)
		if api.CodeOf(err) != want || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %s with %q", script, err, want, text)
		}
	}
	f("", "", Config{}, "exit 0")
	f(api.CodeTrainingProgramFailed, "status 3; it printed last: boom", Config{}, "echo boom; exit 3")
	f(api.CodeTrainingProgramFailed, "printed nothing", Config{}, "kill -SEGV $$")
	f(api.CodeTrainingTimeExceeded, "300ms", Config{Time: 300 * time.Millisecond}, "sleep 60")
	// Two processes that are small enough each.
	f(api.CodeTrainingMemoryExceeded, "100 MiB", Config{Memory: 100 << 20, Time: 30 * time.Second},
		`for i in 1 2; do (head -c 80000000 /dev/zero | tail -c 80000000 >/dev/null; sleep 5) & done; (x=$(head -c 70000000 /dev/zero | tr '\0' x); sleep 5) & (y=$(head -c 70000000 /dev/zero | tr '\0' y); sleep 5) & wait`)
	err := Run(t.Context(), Config{Command: []string{"/absent"}}, t.TempDir(), nil, func(string) {})
	if api.CodeOf(err) != api.CodeTrainingProgramFailed {
		t.Errorf("no such program: %v", err)
	}
}

// TestNothingIsLeft: processes in the background die with the program, and with the context.
func TestNothingIsLeft(t *testing.T) {
	alive := func(dir string) bool {
		b, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // a killed process may still be a zombie of init
			if s, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil &&
				strings.Contains(string(s), ") Z ") {
				return false
			}
			time.Sleep(10 * time.Millisecond)
		}
		return true
	}
	_, dir, err := shell(t, t.Context(), Config{}, "sleep 300 & echo $! >pid", nil)
	if err != nil || alive(dir) {
		t.Errorf("a process of the background is left: %v", err)
	}
	_, dir, err = shell(t, t.Context(), Config{}, "setsid sh -c 'echo $$ >pid; sleep 300; true' & while [ ! -s pid ]; do sleep 0.01; done", nil)
	if err != nil || alive(dir) {
		t.Errorf("a process that left the group is left: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	_, dir, err = shell(t, ctx, Config{}, "sleep 300 & echo $! >pid; wait", nil)
	if !errors.Is(err, context.Canceled) || alive(dir) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestOthersAreLeft: what somebody else started lives on, even if this process is now its parent, as the first of a container is.
func TestOthersAreLeft(t *testing.T) {
	if _, _, err := shell(t, t.Context(), Config{}, "true", nil); err != nil { // from here on orphans come to this process
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	if err := exec.Command("sh", "-c", "setsid sh -c 'echo $$ >"+file+".new; mv "+file+".new "+file+"; exec sleep 300' & while [ ! -e "+file+
		" ]; do sleep 0.01; done").Run(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}()
	if _, _, err := shell(t, t.Context(), Config{}, "true", nil); err != nil {
		t.Fatal(err)
	}
	if s, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || !strings.Contains(string(s), fmt.Sprintf(" %d ", os.Getpid())) ||
		strings.Contains(string(s), ") Z ") {
		t.Errorf("it was killed, or this process is not its parent: %s, %v", s, err)
	}
}

// TestOutputIsBounded: a line without an end is cut, bytes that are no text are replaced.
func TestOutputIsBounded(t *testing.T) {
	out, _, err := shell(t, t.Context(), Config{}, `head -c 1000000 /dev/zero | tr '\0' x; echo; printf '\377\n'; echo end`, nil)
	lines := strings.Split(out, "\n")
	if err != nil || len(lines) != 3 || len(lines[0]) != maxLine || lines[1] != "�" || lines[2] != "end" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

// TestRelay: a program rests and goes on as its parent is told to, and its rest does not count
// as its time.
func TestRelay(t *testing.T) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTSTP) // so that a late one does not stop the test
	dir := t.TempDir()
	ended := make(chan error, 1)
	c := Config{Command: []string{"sh", "-c", "echo $$ >pid.new; mv pid.new pid; while [ ! -e go ]; do sleep 0.01; done"}, Time: 2 * time.Second, Relay: true}
	go func() { ended <- Run(t.Context(), c, dir, nil, func(string) {}) }()
	var pid string
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 1000 {
			if ok() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal(what)
	}
	state := func(want string) func() bool {
		return func() bool {
			b, _ := os.ReadFile("/proc/" + pid + "/stat")
			_, rest, _ := strings.Cut(string(b), ") ")
			return strings.HasPrefix(rest, want)
		}
	}
	until("it does not start", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid = strings.TrimSpace(string(b))
		return err == nil
	})
	until("it does not stop", func() bool { _ = syscall.Kill(os.Getpid(), syscall.SIGTSTP); return state("T")() })
	time.Sleep(c.Time) // longer, with what it ran, than it may run
	if !state("T")() {
		t.Fatal("it does not stay stopped")
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGCONT)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
