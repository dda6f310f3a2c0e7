package compress

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// weights gives n normal values scaled to keep a layer's output near its input's size.
func weights(seed uint64, n, k int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64() / math.Sqrt(float64(k)))
	}
	return w
}

// perceptron is x[n,16] → 64 → 32 → 3, the middle layers with bias and Relu.
func perceptron() *build.Graph {
	g := build.New("mlp", 17)
	h := g.Input("x", build.Float, build.Sym("n"), build.Size(16))
	h = g.Op("Relu", []string{g.Op("Add", []string{g.Op("MatMul", []string{h, g.Const("w1", weights(1, 16*64, 16), 16, 64)}),
		g.Const("b1", weights(2, 64, 64), 64)})})
	h = g.Op("Relu", []string{g.Op("Gemm", []string{h, g.Const("w2", weights(3, 64*32, 64), 32, 64), g.Const("b2", weights(4, 32, 64), 32)},
		build.I("transB", 1))})
	g.Output(g.OpAs("y", "MatMul", []string{h, g.Const("w3", weights(5, 32*3, 32), 32, 3)}), build.Float, build.Sym("n"), build.Size(3))
	return g
}

// network is a small residual convolution network with a batch normalization.
func network() *build.Graph {
	g := build.New("cnn", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(3), build.Size(12), build.Size(12))
	conv := func(in, name string, seed uint64, oc, c, k int64) string {
		return g.Op("Conv", []string{in, g.Const(name, weights(seed, int(oc*c*k*k), int(c*k*k)), oc, c, k, k), g.Const(name+"b", weights(seed+50, int(oc), 16), oc)},
			build.Is("pads", k/2, k/2, k/2, k/2))
	}
	h := conv(x, "c1", 11, 32, 3, 3)
	ones := make([]float32, 32)
	for i := range ones {
		ones[i] = 1.5
	}
	h = g.Op("BatchNormalization", []string{h, g.Const("s", ones, 32), g.Const("t", weights(12, 32, 4), 32), g.Const("m", weights(13, 32, 4), 32),
		g.Const("v", ones, 32)})
	h = g.Op("MaxPool", []string{g.Op("Relu", []string{h})}, build.Is("kernel_shape", 2, 2), build.Is("strides", 2, 2))
	r := g.Op("Relu", []string{conv(h, "c2", 14, 48, 32, 3)})
	r = conv(r, "c3", 15, 32, 48, 3)
	h = g.Op("Relu", []string{g.Op("Add", []string{h, r})})
	h = g.Op("Flatten", []string{g.Op("GlobalAveragePool", []string{h})})
	g.Output(g.OpAs("y", "Gemm", []string{h, g.Const("w", weights(16, 32*5, 32), 32, 5), g.Const("b", weights(17, 5, 5), 5)}), build.Float, build.Sym("n"),
		build.Size(5))
	return g
}

// save writes a model where Run finds it and gives the path and a folder for the result.
func save(t *testing.T, g *build.Graph) (in, out string) {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, out = filepath.Join(dir, "model.onnx"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	return in, out
}

func run(t *testing.T, g *build.Graph, o Options) (*Report, *graph.Model) {
	t.Helper()
	in, out := save(t, g)
	r, err := Run(context.Background(), in, out, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, r.File))
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.json", "report.txt"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	return r, m
}

func operators(m *graph.Model) map[string]int {
	n := map[string]int{}
	for _, x := range m.Nodes {
		n[x.OpName()]++
	}
	return n
}

func near(t *testing.T, r *Report, cosine float64) {
	t.Helper()
	for _, o := range r.Outputs {
		if !(o.MinCosine >= cosine) {
			t.Errorf("output %s: least cosine %v, want at least %v", o.Name, o.MinCosine, cosine)
		}
	}
}

