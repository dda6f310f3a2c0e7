//go:build linux

package releases

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/aimass/aimass/api"
)

// smallDisk mounts a file system of few bytes; ok is false where this process may not.
func smallDisk(t *testing.T, bytes int) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,nr_inodes=200", bytes)); err != nil {
		t.Logf("NOT RUN: %s: a small disk can't be mounted: %v", t.Name(), err)
		return "", false
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, true
}

// fill leaves about so many bytes free and returns what frees the rest again.
func fill(t *testing.T, dir string, free int64) (undo func()) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".filler")
	if n := int64(st.Bavail)*int64(st.Bsize) - free; n > 0 {
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func() { _ = os.Remove(path) }
}

// TestFullDisk fills the disk so that it runs out in each phase of a push, a promotion and
// a download in turn: the code is disk_full, nothing half-done is left, what serves goes on,
// and with room the same call succeeds.
func TestFullDisk(t *testing.T) {
	dir, ok := smallDisk(t, 400<<10)
	if !ok {
		return
	}
	h := newHouse(t, dir)
	h.push(t, 1, 1)
	codes := map[string]int{}
	version := int64(2)
	for free := int64(0); free <= 100<<10; free += 4 << 10 {
		b, _ := pack(t, map[string]string{"model.onnx": string(scale(t, float32(version))), "weights.bin": noise(20000)})
		undo := fill(t, dir, free)
		_, err := h.Upload(ctx, "scale", version, whole(b), bytes.NewReader(b), true, By{})
		codes["push "+string(api.CodeOf(err))]++
		if err != nil {
			want(t, err, api.CodeDiskFull)
			if _, serr := os.Stat(filepath.Join(dir, "scale", fmt.Sprint(version))); serr == nil {
				t.Errorf("%d bytes free: half a version", free)
			}
		}
		if w := h.ask(t, ""); w != 1 {
			t.Errorf("%d bytes free: %v answers", free, w)
		}
		if err == nil {
			if _, err := h.SetAlias(ctx, "scale", "full", fmt.Sprint(version), By{}); err != nil {
				codes["alias "+string(api.CodeOf(err))]++
				want(t, err, api.CodeDiskFull)
			}
			if p, _, err := h.Download("scale", "1"); err == nil {
				p.Close()
			} else {
				codes["download "+string(api.CodeOf(err))]++
				want(t, err, api.CodeDiskFull)
			}
		}
		undo()
		if err != nil {
			if _, err := h.Upload(ctx, "scale", version, whole(b), bytes.NewReader(b), true, By{}); err != nil {
				t.Fatalf("with room again: %v", err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".aimass", "*", "*new*")); len(left) > 0 {
			t.Errorf("%d bytes free left %v", free, left)
		}
		// Room for the next.
		if err := os.RemoveAll(filepath.Join(dir, "scale", fmt.Sprint(version))); err != nil {
			t.Fatal(err)
		}
		_ = os.RemoveAll(filepath.Join(dir, ".aimass", "bundles"))
		version++
	}
	// Each change of state too, when not a byte is left.
	undo := fill(t, dir, 0)
	defer undo()
	_, err := h.SetAlias(ctx, "scale", "late", "1", By{})
	want(t, err, api.CodeDiskFull)
	_, err = h.Promote(ctx, "scale", Promotion{Version: "1"}, By{})
	want(t, err, api.CodeDiskFull)
	_, _, err = h.Download("scale", "1")
	want(t, err, api.CodeDiskFull)
	if w := h.ask(t, ""); w != 1 {
		t.Error(w)
	}
	t.Log(codes)
	if codes["push disk_full"] < 5 || codes["push "] == 0 {
		t.Errorf("the disk ran out in too few places: %v", codes)
	}
}

// noise is text that doesn't pack.
func noise(n int) string {
	b, x := make([]byte, n), uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}
