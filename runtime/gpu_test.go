//go:build cuda && cgo

package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
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
	double.state.Set("FAIL=", "NOPEER=")
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

// sample is a model with inputs.
type sample struct {
	name string
	file []byte
	in   []tensor.Value
}

type maker struct {
	*rand.Rand
	g    *build.Graph
	half bool // constants are float16
}

func newMaker(name string) *maker {
	return &maker{Rand: rand.New(rand.NewPCG(7, uint64(len(name)))), g: build.New(name, 17)}
}

// constant adds floats of the maker's type.
func (m *maker) constant(v []float32, dims ...int64) string {
	if !m.half {
		return m.g.Const(m.g.Fresh("c"), v, dims...)
	}
	bits := make([]uint16, len(v))
	for i, x := range v {
		bits[i] = tensor.Float32ToFloat16(x)
	}
	return m.g.Const(m.g.Fresh("c"), bits, dims...)
}

// float is the maker's type.
func (m *maker) float() build.DType {
	if m.half {
		return build.Float16
	}
	return build.Float
}

func (m *maker) floats(n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(m.NormFloat64() * scale)
	}
	return v
}

func (m *maker) weight(dims ...int) string {
	n, d := 1, []int64{}
	for _, x := range dims {
		n *= x
		d = append(d, int64(x))
	}
	return m.constant(m.floats(n, 1/math.Sqrt(float64(dims[0]))), d...)
}

func (m *maker) tensor(dims ...int) *tensor.Tensor {
	n := 1
	for _, x := range dims {
		n *= x
	}
	return tensor.FromSlice(m.floats(n, 1), dims...)
}

func (m *maker) dense(x string, k, n int) string {
	return m.g.Op("Add", []string{m.g.Op("MatMul", []string{x, m.weight(k, n)}), m.weight(n)})
}

// mlp is three layers of uneven widths.
func mlp(t *testing.T, rows int) sample {
	m := newMaker("mlp")
	x := m.g.Input("x", build.Float, build.Sym("b"), build.Size(19))
	h := m.g.Op("Relu", []string{m.g.Op("Gemm", []string{x, m.weight(19, 37), m.weight(37)})})
	h = m.g.Op("Tanh", []string{m.g.Op("Gemm", []string{h, m.weight(29, 37), m.weight(29)}, build.I("transB", 1))})
	m.g.OpAs("y", "Softmax", []string{m.g.Op("Gemm", []string{h, m.weight(29, 5), m.weight(5)})})
	m.g.Output("y", build.Float, build.Sym("b"), build.Size(5))
	return sample{"mlp", encode(t, m.g), []tensor.Value{m.tensor(rows, 19)}}
}

// transformer is a small encoder in the shape of MiniLM: embeddings looked up, attention by
// heads with a mask, GELU and layer norms spelled out as exporters do.
func transformer(t *testing.T, batch, tokens int) sample {
	return encoder(t, batch, tokens, false)
}

