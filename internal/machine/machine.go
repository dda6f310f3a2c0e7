// Package machine reads what the operating system says of the machine: processors, quotas,
// memory, limits, devices. It reads Linux's /proc, /sys and /dev as files; elsewhere most is
// unknown, which is no error.
//
// Neighbours: cmd/aimass judges what it finds (aimass doctor).
//
// Ownership: Facts are values. Concurrency: Read is safe for concurrent use.
package machine

import (
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// Facts are what was found. Numbers are 0 and texts empty where the system does not tell,
// unless said otherwise.
type Facts struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"` // the model's name
	// Online counts processors, Quota is how many of them the control group may use at once
	// on average; 0: no limit.
	Online int     `json:"cpus_online"`
	Quota  float64 `json:"cpu_quota"`
	// Memory in bytes; MemoryLimit is the control group's, 0: no limit.
	Memory          int64 `json:"memory_bytes"`
	MemoryAvailable int64 `json:"memory_available_bytes"`
	MemoryLimit     int64 `json:"memory_limit_bytes"`
	// OpenFiles is the soft limit of descriptors, OpenFilesHard what it may be raised to; −1: no limit.
	OpenFiles     int64 `json:"open_files"`
	OpenFilesHard int64 `json:"open_files_hard"`
	// HugePages is the setting in force: always, madvise or never.
	HugePages string `json:"transparent_huge_pages"`
	// SharedMemory is the size of /dev/shm in bytes; −1: there is none.
	SharedMemory int64 `json:"shared_memory_bytes"`
	// NVIDIA driver and its devices.
	Driver  string   `json:"nvidia_driver,omitempty"`
	Devices []string `json:"nvidia_devices,omitempty"`
	// Flags are the processor's, such as avx2.
	Flags map[string]bool `json:"-"`
}

// Read collects facts; root is the file system from /, os.DirFS("/").
func Read(root fs.FS) *Facts {
	f := &Facts{SharedMemory: -1, Flags: map[string]bool{}}
	f.Kernel = line(root, "proc/sys/kernel/osrelease")
	f.processors(root)
	mem := fields(root, "proc/meminfo")
	f.Memory, f.MemoryAvailable = kibibytes(mem["MemTotal"]), kibibytes(mem["MemAvailable"])
	f.limits(root)
	f.HugePages = bracketed(line(root, "sys/kernel/mm/transparent_hugepage/enabled"))
	f.Quota, f.MemoryLimit = controlGroup(root)
	if f.MemoryLimit >= f.Memory && f.Memory > 0 {
		f.MemoryLimit = 0 // no limit is spelled as a number beyond any machine in version 1
	}
	f.sharedMemory(root)
	f.nvidia(root)
	return f
}

func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

func line(root fs.FS, name string) string {
	s, _, _ := strings.Cut(text(root, name), "\n")
	return strings.TrimSpace(s)
}

// fields reads lines of the form "key: value"; of equal keys the first counts.
func fields(root fs.FS, name string) map[string]string {
	m := map[string]string{}
	for l := range strings.SplitSeq(text(root, name), "\n") {
		if k, v, ok := strings.Cut(l, ":"); ok {
			if k = strings.TrimSpace(k); m[k] == "" {
				m[k] = strings.TrimSpace(v)
			}
		}
	}
	return m
}

func kibibytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/1024 {
		return 0
	}
	return n * 1024
}

// bracketed is the choice in force of "always [madvise] never".
func bracketed(s string) string {
	_, s, _ = strings.Cut(s, "[")
	s, _, _ = strings.Cut(s, "]")
	return s
}

func (f *Facts) processors(root fs.FS) {
	cpu := fields(root, "proc/cpuinfo")
	f.CPU = cpu["model name"]
	list := cpu["flags"]
	if list == "" {
		list = cpu["Features"]
	}
	for flag := range strings.FieldsSeq(list) {
		f.Flags[flag] = true
	}
	f.Online = ranges(line(root, "sys/devices/system/cpu/online"))
}

// ranges counts the members of a list such as 0-3,8.
func ranges(s string) (n int) {
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(lo)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(hi); err != nil || b < a {
				continue
			}
		}
		n += b - a + 1
	}
	return n
}

func (f *Facts) limits(root fs.FS) {
	for l := range strings.SplitSeq(text(root, "proc/self/limits"), "\n") {
		rest, ok := strings.CutPrefix(l, "Max open files")
		if !ok {
			continue
		}
		if w := strings.Fields(rest); len(w) >= 2 {
			f.OpenFiles, f.OpenFilesHard = limit(w[0]), limit(w[1])
		}
	}
}

func limit(s string) int64 {
	if s == "unlimited" {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// sharedMemory reads the size option of what is mounted at /dev/shm; without one the kernel
// gives half of the memory (tmpfs(5)).
func (f *Facts) sharedMemory(root fs.FS) {
	for l := range strings.SplitSeq(text(root, "proc/self/mountinfo"), "\n") {
		w := strings.Fields(l)
		if len(w) < 5 || w[4] != "/dev/shm" {
			continue
		}
		f.SharedMemory = f.Memory / 2
		for o := range strings.SplitSeq(w[len(w)-1], ",") {
			if size, ok := strings.CutPrefix(o, "size="); ok {
				f.SharedMemory = sized(size)
			}
		}
	}
}

// sized reads a number with a unit k, m or g.
func sized(s string) int64 {
	unit := int64(1)
	for suffix, u := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = rest, u
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0
	}
	return n * unit
}

func (f *Facts) nvidia(root fs.FS) {
	if v := line(root, "sys/module/nvidia/version"); v != "" {
		f.Driver = v
	} else if v := line(root, "proc/driver/nvidia/version"); v != "" {
		f.Driver = v
	}
	entries, _ := fs.ReadDir(root, "dev")
	for _, e := range entries {
		if n, ok := strings.CutPrefix(e.Name(), "nvidia"); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			f.Devices = append(f.Devices, "/dev/"+e.Name())
		}
	}
}
