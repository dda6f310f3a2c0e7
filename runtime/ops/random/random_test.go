package random

import (
	"bytes"
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// draw applies one operator; in may be nil.
func draw(t *testing.T, name string, opset int, attrs graph.Attrs, in *tensor.Tensor) *tensor.Tensor {
	t.Helper()
	y, err := try(name, opset, attrs, in)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

func try(name string, opset int, attrs graph.Attrs, in *tensor.Tensor) (*tensor.Tensor, error) {
	r := ops.NewRegistry()
	Register(r)
	n := &graph.Node{Op: name, Opset: opset, Attrs: attrs, Out: []*graph.Value{{}}}
	c := &ops.Call{Node: n, Out: make([]tensor.Value, 1)}
	s := &ops.ShapeCall{Node: n, Out: make([]ops.Info, 1)}
	if in != nil {
		n.In = []*graph.Value{{}}
		c.In = []tensor.Value{in}
		s.In = []ops.Info{{Present: true, DType: in.DType, Known: true, Shape: in.Shape}}
	}
	op, err := r.Resolve(n)
	if err != nil {
		return nil, err
	}
	if err := op.Shape(s); err != nil {
		return nil, err
	}
	if err := op.Eval(c); err != nil {
		return nil, err
	}
	y := c.Out[0].(*tensor.Tensor)
	if s.Out[0].DType != y.DType || !s.Out[0].Shape.Equal(y.Shape) {
		panic("the shape rule says " + s.Out[0].Shape.String() + ", Eval made " + y.String())
	}
	return y, nil
}

// moments are the mean and the deviation.
func moments(t *testing.T, y *tensor.Tensor) (mean, dev float64) {
	t.Helper()
	v, err := tensor.Float64s(y)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		dev += (x - mean) * (x - mean) / float64(len(v))
	}
	return mean, math.Sqrt(dev)
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if math.Abs(got-want) > tol {
		t.Errorf("%s is %v, want %v ± %v", what, got, want, tol)
	}
}

func TestDistributions(t *testing.T) {
	shape := graph.IntsAttr(100, 200)
	y := draw(t, "RandomNormal", 1, graph.Attrs{"shape": shape, "mean": graph.FloatAttr(3), "scale": graph.FloatAttr(2), "seed": graph.FloatAttr(1)}, nil)
	if y.DType != tensor.Float32 || !y.Shape.Equal(tensor.Shape{100, 200}) {
		t.Fatalf("got %v", y)
	}
	mean, dev := moments(t, y)
	near(t, "mean", mean, 3, 0.06) // four deviations of the mean of 20,000
	near(t, "deviation", dev, 2, 0.05)

	like := tensor.New(tensor.Int64, tensor.Shape{50, 400})
	y = draw(t, "RandomUniformLike", 22, graph.Attrs{"dtype": graph.IntAttr(tensor.Float64.ONNX()), "low": graph.FloatAttr(-1), "high": graph.FloatAttr(3), "seed": graph.FloatAttr(1)}, like)
	if y.DType != tensor.Float64 || !y.Shape.Equal(like.Shape) {
		t.Fatalf("got %v", y)
	}
	mean, dev = moments(t, y)
	near(t, "mean", mean, 1, 0.035)
	near(t, "deviation", dev, 4/math.Sqrt(12), 0.02)
	for _, v := range tensor.Data[float64](y) {
		if v < -1 || v >= 3 {
			t.Fatalf("%v is outside of [-1,3)", v)
		}
	}
}

func TestSeed(t *testing.T) {
	a := func(seed float32) graph.Attrs {
		return graph.Attrs{"shape": graph.IntsAttr(64), "seed": graph.FloatAttr(seed)}
	}
	one, two, other := draw(t, "RandomUniform", 22, a(5), nil), draw(t, "RandomUniform", 22, a(5), nil), draw(t, "RandomUniform", 22, a(6), nil)
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("one seed gave two answers")
	}
	if bytes.Equal(one.Bytes(), other.Bytes()) {
		t.Error("two seeds gave one answer")
	}
	free := graph.Attrs{"shape": graph.IntsAttr(64)}
	if bytes.Equal(draw(t, "RandomUniform", 22, free, nil).Bytes(), draw(t, "RandomUniform", 22, free, nil).Bytes()) {
		t.Error("without a seed two applications gave one answer")
	}
}

func TestBernoulli(t *testing.T) {
	p := make([]float32, 30000)
	for i := range p {
		p[i] = []float32{0, 0.25, 1}[i%3]
	}
	y := draw(t, "Bernoulli", 15, graph.Attrs{"seed": graph.FloatAttr(2), "dtype": graph.IntAttr(tensor.Int32.ONNX())}, tensor.FromSlice(p, len(p)))
	var ones [3]int
	for i, v := range tensor.Data[int32](y) {
		if v != 0 && v != 1 {
			t.Fatalf("drew %d", v)
		}
		ones[i%3] += int(v)
	}
	if ones[0] != 0 || ones[2] != 10000 {
		t.Errorf("probabilities 0 and 1 gave %d and %d ones of 10000", ones[0], ones[2])
	}
	near(t, "share of ones", float64(ones[1])/10000, 0.25, 0.018)
	if _, err := try("Bernoulli", 22, nil, tensor.FromSlice([]float32{1.5}, 1)); err == nil {
		t.Error("a probability of 1.5 passed")
	}
}

func TestMultinomial(t *testing.T) {
	x := tensor.FromSlice([]float32{
		float32(math.Log(1)), float32(math.Log(3)), float32(math.Inf(-1)),
		100, float32(math.Inf(-1)), 100,
	}, 2, 3)
	y := draw(t, "Multinomial", 7, graph.Attrs{"sample_size": graph.IntAttr(20000), "seed": graph.FloatAttr(3), "dtype": graph.IntAttr(tensor.Int64.ONNX())}, x)
	var count [2][3]float64
	for i, v := range tensor.Data[int64](y) {
		count[i/20000][v] += 1.0 / 20000
	}
	near(t, "class 0", count[0][0], 0.25, 0.013)
	near(t, "class 1", count[0][1], 0.75, 0.013)
	near(t, "class 2", count[0][2], 0, 0)
	near(t, "class 0 of row 1", count[1][0], 0.5, 0.015)
	near(t, "class 1 of row 1", count[1][1], 0, 0)
}

func TestRefused(t *testing.T) {
	for name, a := range map[string]graph.Attrs{
		"too big":      {"shape": graph.IntsAttr(1<<30, 1<<30)},
		"negative":     {"shape": graph.IntsAttr(-1)},
		"not floating": {"shape": graph.IntsAttr(2), "dtype": graph.IntAttr(tensor.Int32.ONNX())},
		"no shape":     {},
	} {
		if _, err := try("RandomNormal", 22, a, nil); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}