func encoder(t *testing.T, batch, tokens int, half bool) sample {
	const width, heads, inner, words = 24, 3, 50, 40
	m := newMaker("transformer")
	m.half = half
	low, eps := float32(-3e38), float32(1e-6)
	if half {
		low, eps = -60000, 1e-5
	}
	g := m.g
	ids := g.Input("ids", build.Int64, build.Sym("b"), build.Sym("t"))
	mask := g.Input("mask", build.Int64, build.Sym("b"), build.Sym("t"))
	x := g.Op("Gather", []string{m.weight(words, width), ids})
	axes := g.Const("axes", []int64{1, 2}, 2)
	far := g.Op("Mul", []string{g.Op("Sub", []string{m.constant([]float32{1}), g.Op("Cast", []string{g.Op("Unsqueeze", []string{mask, axes})}, build.I("to", int64(m.float())))}), m.constant([]float32{low})})
	norm := func(x string) string {
		d := g.Op("Sub", []string{x, g.Op("ReduceMean", []string{x}, build.Is("axes", -1))})
		v := g.Op("ReduceMean", []string{g.Op("Pow", []string{d, m.constant([]float32{2})})}, build.Is("axes", -1))
		s := g.Op("Sqrt", []string{g.Op("Add", []string{v, m.constant([]float32{eps})})})
		return g.Op("Add", []string{g.Op("Mul", []string{g.Op("Div", []string{d, s}), m.weight(width)}), m.weight(width)})
	}
	split := g.Const("split", []int64{0, 0, heads, width / heads}, 4)
	join := g.Const("join", []int64{0, 0, width}, 3)
	for range 2 {
		head := func(perm ...int64) string {
			return g.Op("Transpose", []string{g.Op("Reshape", []string{m.dense(x, width, width), split})}, build.Is("perm", perm...))
		}
		q, k, v := head(0, 2, 1, 3), head(0, 2, 3, 1), head(0, 2, 1, 3)
		scores := g.Op("Add", []string{g.Op("Div", []string{g.Op("MatMul", []string{q, k}), m.constant([]float32{float32(math.Sqrt(width / heads))})}), far})
		seen := g.Op("Transpose", []string{g.Op("MatMul", []string{g.Op("Softmax", []string{scores}, build.I("axis", -1)), v})}, build.Is("perm", 0, 2, 1, 3))
		x = norm(g.Op("Add", []string{m.dense(g.Op("Reshape", []string{seen, join}), width, width), x}))
		h := m.dense(x, width, inner)
		erf := g.Op("Add", []string{g.Op("Erf", []string{g.Op("Div", []string{h, m.constant([]float32{math.Sqrt2})})}), m.constant([]float32{1})})
		h = g.Op("Mul", []string{g.Op("Mul", []string{h, erf}), m.constant([]float32{0.5})})
		x = norm(g.Op("Add", []string{m.dense(h, inner, width), x}))
	}
	g.OpAs("y", "Identity", []string{x})
	g.Output("y", m.float(), build.Sym("b"), build.Sym("t"), build.Size(width))
	id, seen := make([]int64, batch*tokens), make([]int64, batch*tokens)
	for i := range id {
		id[i], seen[i] = int64(m.IntN(words)), 1
		if i%tokens > tokens-1-i/tokens%tokens {
			seen[i] = 0
		}
	}
	return sample{"transformer", encode(t, g), []tensor.Value{tensor.FromSlice(id, batch, tokens), tensor.FromSlice(seen, batch, tokens)}}
}

// forest is gradient boosting for two classes, as converters write it.
func forest(t *testing.T, rows int) sample {
	const trees, features = 11, 6
	m := newMaker("forest")
	g := m.g
	g.Opsets["ai.onnx.ml"] = 3
	var treeID, nodeID, feature, yes, no, leafTree, leafNode, leafClass, missing []int64
	var values, weights []float32
	var modes []string
	for tr := range int64(trees) {
		for n := range int64(7) { // a full tree of depth two
			treeID, nodeID, missing = append(treeID, tr), append(nodeID, n), append(missing, n%2)
			if n < 3 {
				modes, feature, values = append(modes, "BRANCH_LT"), append(feature, int64(m.IntN(features))), append(values, float32(m.NormFloat64()))
				yes, no = append(yes, 2*n+1), append(no, 2*n+2)
				continue
			}
			modes, feature, values, yes, no = append(modes, "LEAF"), append(feature, 0), append(values, 0), append(yes, 0), append(no, 0)
			leafTree, leafNode, leafClass, weights = append(leafTree, tr), append(leafNode, n), append(leafClass, 0), append(weights, float32(m.NormFloat64()))
		}
	}
	g.Input("x", build.Float, build.Sym("b"), build.Size(features))
	g.Add(build.Node{Name: "trees", Domain: "ai.onnx.ml", Op: "TreeEnsembleClassifier", Inputs: []string{"x"}, Outputs: []string{"label", "p"}, Attrs: []build.Attr{
		build.Is("nodes_treeids", treeID...), build.Is("nodes_nodeids", nodeID...), build.Is("nodes_featureids", feature...), build.Is("nodes_truenodeids", yes...),
		build.Is("nodes_falsenodeids", no...), build.Fs("nodes_values", values), build.Ss("nodes_modes", modes...), build.Is("nodes_missing_value_tracks_true", missing...),
		build.Is("class_treeids", leafTree...), build.Is("class_nodeids", leafNode...), build.Is("class_ids", leafClass...), build.Fs("class_weights", weights),
		build.Is("classlabels_int64s", 0, 1), build.S("post_transform", "LOGISTIC"), build.Fs("base_values", []float32{0.25})}})
	g.Output("label", build.Int64, build.Sym("b"))
	g.Output("p", build.Float, build.Sym("b"), build.Size(2))
	x := m.tensor(rows, features)
	tensor.Data[float32](x)[3] = float32(math.NaN())
	return sample{"forest", encode(t, g), []tensor.Value{x}}
}

