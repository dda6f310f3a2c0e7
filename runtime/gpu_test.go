//go:build cuda && cgo

package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/emulator"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// doubleDevices is the number of devices that the driver's double has in this process, which can
// open it but once.
const doubleDevices = 8

var double struct {
	sync.Once
	state *emulator.State
	err   error
}

// onHardware says that the tests run on GPUs (make cuda-hw).
var onHardware = os.Getenv("AIMASS_CUDA_HARDWARE") != ""

// errHardware keeps tests that steer the double from running on GPUs.
var errHardware = errors.New("it steers the driver's double, and this is a GPU")

// useDouble makes the driver's double the CUDA driver of this process.
func useDouble(t *testing.T) *emulator.State {
	t.Helper()
	double.Do(func() {
		if onHardware {
			double.err = errHardware
			return
		}
		var library string
		if library, double.err = emulator.Build(""); double.err != nil {
			return
		}
		path := filepath.Join(os.TempDir(), fmt.Sprintf("aimass-emulator-%d", os.Getpid()))
		if double.state, double.err = emulator.OpenState(path); double.err != nil {
			return
		}
		c := emulator.Config{Devices: doubleDevices, MemoryMiB: []int{64}, State: path, Quiet: true, Threads: 2, RaceCheck: true}
		for _, v := range c.Environ(library) {
			name, value, _ := strings.Cut(v, "=")
			os.Setenv(name, value)
		}
	})
	if errors.Is(double.err, emulator.ErrNoCompiler) {
		t.Skipf("NOT RUN: %v", double.err)
	}
	if errors.Is(double.err, errHardware) {
		t.Skipf("NOT RUN: %v", double.err)
	}
	if double.err != nil {
		t.Fatal(double.err)
	}
	double.state.Set("FAIL=", "NOPEER=", "POOLS=")
	return double.state
}

// gpusOf gives the double and the number of its devices, or, on GPUs, nil and theirs.
func gpusOf(t *testing.T) (*emulator.State, int) {
	t.Helper()
	if !onHardware {
		return useDouble(t), doubleDevices
	}
	drv, err := driver.Open()
	if err != nil {
		t.Fatal(err)
	}
	return nil, len(drv.Devices())
}

// onGPUs makes an engine that uses n devices of the double.
func onGPUs(t *testing.T, n int, cfg gpu.Config) *runtime.Engine {
	t.Helper()
	e := runtime.NewEngine(runtime.Config{})
	for i := range n {
		cfg.Devices = append(cfg.Devices, strconv.Itoa(i))
	}
	if err := e.UseGPUs(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the devices: %v", err)
		}
	})
	return e
}

// answer runs a model once and gives copies of what it returns.
func answer(m *runtime.Model, in []tensor.Value) ([]*tensor.Tensor, error) {
	call := &device.Call{In: in}
	if err := m.Run(context.Background(), call); err != nil {
		return nil, err
	}
	var out []*tensor.Tensor
	for _, v := range call.Out {
		out = append(out, v.(*tensor.Tensor).Clone())
	}
	call.Release()
	return out, nil
}

