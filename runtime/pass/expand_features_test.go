package pass_test

import (
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestFloatFeatures: whole features of a linear model become float32 in a node of their own, once; the answers stay.
func TestFloatFeatures(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Int64, tensor.Int32, tensor.Float32, tensor.Float64} {
		r := &trial{Rand: rand.New(rand.NewPCG(1, 5)), data: map[*graph.Value]tensor.Value{}}
		x := map[tensor.DType]*tensor.Tensor{tensor.Int64: tensor.FromSlice([]int64{1, -2, 3, 1 << 30, 5, 0}, 2, 3), tensor.Int32: tensor.FromSlice([]int32{1, -2, 3, 9, 5, 0}, 2, 3),
			tensor.Float32: tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3), tensor.Float64: tensor.FromSlice([]float64{1, 2, 3, 4, 5, 6}, 2, 3)}[d]
		n := &graph.Node{Name: "model", Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, In: []*graph.Value{r.value(x, false)},
			Attrs: graph.Attrs{"coefficients": {Kind: graph.AttrFloats, Floats: []float32{.5, 2, -1}}}}
		n.Out = []*graph.Value{{Name: "y", Def: n}}
		r.g.Nodes, r.g.Out = append(r.g.Nodes, n), n.Out
		want := evaluate(t, &r.g, r.data)[0]
		for range 2 {
			named(t, "expand", registry)(&r.g)
		}
		if whole := d == tensor.Int64 || d == tensor.Int32; (len(r.g.Nodes) == 2) != whole || whole && r.g.Nodes[0].Op != "Cast" {
			t.Errorf("%v: %d nodes", d, len(r.g.Nodes))
		}
		if err := near(evaluate(t, &r.g, r.data)[0], want, true); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// TestFloatFeaturesShared: models that read the same whole features read one Cast of them.
func TestFloatFeaturesShared(t *testing.T) {
	r := &trial{Rand: rand.New(rand.NewPCG(2, 5)), data: map[*graph.Value]tensor.Value{}}
	x := r.value(tensor.FromSlice([]int64{1, -2, 3, 1 << 30, 5, 0}, 2, 3), false)
	for k := range 3 {
		n := &graph.Node{Name: "model", Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, In: []*graph.Value{x},
			Attrs: graph.Attrs{"coefficients": {Kind: graph.AttrFloats, Floats: []float32{.5, float32(k), -1}}}}
		n.Out = []*graph.Value{{Name: "y", Def: n}}
		r.g.Nodes, r.g.Out = append(r.g.Nodes, n), append(r.g.Out, n.Out[0])
	}
	want := evaluate(t, &r.g, r.data)
	named(t, "expand", registry)(&r.g)
	if len(r.g.Nodes) != 4 || r.g.Nodes[0].Op != "Cast" {
		t.Errorf("%d nodes, expected one Cast and three models", len(r.g.Nodes))
	}
	for k, got := range evaluate(t, &r.g, r.data) {
		if err := near(got, want[k], true); err != nil {
			t.Errorf("output %d: %v", k, err)
		}
	}
}
