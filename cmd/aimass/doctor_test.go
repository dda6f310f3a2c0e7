package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aimass/aimass/internal/child"
	"github.com/aimass/aimass/internal/machine"
	"github.com/aimass/aimass/kernels/isa"
)

// TestDiagnose makes one thing bad at a time.
func TestDiagnose(t *testing.T) {
	good := func() (binary, *machine.Facts) {
		return binary{version: "1", os: "linux", arch: "amd64", cgo: true, features: isa.Features{Level: isa.AVX512, VNNI: true, BF16: true}, cpus: 4, procs: 4},
			&machine.Facts{Kernel: "6.1", CPU: "Some CPU", Online: 4, Memory: 16 << 30, MemoryAvailable: 8 << 30, OpenFiles: 65536, OpenFilesHard: -1, HugePages: "madvise",
				SharedMemory: 1 << 30, Flags: map[string]bool{"avx2": true, "fma": true, "avx512f": true}}
	}
	f := func(what, status, hint string, change func(*binary, *machine.Facts)) {
		t.Helper()
		b, m := good()
		change(&b, m)
		found := false
		for _, x := range diagnose(b, m) {
			if x.What != what {
				if x.Status != "ok" {
					t.Errorf("%s: %+v", what, x)
				}
				continue
			}
			found = true
			if x.Status != status || !strings.Contains(x.Hint, hint) || hint == "" && x.Hint != "" {
				t.Errorf("%+v, want %s %q", x, status, hint)
			}
		}
		if !found {
			t.Errorf("nothing about %s", what)
		}
	}
	f("binary", "ok", "", func(*binary, *machine.Facts) {})
	f("system", "note", "made for", func(b *binary, _ *machine.Facts) { b.os = "darwin" })
	generic := func(b *binary) { b.features = isa.Features{} }
	f("instructions", "wrong", "built without cgo", func(b *binary, _ *machine.Facts) { generic(b); b.cgo = false })
	f("instructions", "wrong", "noasm", func(b *binary, _ *machine.Facts) { generic(b) })
	f("instructions", "note", "lacks AVX2", func(b *binary, m *machine.Facts) { generic(b); m.Flags = nil })
	f("instructions", "note", "unset AIMASS_ISA", func(b *binary, _ *machine.Facts) { generic(b); b.forced = "generic" })
	f("instructions", "wrong", "no such level", func(b *binary, _ *machine.Facts) { b.forced, b.forceErr = "x", errors.New("no such level") })
	f("instructions", "note", "not BW", func(b *binary, _ *machine.Facts) { b.features = isa.Features{Level: isa.AVX2} })
	f("instructions", "ok", "", func(b *binary, m *machine.Facts) {
		b.features = isa.Features{Level: isa.AVX2}
		delete(m.Flags, "avx512f")
	})
	f("cores", "wrong", "limit of 1 or more", func(b *binary, m *machine.Facts) { m.Quota, b.procs = 0.5, 2 })
	f("cores", "wrong", "set it to 2", func(_ *binary, m *machine.Facts) { m.Quota = 2 })
	f("cores", "note", "cores lie idle", func(b *binary, _ *machine.Facts) { b.procs = 1 })
	f("cores", "note", "round it", func(b *binary, m *machine.Facts) { m.Quota, b.procs = 2.5, 3 })
	f("cores", "ok", "", func(b *binary, m *machine.Facts) { m.Quota, b.procs = 1, 2 })
	f("memory", "note", "small models", func(_ *binary, m *machine.Facts) { m.MemoryLimit = 512 << 20 })
	f("memory", "note", "small models", func(_ *binary, m *machine.Facts) { m.MemoryAvailable = 100 << 20 })
	f("memory", "ok", "", func(_ *binary, m *machine.Facts) { m.Memory, m.MemoryAvailable = 0, 0 })
	f("open files", "wrong", "ulimit -n", func(_ *binary, m *machine.Facts) { m.OpenFiles = 1024 })
	f("open files", "ok", "", func(_ *binary, m *machine.Facts) { m.OpenFiles = -1 })
	f("open files", "ok", "", func(_ *binary, m *machine.Facts) { m.OpenFiles = 0 })
	f("huge pages", "note", "madvise >", func(_ *binary, m *machine.Facts) { m.HugePages = "never" })
	f("/dev/shm", "ok", "", func(_ *binary, m *machine.Facts) { m.SharedMemory = -1 })
	f("GPUs", "ok", "", func(_ *binary, m *machine.Facts) { m.Devices, m.Driver = []string{"/dev/nvidia0"}, "550" })
	f("GPUs", "note", "install NVIDIA's driver", func(_ *binary, m *machine.Facts) { m.Devices = []string{"/dev/nvidia0"} })
}

// TestDoctor runs on this machine, whatever is wrong with it.
func TestDoctor(t *testing.T) {
	text, err := run("doctor")
	if err != nil && !strings.Contains(err.Error(), "found something wrong") {
		t.Fatal(err)
	}
	if !strings.Contains(text, "CUDA") || !strings.Contains(text, isa.Current().Level.String()) {
		t.Errorf("%s", text)
	}
	asJSON, _ := run("doctor", "--json")
	var got struct {
		Findings []finding
		Machine  machine.Facts
		Wrong    int
	}
	if e := json.Unmarshal([]byte(asJSON), &got); e != nil || len(got.Findings) < 10 || (got.Wrong > 0) != (err != nil) {
		t.Errorf("%v\n%s", e, asJSON)
	}
}

func TestJobLimits(t *testing.T) {
	got := jobLimits(func(string) (*child.Groups, error) { return nil, child.ErrNoGroups })
	if got.Status != "note" || !strings.Contains(got.Found, child.ErrNoGroups.Error()) || !strings.Contains(got.Hint, "--train-cgroup") {
		t.Errorf("%+v", got)
	}
	if got := jobLimits(func(string) (*child.Groups, error) { return &child.Groups{}, nil }); got.Status != "ok" || !strings.Contains(got.Found, "control groups") {
		t.Errorf("%+v", got)
	}
}