// reference is what the CPU computes.
func reference(t *testing.T, s sample) []*tensor.Tensor {
	t.Helper()
	m, err := runtime.NewEngine(runtime.Config{}).Read(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := answer(m, s.in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// differ says where two results are apart by more than rounding.
func differ(got, want []*tensor.Tensor) error { return apart(got, want, 1e-4) }

// apart says where two results are further apart than eps.
func apart(got, want []*tensor.Tensor, eps float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for k := range want {
		if got[k].DType != want[k].DType || !got[k].Shape.Equal(want[k].Shape) {
			return fmt.Errorf("output %d is %v%v, want %v%v", k, got[k].DType, got[k].Shape, want[k].DType, want[k].Shape)
		}
		a, _ := tensor.Float64s(got[k])
		b, _ := tensor.Float64s(want[k])
		for i := range b {
			if !(math.Abs(a[i]-b[i]) <= eps+eps*math.Abs(b[i])) {
				return fmt.Errorf("output %d, element %d is %v, want %v", k, i, a[i], b[i])
			}
		}
	}
	return nil
}

// TestGPULayouts holds models on one to eight devices, in every layout, with and without
// peer access, to the CPU; and sees that all memory comes back.
func TestGPULayouts(t *testing.T) {
	state, most := gpusOf(t)
	for _, s := range samples(t) {
		want := reference(t, s)
		for _, n := range []int{1, 2, 3, 4, 8} {
			for _, layout := range []gpu.Layout{gpu.Whole, gpu.Stages, gpu.Split} {
				for _, peer := range []string{"", "1"} {
					if n == 1 && (layout != gpu.Whole || peer != "") || layout == gpu.Whole && peer != "" || n > most || onHardware && peer != "" {
						continue
					}
					t.Run(fmt.Sprintf("%s/%d/%v/nopeer=%s", s.name, n, layout, peer), func(t *testing.T) {
						if state != nil {
							state.Set("FAIL=", "NOPEER="+peer)
						}
						e := onGPUs(t, n, gpu.Config{})
						m, err := e.ReadAt(onnx.Memory{Bytes: s.file}, runtime.Placement{GPU: gpu.Options{Layout: layout, NoHost: true}})
						if err != nil {
							t.Fatal(err)
						}
						for range 2 {
							got, err := answer(m, s.in)
							if err != nil {
								t.Fatal(err)
							}
							if err := differ(got, want); err != nil {
								t.Fatal(err)
							}
						}
						if err := m.Close(); err != nil {
							t.Error(err)
						}
						for _, g := range e.GPUs().GPUs() {
							if g.Bytes != 0 || g.Lost != "" {
								t.Errorf("%v: %d bytes are left, lost: %q", g, g.Bytes, g.Lost)
							}
						}
					})
				}
			}
		}
	}
}

// TestGPUSteadyState counts what a batch costs once its plan is made.
func TestGPUSteadyState(t *testing.T) {
	state := useDouble(t)
	for _, s := range []sample{mlp(t, 7), transformer(t, 2, 5), forest(t, 33), residual(t, 2)} {
		e := onGPUs(t, 1, gpu.Config{Lanes: 1})
		m, err := e.Read(s.file)
		if err != nil {
			t.Fatal(err)
		}
		bytes := uint64(0)
		run := func() {
			out, err := answer(m, s.in)
			if err != nil {
				t.Fatal(err)
			}
			bytes = 0
			for _, v := range out {
				bytes += uint64(len(v.Bytes()))
			}
		}
		run()
		before := state.Counters()
		const batches = 5
		for range batches {
			run()
		}
		after := state.Counters()
		calls := uint64(0)
		for name, n := range after {
			if d := n - before[name]; d > 0 && strings.HasPrefix(name, "call.") && name != "call.cuStreamSynchronize" {
				calls += d
				t.Logf("%s: %s %d", s.name, name, d)
			}
		}
		if calls > 3*batches {
			t.Errorf("%s: %d driver calls in %d batches besides waiting, want at most 3 a batch", s.name, calls, batches)
		}
		in := uint64(0)
		for _, v := range s.in {
			in += uint64(len(v.(*tensor.Tensor).Bytes()))
		}
		if got := after["bytes.h2d"] - before["bytes.h2d"]; got != batches*in {
			t.Errorf("%s: %d bytes went in, want %d", s.name, got, batches*in)
		}
		if got := after["bytes.d2h"] - before["bytes.d2h"]; got != batches*bytes {
			t.Errorf("%s: %d bytes came out, want %d", s.name, got, batches*bytes)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestGPULost takes devices out one after the other, until the CPU serves.
func TestGPULost(t *testing.T) {
	useDouble(t)
	s := mlp(t, 4)
	want := reference(t, s)
	e := onGPUs(t, 2, gpu.Config{})
	m, err := e.Read(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range 3 {
		got, err := answer(m, s.in)
		if err != nil {
			t.Fatal(err)
		}
		if err := differ(got, want); err != nil {
			t.Fatal(err)
		}
		if st := e.GPUs().Stats(); st.Lost != uint64(i) || (st.Fallbacks > 0) != (i == 2) {
			t.Errorf("after %d losses: %+v", i, st)
		}
		e.GPUs().Lose(i, "a fatal XID")
	}
}

// TestGPUMemory serves a model that is larger than one device by splitting it, and says
// so when it is larger than all.
func TestGPUMemory(t *testing.T) {
	state := useDouble(t)
	m := newMaker("large")
	x := m.g.Input("x", build.Float, build.Sym("b"), build.Size(1024))
	for range 20 { // 80 MiB on devices of 64
		x = m.g.Op("Tanh", []string{m.g.Op("MatMul", []string{x, m.weight(1024, 1024)})})
	}
	m.g.OpAs("y", "Identity", []string{x})
	m.g.Output("y", build.Float, build.Sym("b"), build.Size(1024))
	s := sample{"large", encode(t, m.g), []tensor.Value{m.tensor(1, 1024)}}
	want := reference(t, s)
	check := func(devices int, at gpu.Options, layout string) error {
		e := onGPUs(t, devices, gpu.Config{Lanes: 1})
		model, err := e.ReadAt(onnx.Memory{Bytes: s.file}, runtime.Placement{GPU: at})
		if err != nil {
			return err
		}
		defer model.Close()
		got, err := answer(model, s.in)
		if err != nil {
			return err
		}
		if err := differ(got, want); err != nil {
			t.Error(err)
		}
		if x, err := model.Explain(s.in); err != nil || !strings.HasPrefix(layout, x.Layout) || !strings.Contains(x.Reason, strings.TrimPrefix(layout, x.Layout)) {
			t.Errorf("on %d devices: %+v, %v, want %s", devices, x, err, layout)
		}
		used := 0
		for _, g := range e.GPUs().GPUs() {
			if g.Bytes > 0 {
				used++
			}
		}
		if used != devices {
			t.Errorf("%d of %d devices are used", used, devices)
		}
		return nil
	}
	if err := check(2, gpu.Options{NoHost: true}, "split"); err != nil {
		t.Errorf("on two devices: %v", err)
	}
	state.Set("NOPEER=1")
	if err := check(2, gpu.Options{NoHost: true}, "stagesno peer access"); err != nil {
		t.Errorf("on two devices without peer access: %v", err)
	}
	state.Set("NOPEER=")
	if err := check(1, gpu.Options{NoHost: true}, ""); err == nil || !strings.Contains(err.Error(), "83886080 bytes") {
		t.Errorf("on one device: %v", err)
	}
	if err := check(1, gpu.Options{}, "stages"); err != nil {
		t.Errorf("on one device and the host: %v", err)
	}
}

// TestGPUTableOnHost serves a model whose table no device holds: the host looks the table up, and what comes
// behind it runs on the device.
func TestGPUTableOnHost(t *testing.T) {
	useDouble(t)
	m := newMaker("table")
	ids := m.g.Input("ids", build.Int64, build.Sym("b"))
	x := m.g.Op("Gather", []string{m.weight(20<<10, 1<<10), ids}) // 80 MiB on a device of 64
	m.g.OpAs("y", "Tanh", []string{m.dense(x, 1<<10, 256)})
	m.g.Output("y", build.Float, build.Sym("b"), build.Size(256))
	s := sample{"table", encode(t, m.g), []tensor.Value{tensor.FromSlice([]int64{3, 20479, 0}, 3)}}
	e := onGPUs(t, 1, gpu.Config{})
	model, err := e.Read(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	got, err := answer(model, s.in)
	if err != nil {
		t.Fatal(err)
	}
	if err := differ(got, reference(t, s)); err != nil {
		t.Error(err)
	}
	explained, err := model.Explain(s.in)
	if err != nil {
		t.Fatal(err)
	}
	var kernels []string
	for _, p := range explained.Steps {
		kernels = append(kernels, p.Kernel)
	}
	if d := explained.Devices[0]; d.Weights < 1<<20 || d.Weights > 2<<20 || d.Kernels == 0 {
		t.Errorf("the device has %d bytes of weights and runs %d operations (%v, %s)", d.Weights, d.Kernels, kernels, explained.Reason)
	}
}

// TestGPUWrongIndex holds a gather beyond its table to the CPU's refusal.
func TestGPUWrongIndex(t *testing.T) {
	useDouble(t)
	m := newMaker("index")
	ids := m.g.Input("ids", build.Int64, build.Sym("b"))
	m.g.OpAs("y", "Gather", []string{m.weight(10, 3), ids})
	m.g.OpAs("z", "Gather", []string{m.weight(10, 3), m.g.Op("Add", []string{ids, m.g.Const("five", []int64{5})})})
	m.g.Output("y", build.Float, build.Sym("b"), build.Size(3))
	m.g.Output("z", build.Float, build.Sym("b"), build.Size(3))
	e := onGPUs(t, 1, gpu.Config{})
	model, err := e.Read(encode(t, m.g))
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	for ids, wrong := range map[int64]bool{0: false, 4: false, 5: true, -10: false, -11: true, 12: true} {
		_, err := answer(model, []tensor.Value{tensor.FromSlice([]int64{1, ids}, 2)})
		if (err != nil) != wrong {
			t.Errorf("index %d: %v", ids, err)
		}
	}
	if st := e.GPUs().Stats(); st != (gpu.Stats{}) {
		t.Errorf("a wrong request was held against a device: %+v", st)
	}
}

// TestGPUErrors holds failures that the host may not help with to the codes of the error table.
func TestGPUErrors(t *testing.T) {
	state := useDouble(t)
	s := mlp(t, 4)
	for _, x := range []struct {
		fail string
		code api.Code
		want string
	}{
		{"*:module:1:222:always", api.CodeGPUKernelsRefused, "compute capability 8.0"},
		{"*:module:1:218:always", api.CodeGPUKernelsRefused, "invalid PTX"},
		{"*:alloc:1:2:always", api.CodeGPUOutOfMemory, "bytes"},
		{"*:h2d:1:1:always", api.CodeGPUFailed, "invalid value"},
		{"*:sync:1:700:always", api.CodeGPULost, "illegal address"},
	} {
		state.Set("FAIL=", "NOPEER=", "POOLS=")
		e := onGPUs(t, 2, gpu.Config{})
		state.Set("FAIL=" + x.fail)
		m, err := e.ReadAt(onnx.Memory{Bytes: s.file}, runtime.Placement{GPU: gpu.Options{NoHost: true}})
		if err == nil {
			_, err = answer(m, s.in)
			state.Set("FAIL=")
			if err := m.Close(); err != nil {
				t.Logf("%s: %v", x.fail, err)
			}
		}
		if api.CodeOf(err) != x.code || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v (%s), want %s", x.fail, err, api.CodeOf(err), x.code)
		}
	}
	state.Set("FAIL=")
	if _, err := onGPUs(t, 2, gpu.Config{}).ReadAt(onnx.Memory{Bytes: s.file}, runtime.Placement{GPU: gpu.Options{Devices: []int{0}, Width: 2}}); api.CodeOf(err) != api.CodeGPUNotFound {
		t.Errorf("two devices of one: %v", err)
	}
}
