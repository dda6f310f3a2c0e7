package isa

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// What is large lies in memory for which large pages have been asked for.
func TestLargePages(t *testing.T) {
	if b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil || strings.Contains(string(b), "[never]") {
		t.Skip("NOT RUN: this system gives no large pages")
	}
	b := AllocBytes(8 << 20)
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) + uint64(len(b))/2
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	var from, to uint64
	for _, l := range strings.Split(string(maps), "\n") {
		if n, _ := fmt.Sscanf(l, "%x-%x ", &from, &to); n == 2 || !strings.HasPrefix(l, "VmFlags:") || at < from || at >= to {
			continue
		}
		if !strings.Contains(l+" ", " hg ") {
			t.Fatalf("no large pages were asked for: %s", l)
		}
		return
	}
	t.Fatal("the slice is in no mapping")
}
