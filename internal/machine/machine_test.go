package machine

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func files(m map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, s := range m {
		out[name] = &fstest.MapFile{Data: []byte(s)}
	}
	return out
}

func TestRead(t *testing.T) {
	got := Read(files(map[string]string{
		"proc/sys/kernel/osrelease":     "6.1.0-13\n",
		"proc/cpuinfo":                  "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nmodel name\t: Other\n",
		"sys/devices/system/cpu/online": "0-3,8\n",
		"proc/meminfo":                  "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:   9000 kB\n",
		"proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            " +
			"1024                 unlimited            files     \n",
		"sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
		"proc/self/mountinfo":                        "25 24 0:23 / /dev rw - tmpfs tmpfs rw\n26 25 0:24 / /dev/shm rw,nosuid shared:4 - tmpfs shm rw,size=65536k\n",
		"proc/self/cgroup":                           "0::/a/b\n",
		"sys/fs/cgroup/a/b/cpu.max":                  "max 100000\n",
		"sys/fs/cgroup/a/cpu.max":                    "150000 100000\n",
		"sys/fs/cgroup/cpu.max":                      "400000 100000\n",
		"sys/fs/cgroup/a/b/memory.max":               "2048000\n",
		"sys/fs/cgroup/a/memory.max":                 "max\n",
		"proc/driver/nvidia/version":                 "NVRM version: 550.54\nGCC version: 12\n",
		"dev/nvidia0":                                "",
		"dev/nvidia1":                                "",
		"dev/nvidiactl":                              "",
		"dev/nvidia-uvm":                             "",
	}))
	want := &Facts{Kernel: "6.1.0-13", CPU: "Some CPU", Online: 5, Quota: 1.5, Memory: 16000 << 10, MemoryAvailable: 9000 << 10, MemoryLimit: 2048000,
		OpenFiles: 1024, OpenFilesHard: -1, HugePages: "madvise", SharedMemory: 64 << 20, Driver: "NVRM version: 550.54",
		Devices: []string{"/dev/nvidia0", "/dev/nvidia1"}, Flags: map[string]bool{"fpu": true, "avx2": true, "fma": true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestControlGroups(t *testing.T) {
	f := func(quota float64, memory int64, m map[string]string) {
		t.Helper()
		q, b := controlGroup(files(m))
		if q != quota || b != memory {
			t.Errorf("%v: quota %v, memory %d; want %v, %d", m, q, b, quota, memory)
		}
	}
	f(0, 0, nil)
	f(0, 0, map[string]string{"proc/self/cgroup": "0::/\n"})
	// In a container of version 2 the group's own files lie at the top.
	f(0.5, 512, map[string]string{"proc/self/cgroup": "0::/system.slice/x\n", "sys/fs/cgroup/cpu.max": "50000 100000", "sys/fs/cgroup/memory.max": "512"})
	// Version 1, controllers alone and together, with no limit spelled in its ways.
	f(2, 4096, map[string]string{
		"proc/self/cgroup": "4:memory:/g\n3:cpu,cpuacct:/g\n0::/\n",
		"sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_quota_us":  "200000",
		"sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_period_us": "100000",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":    "-1",
		"sys/fs/cgroup/memory/g/memory.limit_in_bytes":  "4096",
		"sys/fs/cgroup/memory/memory.limit_in_bytes":    "9223372036854771712",
	})
	f(0, 0, map[string]string{"proc/self/cgroup": "1:cpuset:/g\nnonsense\n::\n", "sys/fs/cgroup/cpuset/g/cpu.max": "1 1"})
	f(0, 0, map[string]string{"proc/self/cgroup": "0::/../../etc\n", "sys/fs/cgroup/cpu.max": "x y"})
}

// TestNoLimit: version 1 spells "no limit" as a number beyond any machine's memory.
func TestNoLimit(t *testing.T) {
	got := Read(files(map[string]string{"proc/meminfo": "MemTotal: 1000 kB\n", "proc/self/cgroup": "4:memory:/\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}))
	if got.MemoryLimit != 0 {
		t.Errorf("limit %d", got.MemoryLimit)
	}
}

func TestEmptyMachine(t *testing.T) {
	want := &Facts{SharedMemory: -1, Flags: map[string]bool{}}
	if d := cmp.Diff(want, Read(fstest.MapFS{})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestThisMachine reads the real files, where there are any.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		t.Skip("NOT RUN: this system has no /proc")
	}
	f := Read(os.DirFS("/"))
	if f.Memory <= 0 || f.Kernel == "" || f.OpenFiles == 0 {
		t.Errorf("%+v", f)
	}
}
