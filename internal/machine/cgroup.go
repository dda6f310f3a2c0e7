package machine

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// controlGroup finds the processor quota and the memory limit of the process's control
// groups, of version 2 or 1 (cgroups(7)): the tightest on the way up to the root counts.
// 0 means no limit.
func controlGroup(root fs.FS) (quota float64, memory int64) {
	tighten := func(q float64, m int64) {
		if q > 0 && (quota == 0 || q < quota) {
			quota = q
		}
		if m > 0 && (memory == 0 || m < memory) {
			memory = m
		}
	}
	for l := range strings.SplitSeq(text(root, "proc/self/cgroup"), "\n") {
		part := strings.SplitN(l, ":", 3)
		if len(part) != 3 {
			continue
		}
		controllers, group := ","+part[1]+",", part[2]
		switch {
		case part[1] == "":
			up(root, "", group, func(dir string) {
				q := cpuMax(line(root, path.Join(dir, "cpu.max")))
				tighten(q, number(line(root, path.Join(dir, "memory.max"))))
			})
		case strings.Contains(controllers, ",cpu,"):
			up(root, part[1], group, func(dir string) {
				period := number(line(root, path.Join(dir, "cpu.cfs_period_us")))
				if q := number(line(root, path.Join(dir, "cpu.cfs_quota_us"))); q > 0 && period > 0 {
					tighten(float64(q)/float64(period), 0)
				}
			})
		case strings.Contains(controllers, ",memory,"):
			up(root, part[1], group, func(dir string) { tighten(0, number(line(root, path.Join(dir, "memory.limit_in_bytes")))) })
		}
	}
	return quota, memory
}

// up calls f for a group's folder and those above it. Inside a container the path is often
// that of the host, and the group's own files lie at the top.
func up(root fs.FS, hierarchy, group string, f func(dir string)) {
	base := path.Join("sys/fs/cgroup", hierarchy)
	for dir := path.Join(base, path.Clean("/"+group)); ; dir = path.Dir(dir) {
		f(dir)
		if dir == base || !strings.HasPrefix(dir, base) {
			return
		}
	}
}

// cpuMax reads "max 100000" or "150000 100000".
func cpuMax(s string) float64 {
	w := strings.Fields(s)
	if len(w) != 2 {
		return 0
	}
	q, p := number(w[0]), number(w[1])
	if q <= 0 || p <= 0 {
		return 0
	}
	return float64(q) / float64(p)
}

// number reads a number; "max", "-1" and what is none are 0.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
