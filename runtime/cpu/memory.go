package cpu

import (
	"bufio"
	"math"
	"os"
	"strconv"
	"strings"
)

// memory is what the process may use, in bytes: the machine's, or less by its cgroup
// (version 2). Where neither can be read it is without bound.
func memory() int {
	n := math.MaxInt
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if v, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && v > 0 {
			n = v
		}
	}
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return n
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "MemTotal:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			if err == nil && kib > 0 {
				return min(n, kib<<10)
			}
		}
	}
	return n
}
