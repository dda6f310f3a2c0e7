//go:build cuda && cgo

package runtime_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/emulator"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// fault is a kind of call that fails, and how.
type fault struct {
	device string // "*": whichever makes the call
	op     string
	code   driver.Code
	stays  bool // every later call of the kind fails too
}

func (f fault) String() string {
	s := fmt.Sprintf("%s of device %s: %v", f.op, f.device, f.code)
	if f.stays {
		s += " from then on"
	}
	return s
}

// faults are all kinds on each of two devices and on either. Under "any" every entry point counts: the
// call itself fails, with the context left as it was; the others happen where the stream reaches
// them, and poison it where their code does.
func faults() (list []fault) {
	kinds := []struct {
		op    string
		codes []driver.Code
	}{{"launch", []driver.Code{driver.LaunchFailed, driver.IllegalAddress}}, {"alloc", []driver.Code{driver.OutOfMemory}},
		{"hostalloc", []driver.Code{driver.OutOfMemory}},
		{"h2d", []driver.Code{driver.IllegalAddress, driver.InvalidValue}}, {"d2h", []driver.Code{driver.IllegalAddress}},
		{"d2d", []driver.Code{driver.IllegalAddress}},
		{"peer", []driver.Code{driver.IllegalAddress}}, {"memset", []driver.Code{driver.LaunchFailed}},
		{"sync", []driver.Code{driver.IllegalAddress, driver.Unknown}},
		{"graphlaunch", []driver.Code{driver.LaunchFailed}}, {"graph", []driver.Code{driver.OutOfMemory}},
		{"module", []driver.Code{driver.OutOfMemory, driver.UnsupportedPTX}},
		{"stream", []driver.Code{driver.OutOfMemory}}, {"event", []driver.Code{driver.OutOfMemory}}, {"context", []driver.Code{driver.OutOfMemory, 46}},
		{"any", []driver.Code{driver.OutOfMemory, driver.LaunchFailed, driver.InvalidValue, 46}}}
	for _, d := range []string{"*", "0", "1"} {
		for _, k := range kinds {
			for _, c := range k.codes {
				list = append(list, fault{device: d, op: k.op, code: c})
			}
		}
		list = append(list, fault{d, "alloc", driver.OutOfMemory, true}, fault{d, "hostalloc", driver.OutOfMemory, true}, fault{d, "h2d", driver.InvalidValue, true})
	}
	return list
}

// way is how a model lies on two devices.
type way struct {
	layout gpu.Layout
	noPeer bool // they don't reach each other's memory
}

func (w way) String() string {
	if w.noPeer {
		return w.layout.String() + " without peer access"
	}
	return w.layout.String()
}

var ways = []way{{gpu.Whole, false}, {gpu.Stages, false}, {gpu.Split, false}, {gpu.Stages, true}, {gpu.Split, true}}

// TestGPUFaults lets the n-th call of each kind fail, from the opening of the devices to the end of the
// last request, for n in strides: no answer is wrong, none is missing, and no byte of a device stays
// taken. TestGPUFaultSweep takes every n.
func TestGPUFaults(t *testing.T) {
	state := useDouble(t)
	const stride = 19
	turn := 0
	var sum tally
	for _, s := range []sample{mlp(t, 3), forest(t, 5), transformer(t, 2, 5), residual(t, 1)} {
		want := reference(t, s)
		for _, w := range ways {
			t.Run(fmt.Sprintf("%s/%v", s.name, w), func(t *testing.T) {
				for _, f := range faults() {
					turn++ // another beginning each time, so that all n are met by some kind and model
					for n := 1 + turn*7%stride; sum.sweep(t, state, s, want, w, f, n); n += stride {
					}
				}
			})
		}
	}
	t.Log(sum)
}

// TestGPUFaultSweep is TestGPUFaults for every n, on models small enough for that: each has all that
// its larger kind has. AIMASS_SWEEP names a folder in which it notes what is done, so that it can
// be stopped and taken up by the same program; AIMASS_SWEEP_SHARD=k/n takes one of n parts (make cuda-sweep).
func TestGPUFaultSweep(t *testing.T) {
	dir := os.Getenv("AIMASS_SWEEP")
	if dir == "" {
		t.Skip("NOT RUN: every n of the fault sweep, which takes long; make cuda-sweep")
	}
	state := useDouble(t)
	shard, shards := 0, 1
	if v := os.Getenv("AIMASS_SWEEP_SHARD"); v != "" {
		if _, err := fmt.Sscanf(v, "%d/%d", &shard, &shards); err != nil || shard < 0 || shard >= shards {
			t.Fatalf("AIMASS_SWEEP_SHARD=%s: want k/n with k from 0 to n-1", v)
		}
	}
	log := openSweepLog(t, dir, shard, shards)
	cell, placements := 0, 0
	var sum tally
	for _, s := range []sample{mlp(t, 2), forest(t, 3), mixed(t, 2), encoder(t, 1, 3, encoderSize{layers: 1, width: 6, heads: 2, inner: 10, words: 9}),
		convolutions(t, 1, 4, 5, 4)} {
		want := reference(t, s)
		for _, w := range ways {
			placements++
			for _, f := range faults() {
				cell++
				if cell%shards != shard {
					continue
				}
				name := fmt.Sprintf("%s, %v, %v", s.name, w, f)
				done, ok := log.done[name]
				if !ok {
					for n := 1; done.sweep(t, state, s, want, w, f, n); n++ {
					}
					log.note(t, name, done)
				}
				sum.add(done)
			}
			t.Logf("%s, %v: %v", s.name, w, sum)
		}
	}
	if sum.wrong+sum.lost+sum.leaked > 0 {
		t.Errorf("%v", sum)
	}
	fmt.Printf("cuda-sweep: shard %d of %d: %d placements × %d kinds of fault: %v\n", shard+1, shards, placements, len(faults()), sum)
}