func TestCropMergesBatchNormalization(t *testing.T) {
	r, m := run(t, network(), Options{Crop: &Crop{}})
	if n := operators(m); n["BatchNormalization"] != 0 || n["Conv"] != 3 {
		t.Errorf("operators are %v", n)
	}
	if o := r.Outputs[0]; o.MaxError > 1e-5 {
		t.Errorf("the answers differ by %v", o.MaxError)
	}
}

func TestCropOutputsAndInputs(t *testing.T) {
	g := build.New("two", 17)
	a, b := g.Input("a", build.Float, build.Size(2), build.Size(4)), g.Input("b", build.Float, build.Size(2), build.Size(4))
	g.Output(g.OpAs("y", "Relu", []string{g.Op("Identity", []string{a})}), build.Float, build.Size(2), build.Size(4))
	g.Output(g.OpAs("z", "Add", []string{a, b}), build.Float, build.Size(2), build.Size(4))
	_, m := run(t, g, Options{Crop: &Crop{Outputs: []string{"y"}, Inputs: true}})
	if len(m.Out) != 1 || m.Out[0].Name != "y" || len(m.In) != 1 || m.In[0].Name != "a" || len(m.Nodes) != 1 {
		t.Errorf("%d outputs, %d inputs, operators %v", len(m.Out), len(m.In), operators(m))
	}
	in, out := save(t, g)
	if _, err := Run(context.Background(), in, out, Options{Crop: &Crop{Outputs: []string{"w"}}}); err == nil || !strings.Contains(err.Error(), "among y, z") {
		t.Errorf("an output that is not there: %v", err)
	}
}

func TestCropVocabulary(t *testing.T) {
	g := build.New("embed", 17)
	ids := g.Input("input_ids", build.Int64, build.Sym("n"), build.Sym("s"))
	g.Output(g.OpAs("y", "Gather", []string{g.Const("table", weights(1, 1000*8, 8), 1000, 8), ids}), build.Float, build.Sym("n"), build.Sym("s"), build.Size(8))
	in, out := save(t, g)
	vocabulary := []int64{3, 5, 999}
	shape := map[string]tensor.Shape{"input_ids": {1, 4}}
	if _, err := Run(context.Background(), in, out, Options{Crop: &Crop{Vocabulary: vocabulary, Unknown: 7}, Data: Data{Shapes: shape}}); err != nil {
		t.Fatal(err)
	}
	e := runtime.NewEngine(runtime.Config{})
	answer := func(path string, ids ...int64) []float32 {
		m, err := e.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		c := &device.Call{In: []tensor.Value{tensor.FromSlice(ids, 1, len(ids))}}
		if err := m.Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		defer c.Release()
		return append([]float32(nil), tensor.Data[float32](c.Out[0].(*tensor.Tensor))...)
	}
	got, want := answer(filepath.Join(out, "model.onnx"), 999, 3, 7, 5, 42), answer(in, 999, 3, 7, 5, 7)
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("element %d is %v, want %v: id 42 is not in the vocabulary and gets the row of 7", i, got[i], want[i])
		}
	}
	if _, err := Run(context.Background(), in, out, Options{Crop: &Crop{Vocabulary: []int64{1000}}, Data: Data{Shapes: shape}}); err == nil ||
		!strings.Contains(err.Error(), "1000 rows") {
		t.Errorf("an id beyond the table: %v", err)
	}
}

