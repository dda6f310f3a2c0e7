//go:build cuda && cgo

package runtime_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/emulator"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/tensor"
)

// fault is a kind of call that fails, and how.
type fault struct {
	device string // "*": whichever makes the call
	op     string
	code   driver.Code
}

// faults are all kinds on each of two devices and on either. Under "any" every entry point counts: the
// call itself fails, with the context left as it was; the others happen where the stream reaches
// them, and poison it where their code does.
func faults() (list []fault) {
	for _, d := range []string{"*", "0", "1"} {
		for op, codes := range map[string][]driver.Code{"launch": {driver.LaunchFailed, driver.IllegalAddress}, "alloc": {driver.OutOfMemory}, "hostalloc": {driver.OutOfMemory},
			"h2d": {driver.IllegalAddress, driver.InvalidValue}, "d2h": {driver.IllegalAddress}, "d2d": {driver.IllegalAddress}, "peer": {driver.IllegalAddress}, "memset": {driver.LaunchFailed},
			"sync": {driver.IllegalAddress, driver.Unknown}, "graphlaunch": {driver.LaunchFailed}, "graph": {driver.OutOfMemory}, "module": {driver.OutOfMemory, driver.UnsupportedPTX},
			"stream": {driver.OutOfMemory}, "event": {driver.OutOfMemory}, "context": {driver.OutOfMemory, 46}, "any": {driver.OutOfMemory, driver.LaunchFailed, driver.InvalidValue, 46}} {
			for _, c := range codes {
				list = append(list, fault{d, op, c})
			}
		}
	}
	return list
}

// TestGPUFaults lets the n-th call of each kind fail, from the opening of the devices to the end of the
// last request, until no n is left: no answer is wrong, none is missing, and no byte of a device stays
// taken. By default n goes in strides; AIMASS_EXHAUSTIVE takes every n.
func TestGPUFaults(t *testing.T) {
	state := useDouble(t)
	every := os.Getenv("AIMASS_EXHAUSTIVE") != ""
	stride, fired, turn := 19, 0, 0
	if every {
		stride = 1
	}
	for _, s := range []sample{mlp(t, 3), forest(t, 5), transformer(t, 2, 5), residual(t, 1)} {
		want := reference(t, s)
		for _, layout := range []gpu.Layout{gpu.Whole, gpu.Stages, gpu.Split} {
			t.Run(fmt.Sprintf("%s/%v", s.name, layout), func(t *testing.T) {
				for _, f := range faults() {
					turn++ // another beginning each time, so that all n are met by some kind and model
					for n := 1 + turn*7%stride; sweep(t, state, s, want, layout, f, n); n += stride {
						fired++
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
	t.Logf("%d faults: 0 wrong, 0 lost, 0 bytes left, unless it says otherwise above", fired)
	if !every {
		t.Log("NOT RUN: every n of the fault sweep: AIMASS_EXHAUSTIVE is not set")
	}
}

// sweep serves a few requests while the n-th call of a kind fails. It reports whether there was one,
// and all went well.
func sweep(t *testing.T, state *emulator.State, s sample, want []*tensor.Tensor, layout gpu.Layout, f fault, n int) (hit bool) {
	t.Helper()
	what := fmt.Sprintf("%s, %v, the %d. %s of device %s fails with %v", s.name, layout, n, f.op, f.device, f.code)
	state.Set("FAIL=", "NOPEER=")
	e := runtime.NewEngine(runtime.Config{})
	if err := e.UseGPUs(gpu.Config{Lanes: 1, Devices: []string{"0", "1"}}); err != nil {
		t.Fatal(err)
	}
	before := state.Counters()["injected"]
	state.Set(fmt.Sprintf("FAIL=%s:%s:%d:%d", f.device, f.op, n, int(f.code)))
	m, err := e.ReadAt(s.file, nil, runtime.Placement{GPU: gpu.Options{Layout: layout}})
	if err != nil {
		t.Errorf("%s: loading: %v", what, err)
		return false
	}
	for range 3 {
		got, err := answer(m, s.in)
		if err != nil {
			t.Errorf("%s: an answer is lost: %v", what, err)
		} else if err := differ(got, want); err != nil {
			t.Errorf("%s: a wrong answer: %v", what, err)
		}
	}
	hit = state.Counters()["injected"] != before
	state.Set("FAIL=")
	if err := m.Close(); err != nil && !hit {
		t.Errorf("%s: %v", what, err)
	}
	for _, g := range e.GPUs().GPUs() {
		if g.Lost == "" && g.Bytes != 0 {
			t.Errorf("%s: %v: %d bytes are left", what, g, g.Bytes)
		}
	}
	if err := e.Close(); err != nil && !hit {
		t.Errorf("%s: closing the devices: %v", what, err)
	}
	for i := range doubleDevices {
		if left := state.Counters()[fmt.Sprintf("live.%d", i)]; left != 0 {
			t.Errorf("%s: the double has %d bytes of device %d taken", what, left, i)
		}
	}
	return hit && !t.Failed()
}
