//go:build cuda && cgo && linux

package nvml

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/cuda/emulator"
)

func TestXIDs(t *testing.T) {
	if x, err := ParseXIDs("48, 79,48"); err != nil || !slices.Equal(x, []uint64{48, 79}) {
		t.Errorf("%v %v", x, err)
	}
	if x, err := ParseXIDs(""); err != nil || len(x) == 0 {
		t.Errorf("the default: %v %v", x, err)
	}
	if x, err := ParseXIDs("none"); err != nil || x != nil {
		t.Errorf("none: %v %v", x, err)
	}
	if _, err := ParseXIDs("48;79"); err == nil {
		t.Error("48;79 was taken")
	}
}

func TestNoLibrary(t *testing.T) {
	t.Setenv("AIMASS_NVML_LIBRARY", "/nonexistent/libnvidia-ml.so.1")
	if _, err := Open(); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("%v", err)
	}
}

// TestDouble asks the double of the library, which reads its settings once a process.
func TestDouble(t *testing.T) {
	path, err := emulator.Build("")
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := emulator.Config{Devices: 3, MemoryMiB: []int{256}, Extra: []string{"NVML_LOST=2", "NVML_ECC=1:4", "NVML_MIG=1", "NVML_ORDER=reverse", "NVML_XID=0:79"}}
	for _, v := range c.Environ(path) {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	list, err := l.GPUs()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 {
		t.Fatalf("%d devices", len(list))
	}
	if list[0].Lost == "" {
		t.Errorf("the lost device is not: %+v", list[0])
	}
	if g := list[1]; g.ECC != 4 || !g.MIG || len(g.Instances) != 2 || g.Total != 256<<20 || g.Temperature != 40 || g.Power != 60 {
		t.Errorf("%+v", g)
	}
	if g := list[2]; g.MIG || g.Lost != "" || !strings.HasPrefix(g.UUID, "GPU-") || len(g.Peers) != 1 || g.Peers[0].Way != "one PCI switch" {
		t.Errorf("%+v", g)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	var got Event
	if err := l.Watch(ctx, func(e Event) { got = e; cancel() }); err != nil {
		t.Fatal(err)
	}
	if got.XID != 79 || got.UUID != list[2].UUID {
		t.Errorf("the event is %+v, want 79 of %s", got, list[2].UUID)
	}
}
