//go:build linux

package program

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	return strings.Join(out, "\n"), dir, err
}

func TestEnvironmentAndOutput(t *testing.T) {
	t.Setenv("SECRET", "s")
	out, dir, err := shell(t, t.Context(), Config{Env: map[string]string{"MORE": "m"}}, `echo "$DATA $MORE $HOME ${SECRET-none}"; echo err >&2; pwd`, map[string]string{"DATA": "d"})
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
			if s, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && strings.Contains(string(s), ") Z ") {
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
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	_, dir, err = shell(t, ctx, Config{}, "sleep 300 & echo $! >pid; wait", nil)
	if !errors.Is(err, context.Canceled) || alive(dir) {
		t.Errorf("cancelled: %v", err)
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