func TestPrune(t *testing.T) {
	rows := Data{Shapes: map[string]tensor.Shape{"x": {64, 16}}}
	r, _ := run(t, perceptron(), Options{Prune: &Prune{Sparsity: 0.5}, Data: rows})
	if share := float64(r.After.Zeros) / float64(16*64+64*32+32*3); share < 0.45 || share > 0.55 {
		t.Errorf("%.2f of the weights are zero", share)
	}
	near(t, r, 0.7)
	global, _ := run(t, perceptron(), Options{Prune: &Prune{Sparsity: 0.5, Global: true}})
	if global.After.Zeros < 1000 {
		t.Errorf("%d weights are zero", global.After.Zeros)
	}
	r, m := run(t, perceptron(), Options{Prune: &Prune{Neurons: 0.5}})
	if m.Nodes[0].In[1].Tensor().Shape[1] != 32 || r.After.FLOPs >= r.Before.FLOPs*6/10 {
		t.Errorf("the first matrix is %v, %d FLOPs of %d", m.Nodes[0].In[1].Tensor().Shape, r.After.FLOPs, r.Before.FLOPs)
	}
	r, m = run(t, network(), Options{Crop: &Crop{}, Prune: &Prune{Channels: 0.5}})
	shapes := map[string]bool{}
	for _, n := range m.Nodes {
		if n.Op == "Conv" {
			shapes[n.In[1].Tensor().Shape.String()] = true
		}
	}
	// The residual's channels must stay; those between its two convolutions may go.
	if !shapes["[16,32,3,3]"] || !shapes["[32,16,3,3]"] || r.After.FLOPs >= r.Before.FLOPs {
		t.Errorf("filters are %v, %d FLOPs of %d", shapes, r.After.FLOPs, r.Before.FLOPs)
	}
}

// A neuron or channel of zero weights adds nothing: taking it out changes no answer.
func TestPruneTakesTheLeastFirst(t *testing.T) {
	g := build.New("mlp", 17)
	w1 := weights(1, 16*64, 16)
	for i := range w1 {
		if i%64%2 == 1 {
			w1[i] = 0
		}
	}
	h := g.Op("Tanh", []string{g.Op("MatMul", []string{g.Input("x", build.Float, build.Sym("n"), build.Size(16)), g.Const("w1", w1, 16, 64)})})
	g.Output(g.OpAs("y", "MatMul", []string{h, g.Const("w2", weights(2, 64*3, 64), 64, 3)}), build.Float, build.Sym("n"), build.Size(3))
	r, _ := run(t, g, Options{Prune: &Prune{Neurons: 0.5}})
	if r.Outputs[0].MaxError > 1e-6 {
		t.Errorf("the answers differ by %v", r.Outputs[0].MaxError)
	}
}

func TestQuantize(t *testing.T) {
	f := func(kind Kind, g *build.Graph, want string, cosine, ratio float64) {
		t.Helper()
		r, m := run(t, g, Options{Crop: &Crop{}, Quantize: &Quantize{Kind: kind, MinElements: 64}})
		if operators(m)[want] == 0 {
			t.Errorf("%s: operators are %v, want %s", kind, operators(m), want)
		}
		near(t, r, cosine)
		if got := float64(r.After.FileBytes) / float64(r.Before.FileBytes); got > ratio {
			t.Errorf("%s: the file is %.2f of the original", kind, got)
		}
	}
	f(Dynamic, perceptron(), "MatMulInteger", 0.99, 0.6)
	f(Static, perceptron(), "QuantizeLinear", 0.99, 0.6)
	f(Static, network(), "QuantizeLinear", 0.99, 0.5)
	f(Int8Block, perceptron(), "com.microsoft.MatMulNBits", 0.999, 0.6)
	f(Int4Block, perceptron(), "com.microsoft.MatMulNBits", 0.98, 0.5)
	f(Float16, perceptron(), "Cast", 0.9999, 0.7)
	f(BFloat16, network(), "Cast", 0.999, 0.7)
}

