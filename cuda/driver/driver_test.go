//go:build cuda && cgo

package driver

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain lets the tests run this program again as one that only opens the driver, since
// a process resolves the driver once.
func TestMain(m *testing.M) {
	if os.Getenv("AIMASS_TEST_OPEN") != "" {
		d, err := Open()
		switch {
		case errors.Is(err, ErrNoDriver):
			println("no driver:", err.Error())
		case errors.Is(err, ErrNoDevice):
			println("no device:", err.Error())
		case errors.Is(err, ErrDriverTooOld):
			println("too old:", err.Error())
		case err != nil:
			println("other:", err.Error())
		default:
			println("devices:", len(d.Devices()))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// open opens a driver in a process of its own and returns what it says.
func open(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "AIMASS_TEST_OPEN=1"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestOpenWithoutDriver(t *testing.T) {
	if got := open(t, "AIMASS_CUDA_LIBRARY=/nonexistent/libcuda.so.1"); !strings.HasPrefix(got, "no driver:") ||
		!strings.Contains(got, "/nonexistent/libcuda.so.1") {
		t.Errorf("a library that is not there: %s", got)
	}
	if got := open(t, "AIMASS_CUDA_LIBRARY=libm.so.6"); !strings.HasPrefix(got, "no driver:") || !strings.Contains(got, "cuInit") {
		t.Errorf("a library that is no driver: %s", got)
	}
}
