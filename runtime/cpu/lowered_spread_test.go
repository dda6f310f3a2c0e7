package cpu_test

import (
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Operands of which each repeats along axes of its own.
func TestLoweredBothRepeat(t *testing.T) {
	fast := 0
	seeds(t, 150, func(t *testing.T, b *builder) {
		s := tensor.Shape{1 + b.IntN(3), 1 + b.IntN(4), 1 + b.IntN(12), 1 + b.IntN(40)}
		x, y := s.Clone(), s.Clone()
		for k := range s {
			switch b.IntN(4) {
			case 0:
				x[k] = 1
			case 1:
				y[k] = 1
			}
		}
		b.g.Out = []*graph.Value{b.node(one(b, "Relu", "Neg"), nil, b.node(one(b, "Add", "Sub", "Mul", "Div", "Max"), nil, b.input(b.floats(x[b.IntN(2):]...)), b.input(b.positive(y...))))}
		for _, st := range b.check(t, close32) {
			if st.Kernel == "binary" {
				fast++
			}
		}
	})
	if fast < 10 {
		t.Errorf("%d steps were binary", fast)
	}
}

// Trees whose features are float64 decide as in float64, at and beside their thresholds too.
func TestLoweredTreesOfDoubles(t *testing.T) {
	for _, mode := range []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"} {
		values := []float32{.1, -2.5, 1e38, 0, 16777216}
		b := newBuilder(1)
		var ids, nodes, features, yes, no, at, leaves, targets []int64
		var thresholds, weights []float32
		var modes []string
		for k, v := range values {
			ids, nodes = append(ids, int64(k), int64(k), int64(k)), append(nodes, 0, 1, 2)
			features, modes = append(features, 0, 0, 0), append(modes, mode, "LEAF", "LEAF")
			thresholds = append(thresholds, v, 0, 0)
			yes, no = append(yes, 1, 0, 0), append(no, 2, 0, 0)
			at, leaves, targets = append(at, int64(k), int64(k)), append(leaves, 1, 2), append(targets, 0, 0)
			weights = append(weights, float32(int(1)<<k), 0)
		}
		var x []float64
		for _, v := range values {
			w := float64(v)
			x = append(x, w, math.Nextafter(w, 1e300), math.Nextafter(w, -1e300), w*(1+1e-9), w*(1-1e-9))
		}
		x = append(x, 1e300, -1e300, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, 5e-324)
		n := b.node("TreeEnsembleRegressor", attrs{
			"nodes_treeids": graph.IntsAttr(ids...), "nodes_nodeids": graph.IntsAttr(nodes...), "nodes_featureids": graph.IntsAttr(features...),
			"nodes_modes": {Kind: graph.AttrStrings, Strings: modes}, "nodes_values": {Kind: graph.AttrFloats, Floats: thresholds},
			"nodes_truenodeids": graph.IntsAttr(yes...), "nodes_falsenodeids": graph.IntsAttr(no...),
			"target_treeids": graph.IntsAttr(at...), "target_nodeids": graph.IntsAttr(leaves...), "target_ids": graph.IntsAttr(targets...),
			"target_weights": {Kind: graph.AttrFloats, Floats: weights}, "n_targets": graph.IntAttr(1),
		}, b.input(tensor.FromSlice(x, len(x), 1)))
		n.Def.Domain, n.Def.Opset = "ai.onnx.ml", 3
		b.g.Out = []*graph.Value{n}
		steps := b.check(t, tolerance{})
		if steps[0].Path != cpu.Fast {
			t.Errorf("%s: not lowered", mode)
		}
	}
}
