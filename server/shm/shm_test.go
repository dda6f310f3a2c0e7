package shm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/aimass/aimass/api"
	_ "github.com/aimass/aimass/internal/rapidseed"
)

func memory(t testing.TB, name string, size int) *Registry {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{1}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return New(Config{Allow: true, Dir: dir}.WithDefaults())
}

func TestRegions(t *testing.T) {
	r := memory(t, "mine", 100)
	defer r.Close()
	expect := func(what string, err error, want api.Code) {
		t.Helper()
		if api.CodeOf(err) != want {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), r.cfg.Dir) {
			t.Errorf("%s tells where the memory lies: %v", what, err)
		}
	}
	expect("register", r.Register("a", "in", "/mine", 10, 80), "")
	expect("again", r.Register("a", "in", "/mine", 0, 8), api.CodeSharedMemoryExists)
	expect("another tenant", r.Register("b", "in", "mine", 0, 100), "")
	for _, key := range []string{"/", "", "/none", "/../mine", "/..", "mine/", "/a/b", "/mine\x00", strings.Repeat("k", 300)} {
		expect(fmt.Sprintf("key %.10q", key), r.Register("a", "x", key, 0, 8), api.CodeSharedMemoryUnknown)
	}
	expect("a folder", r.Register("a", "x", "/.", 0, 8), api.CodeSharedMemoryUnknown)
	for _, p := range [][2]uint64{{0, 0}, {0, 101}, {100, 1}, {1 << 63, 8}, {8, 1 << 63}, {^uint64(0), 2}} {
		expect(fmt.Sprint("range ", p), r.Register("a", "x", "/mine", p[0], p[1]), api.CodeSharedMemoryRange)
	}
	expect("no name", r.Register("a", "", "/mine", 0, 8), api.CodeParameterInvalid)

	g, err := r.Acquire("a", "in")
	expect("acquire", err, "")
	expect("in use", r.Unregister("a", "in"), api.CodeSharedMemoryInUse)
	expect("all, one in use", r.Unregister("a", ""), api.CodeSharedMemoryInUse)
	expect("write", g.Write([]byte("abc"), 77), "")
	got := make([]byte, 3)
	expect("read", g.Read(got, 77), "")
	if string(got) != "abc" {
		t.Errorf("read %q", got)
	}
	expect("write beyond", g.Write([]byte("abc"), 78), api.CodeSharedMemoryRange)
	expect("read beyond", g.Read(got, ^uint64(0)), api.CodeSharedMemoryRange)
	if err := os.Truncate(filepath.Join(r.cfg.Dir, "mine"), 20); err != nil {
		t.Fatal(err)
	}
	expect("read of a file cut short", g.Read(got, 70), api.CodeSharedMemoryRange)
	expect("write to a file cut short", g.Write(got, 70), api.CodeSharedMemoryRange)
	g.Release()
	list, err := r.Status("a", "")
	if expect("status", err, ""); len(list) != 1 || list[0].Key != "/mine" || list[0].Size != 80 {
		t.Errorf("status: %v", list)
	}
	expect("unregister", r.Unregister("a", "in"), "")
	expect("unregister what is not there", r.Unregister("a", "in"), "")
	_, err = r.Status("a", "in")
	expect("status of what is gone", err, api.CodeSharedMemoryUnknown)
	_, err = r.Acquire("a", "in")
	expect("acquire what is gone", err, api.CodeSharedMemoryUnknown)
	if list, _ := r.Status("b", "in"); len(list) != 1 {
		t.Error("the other tenant's region is gone")
	}
}

func TestOffAndPrefix(t *testing.T) {
	off := New(Config{}.WithDefaults())
	if err := off.Register("", "a", "/a", 0, 1); api.CodeOf(err) != api.CodeUnsupported {
		t.Error(err)
	}
	if _, err := off.Acquire("", "a"); api.CodeOf(err) != api.CodeUnsupported {
		t.Error(err)
	}
	r := memory(t, "app_1", 10)
	r.cfg.Prefix = "app_"
	if err := r.Register("", "a", "/app_1", 0, 10); err != nil {
		t.Error(err)
	}
	r.cfg.Prefix = "other_"
	if err := r.Register("", "b", "/app_1", 0, 10); api.CodeOf(err) != api.CodeSharedMemoryUnknown {
		t.Error(err)
	}
	link := filepath.Join(r.cfg.Dir, "other_link")
	if err := os.Symlink("/etc/hostname", link); err != nil {
		t.Fatal(err)
	}
	if err := r.Register("", "b", "/other_link", 0, 1); api.CodeOf(err) != api.CodeSharedMemoryUnknown {
		t.Errorf("a symbolic link: %v", err)
	}
	r.Close()
}

// TestRegistryMachine: whatever is called in whatever order, a region is there from its
// registration to its removal, never removed while used, and never another tenant's.
func TestRegistryMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := memory(t, "m", 64)
		defer r.Close()
		type id struct{ tenant, name string }
		there, used := map[id]bool{}, map[id][]*Region{}
		pick := func() id {
			return id{rapid.SampledFrom([]string{"", "a"}).Draw(rt, "tenant"), rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "name")}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			k := pick()
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				err := r.Register(k.tenant, k.name, "/m", uint64(rapid.IntRange(0, 70).Draw(rt, "offset")), uint64(rapid.IntRange(0, 70).Draw(rt, "size")))
				if err == nil && there[k] {
					rt.Fatal("registered twice")
				}
				there[k] = there[k] || err == nil
			case 1:
				err := r.Unregister(k.tenant, k.name)
				if (err != nil) != (len(used[k]) > 0) {
					rt.Fatalf("unregister with %d uses: %v", len(used[k]), err)
				}
				if err == nil {
					there[k] = false
				}
			case 2:
				g, err := r.Acquire(k.tenant, k.name)
				if (err == nil) != there[k] {
					rt.Fatalf("acquire: %v, there %v", err, there[k])
				}
				if err == nil {
					_ = g.Read(make([]byte, rapid.IntRange(0, 80).Draw(rt, "n")), uint64(rapid.IntRange(0, 80).Draw(rt, "at")))
					used[k] = append(used[k], g)
				}
			case 3:
				if n := len(used[k]); n > 0 {
					used[k][n-1].Release()
					used[k] = used[k][:n-1]
				}
			}
		}
	})
}

func TestRegistryUnderLoad(t *testing.T) {
	r := memory(t, "m", 64)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprint("r", i%3)
			for range 500 {
				_ = r.Register("", name, "/m", 0, 64)
				if g, err := r.Acquire("", name); err == nil {
					if err := g.Read(make([]byte, 64), 0); err != nil {
						t.Error(err)
					}
					g.Release()
				}
				_ = r.Unregister("", name)
			}
		})
	}
	wg.Wait()
	r.Close()
}