// residual is a small network of convolutions in the shape of ResNet.
func residual(t *testing.T, batch int) sample {
	m := newMaker("residual")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(3), build.Size(13), build.Size(11))
	positive := func(n int) string {
		v := make([]float32, n)
		for i := range v {
			v[i] = 0.5 + m.Float32()
		}
		return g.Const(g.Fresh("v"), v, int64(n))
	}
	conv := func(x string, in, out int, k, stride int64) string {
		c := g.Op("Conv", []string{x, m.weight(out, in, int(k), int(k))}, build.Is("kernel_shape", k, k), build.Is("strides", stride, stride), build.Is("pads", k/2, k/2, k/2, k/2))
		return g.Op("BatchNormalization", []string{c, positive(out), m.weight(out), m.weight(out), positive(out)})
	}
	h := g.Op("Relu", []string{conv(x, 3, 9, 3, 2)})
	h = g.Op("MaxPool", []string{h}, build.Is("kernel_shape", 3, 3), build.Is("strides", 1, 1), build.Is("pads", 1, 1, 1, 1))
	h = g.Op("Relu", []string{g.Op("Add", []string{conv(g.Op("Relu", []string{conv(h, 9, 9, 3, 1)}), 9, 9, 3, 1), h})})
	h = g.Op("Flatten", []string{g.Op("GlobalAveragePool", []string{h})})
	g.OpAs("y", "Gemm", []string{h, m.weight(9, 7), m.weight(7)})
	g.Output("y", build.Float, build.Sym("b"), build.Size(7))
	return sample{"residual", encode(t, g), []tensor.Value{m.tensor(batch, 3, 13, 11)}}
}

// mixed has a node without a kernel between two that have one.
func mixed(t *testing.T, rows int) sample {
	m := newMaker("mixed")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(9))
	h := g.Op("Relu", []string{m.dense(x, 9, 8)})
	h = g.Op("Det", []string{g.Op("Reshape", []string{h, g.Const("square", []int64{-1, 2, 2}, 3)})})
	g.OpAs("y", "Sigmoid", []string{h})
	g.Output("y", build.Float, build.Sym("n"))
	return sample{"mixed", encode(t, g), []tensor.Value{m.tensor(rows, 9)}}
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

func samples(t *testing.T) []sample {
	return []sample{mlp(t, 7), transformer(t, 2, 5), forest(t, 33), residual(t, 2), mixed(t, 3)}
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
						m, err := e.ReadAt(s.file, nil, runtime.Placement{GPU: gpu.Options{Layout: layout, NoHost: true}})
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
		model, err := e.ReadAt(s.file, nil, runtime.Placement{GPU: at})
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
		state.Set("FAIL=", "NOPEER=")
		e := onGPUs(t, 2, gpu.Config{})
		state.Set("FAIL=" + x.fail)
		m, err := e.ReadAt(s.file, nil, runtime.Placement{GPU: gpu.Options{NoHost: true}})
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
	if _, err := onGPUs(t, 2, gpu.Config{}).ReadAt(s.file, nil, runtime.Placement{GPU: gpu.Options{Devices: []int{0}, Width: 2}}); api.CodeOf(err) != api.CodeGPUNotFound {
		t.Errorf("two devices of one: %v", err)
	}
}
