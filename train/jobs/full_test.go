//go:build linux

package jobs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/snapshot"
)

// small mounts a file system of so many bytes.
func small(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Logf("NOT RUN: %s: no small file system can be mounted here: %v", t.Name(), err)
		return ""
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillUp leaves no room.
func fillUp(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for piece := 64 << 10; piece > 0; {
		if _, err := f.Write(make([]byte, piece)); errors.Is(err, syscall.ENOSPC) {
			piece /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: in every phase a full disk has its code, and leaves nothing half-written.
func TestDiskFull(t *testing.T) {
	dir := small(t, "256k")
	if dir == "" {
		return
	}
	is := func(what string, err error) {
		t.Helper()
		if api.CodeOf(err) != api.CodeTrainingDiskFull {
			t.Errorf("%s: %v", what, err)
		}
	}
	big := strings.Repeat("1,2\n", 200_000)
	_, err := snapshot.Open(filepath.Join(dir, "s")).Add("n", snapshot.Table, strings.NewReader("a,b\n"+big), 1<<30)
	is("a snapshot", err)
	place := train.Place{Repository: filepath.Join(dir, "models"), Model: "m"}
	_, _, err = train.Publish(place, func(int) (map[string][]byte, error) {
		return map[string][]byte{"a": []byte("small"), "model.onnx": make([]byte, 1<<20)}, nil
	})
	is("a version", err)
	for _, sub := range []string{"s", "models/m"} {
		if entries, _ := os.ReadDir(filepath.Join(dir, sub)); len(entries) != 0 {
			t.Errorf("%s holds %v", sub, entries)
		}
	}
	r, stop := start(t, configIn(t, dir))
	defer stop()
	waits := create(t, r, request("slow", 2000))
	wait(t, r, waits.ID, func(j *Job) bool { return j.Progress != nil })
	fillUp(t, dir)
	if j := wait(t, r, waits.ID, done); j.State != Failed || j.Error.Code != api.CodeTrainingDiskFull {
		t.Errorf("a job that runs out of room: %s %+v", j.State, j.Error)
	}
	_, err = r.Create(request("slow", 1))
	is("a new job", err)
	if n := versions(dir); n != 0 {
		t.Errorf("%d versions", n)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	if j := wait(t, r, create(t, r, request("slow", 1)).ID, done); j.State != Succeeded {
		t.Errorf("with room again: %s %+v", j.State, j.Error)
	}
}