// tally counts faults that happened and what came of them.
type tally struct{ faults, wrong, lost, leaked int }

func (c tally) String() string {
	return fmt.Sprintf("%d calls failed, %d answers wrong, %d lost, %d leaks", c.faults, c.wrong, c.lost, c.leaked)
}

func (c *tally) add(o tally) {
	c.faults += o.faults
	c.wrong += o.wrong
	c.lost += o.lost
	c.leaked += o.leaked
}

// sweep serves a few requests while the n-th call of a kind fails. It reports whether there was one.
func (c *tally) sweep(t *testing.T, state *emulator.State, s sample, want []*tensor.Tensor, w way, f fault, n int) (hit bool) {
	t.Helper()
	what := fmt.Sprintf("%s, %v, the %d. %v", s.name, w, n, f)
	peer := "NOPEER="
	if w.noPeer {
		peer += "1"
	}
	state.Set("FAIL=", peer)
	e := runtime.NewEngine(runtime.Config{})
	if err := e.UseGPUs(gpu.Config{Lanes: 1, Devices: []string{"0", "1"}}); err != nil {
		t.Fatal(err)
	}
	before := state.Counters()
	spec := fmt.Sprintf("FAIL=%s:%s:%d:%d", f.device, f.op, n, int(f.code))
	if f.stays {
		spec += ":always"
	}
	state.Set(spec)
	m, err := e.ReadAt(onnx.Memory{Bytes: s.file}, runtime.Placement{GPU: gpu.Options{Layout: w.layout}})
	if err != nil {
		t.Fatalf("%s: loading: %v", what, err)
	}
	for range 3 {
		got, err := answer(m, s.in)
		if err != nil {
			c.lost++
			t.Errorf("%s: an answer is lost: %v", what, err)
		} else if err := differ(got, want); err != nil {
			c.wrong++
			t.Errorf("%s: a wrong answer: %v", what, err)
		}
	}
	hit = state.Counter("injected") != before["injected"]
	state.Set("FAIL=")
	leaked := false
	leak := func(format string, args ...any) {
		leaked = true
		t.Errorf(what+": "+format, args...)
	}
	if err := m.Close(); err != nil && !hit {
		leak("%v", err)
	}
	for _, g := range e.GPUs().GPUs() {
		if g.Lost == "" && g.Bytes != 0 {
			leak("%v: %d bytes are left", g, g.Bytes)
		}
	}
	if err := e.Close(); err != nil && !hit {
		leak("closing the devices: %v", err)
	}
	after := state.Counters()
	for i := range doubleDevices {
		at := fmt.Sprintf("live.%d", i)
		if left := int64(after[at] - before[at]); left != 0 {
			leak("the double has %d bytes of device %d taken", left, i)
		}
	}
	if left := int64(after["live.host"] - before["live.host"]); left != 0 {
		leak("the double has %d bytes of pinned memory taken", left)
	}
	if leaked {
		c.leaked++
	}
	if hit {
		c.faults++
	}
	return hit
}

// sweepLog notes in a file what a shard has done: a line for each kind of fault, model and layout.
type sweepLog struct {
	done map[string]tally
	file *os.File
}

// openSweepLog takes up the file of this very program, whose digest is in the name.
func openSweepLog(t *testing.T, dir string, shard, shards int) *sweepLog {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	h := sha256.New()
	if _, err := io.Copy(h, program); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &sweepLog{done: map[string]tally{}}
	path := filepath.Join(dir, fmt.Sprintf("%x-%dof%d.txt", h.Sum(nil)[:6], shard, shards))
	if l.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.file.Close() })
	for lines := bufio.NewScanner(l.file); lines.Scan(); {
		name, numbers, _ := strings.Cut(lines.Text(), "\t")
		var c tally
		if _, err := fmt.Sscan(numbers, &c.faults, &c.wrong, &c.lost, &c.leaked); err == nil {
			l.done[name] = c
		}
	}
	return l
}

func (l *sweepLog) note(t *testing.T, name string, c tally) {
	t.Helper()
	if _, err := fmt.Fprintf(l.file, "%s\t%d %d %d %d\n", name, c.faults, c.wrong, c.lost, c.leaked); err != nil {
		t.Fatal(err)
	}
}