func TestCalibrations(t *testing.T) {
	for _, c := range []Calibration{MinMax, Percentile, Entropy} {
		r, _ := run(t, network(), Options{Crop: &Crop{}, Quantize: &Quantize{Kind: Static, Calibrate: c}})
		near(t, r, 0.98)
	}
	// One value far out must not cost the others their resolution.
	h := &histogram{}
	rng := rand.New(rand.NewPCG(1, 1))
	v := make([]float32, 200000)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	v[7] = 50
	h.add(v)
	if r := h.rangeBy(MinMax); r.high != 50 {
		t.Errorf("minmax ends at %v", r.high)
	}
	for _, c := range []Calibration{Percentile, Entropy} {
		if r := h.rangeBy(c); r.high > 15 || r.high < 1 {
			t.Errorf("%s ends at %v", c, r.high)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	in, out := save(t, perceptron())
	bad := func(want string, o Options) {
		t.Helper()
		if _, err := Run(context.Background(), in, out, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		if entries, _ := os.ReadDir(out); len(entries) != 0 {
			t.Errorf("%s: something was written", want)
		}
	}
	bad("expected one of int8", Options{Quantize: &Quantize{Kind: "int3"}})
	bad("power of two", Options{Quantize: &Quantize{Kind: Int4Block, Block: 20}})
	bad("calibration", Options{Quantize: &Quantize{Kind: Static, Calibrate: "best"}})
	bad("0 to below 1", Options{Prune: &Prune{Sparsity: 1}})
	bad("0 to below 1", Options{Prune: &Prune{Neurons: math.NaN()}})
	bad("channels:", Options{Prune: &Prune{Channels: 0.5}})
	bad("heads:", Options{Prune: &Prune{Heads: 0.5}})
	bad("no such input", Options{Data: Data{Shapes: map[string]tensor.Shape{"q": {1}}}})
	bad("test_data_set_0", Options{Data: Data{Path: out}})
	bad("no keys", Options{Keys: &seal.Keyring{}})
	bad("below the bar", Options{Quantize: &Quantize{Kind: Int4Block, MinElements: 1}, Bar: Bar{MinCosine: 0.99999}})
	bad("below the bar", Options{Prune: &Prune{Sparsity: 0.9}, Bar: Bar{MaxError: 1e-6}})
	bad("needs labels", Options{Bar: Bar{MaxLoss: 0.1}})
	var bar *ErrBar
	_, err := Run(context.Background(), in, out, Options{Prune: &Prune{Sparsity: 0.9}, Bar: Bar{MaxError: 1e-6}})
	if !errors.As(err, &bar) {
		t.Errorf("got %T", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, in, out, Options{Crop: &Crop{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Run(context.Background(), filepath.Join(out, "none.onnx"), out, Options{}); err == nil {
		t.Error("a file that is not there")
	}
}

func TestFormsOfTheFile(t *testing.T) {
	line, err := seal.NewKey("k")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeyring(strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	in, out := save(t, perceptron())
	r, err := Run(context.Background(), in, out, Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, "model.onnx.sealed"))
	if err != nil || r.File != "model.onnx.sealed" {
		t.Fatalf("%s, %v", r.File, err)
	}
	plain, err := keys.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onnx.Read(plain); err != nil {
		t.Error(err)
	}
	if r, err = Run(context.Background(), in, out, Options{Pack: true, Prune: &Prune{Sparsity: 0.9}}); err != nil || r.File != "model.onnx.zst" {
		t.Fatalf("%v", err)
	}
	if r.After.FileBytes*2 > r.Before.FileBytes {
		t.Errorf("nine of ten weights are zero, and the packed file has %d of %d bytes", r.After.FileBytes, r.Before.FileBytes)
	}
}

func TestMetric(t *testing.T) {
	labels := []float64{0, 0, 1, 1}
	one := func(v ...float32) []*tensor.Tensor { return []*tensor.Tensor{tensor.FromSlice(v, len(v))} }
	m, err := metric(labels, one(.1, .4, .35, .8), one(.1, .2, .3, .4))
	if err != nil || m.Name != "AUC" || m.Before != 0.75 || m.After != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	two := []*tensor.Tensor{tensor.FromSlice([]float32{1, 0, 1, 0, 0, 1, 1, 0}, 4, 2)}
	if m, err = metric(labels, two, two); err != nil || m.Name != "accuracy" || m.Before != 0.75 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := metric(labels[:3], two, two); err == nil {
		t.Error("a label too few")
	}
	if _, err := metric([]float64{1, 1, 1, 1}, one(1, 2, 3, 4), one(1, 2, 3, 4)); err == nil {
		t.Error("labels of one class")
	}
}
