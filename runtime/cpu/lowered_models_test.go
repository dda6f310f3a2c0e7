package cpu_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestLoweredDense holds products with what follows them to Eval.
func TestLoweredDense(t *testing.T) {
	seeds(t, 120, func(t *testing.T, b *builder) {
		m, k, n := 1+b.IntN(20), 1+b.IntN(40), 1+b.IntN(40)
		var v *graph.Value
		if b.IntN(2) == 0 {
			a := attrs{"alpha": graph.FloatAttr(one[float32](b, 1, 0.5)), "transB": graph.IntAttr(int64(b.IntN(2)))}
			w := b.floats(k, n)
			if a["transB"].I == 1 {
				w = b.floats(n, k)
			}
			v = b.node("Gemm", a, b.input(b.floats(m, k)), b.constant(w), b.constant(one(b, b.floats(n), b.floats(1, n), b.floats(m, n), b.floats(1))))
		} else {
			lead := one(b, []int{}, []int{3}, []int{2, 3})
			v = b.node("MatMul", nil, b.input(b.floats(append(lead, m, k)...)), b.constant(b.floats(k, n)))
		}
		s := outShape(t, b, v)
		for range b.IntN(3) {
			switch b.IntN(5) {
			case 0:
				v = b.node("Add", nil, v, b.constant(b.floats(n)))
			case 1:
				v = b.node("Add", nil, b.input(b.floats(s...)), v)
			case 2:
				v = b.node("Mul", nil, v, b.scalar(0.25))
			case 3:
				v = b.node("Mul", nil, v, b.node("Sigmoid", nil, v))
			default:
				v = b.node("Relu", nil, v)
			}
		}
		b.output(v)
		mustLower(t, b.check(t, close32))
	})
}

// TestLoweredNormed holds products with a normalisation or other scales of the columns behind them, past nodes
// that change the shape, to Eval; and requires that they are one step.
func TestLoweredNormed(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		lead, m, k, n := 1+b.IntN(3), 1+b.IntN(20), 1+b.IntN(40), 2+b.IntN(40)
		x := b.input(b.floats(lead, m, k))
		var v *graph.Value
		if b.IntN(2) == 0 {
			v = b.node("MatMul", nil, x, b.constant(b.floats(k, n)))
		} else {
			x = b.node("Reshape", nil, x, b.int64s(-1, int64(k)))
			v = b.node("Gemm", attrs{"transB": graph.IntAttr(1), "alpha": graph.FloatAttr(.5)}, x, b.constant(b.floats(n, k)), b.constant(b.floats(n)))
		}
		if b.IntN(2) == 0 {
			v = b.node("Add", nil, v, b.constant(b.floats(n)))
		}
		if b.IntN(3) > 0 {
			variance := b.floats(n)
			for i, d := 0, tensor.Data[float32](variance); i < len(d); i++ {
				d[i] = d[i]*d[i] + .1
			}
			v = b.node("Reshape", nil, v, b.int64s(-1, int64(n)))
			v = b.node("BatchNormalization", nil, v, b.constant(b.floats(n)), b.constant(b.floats(n)), b.constant(b.floats(n)), b.constant(variance))
		} else {
			v = b.node("Mul", nil, b.constant(b.floats(n)), v)
		}
		v = b.node("Reshape", nil, v, b.int64s(int64(lead), int64(m), int64(n)))
		switch b.IntN(3) {
		case 0:
			v = b.node("Relu", nil, v)
		case 1:
			v = b.node("Add", nil, v, b.input(b.floats(lead, m, n)))
		}
		b.output(v)
		steps := b.check(t, close32)
		mustLower(t, steps)
		products := slices.DeleteFunc(slices.Clone(steps), func(s cpu.DescribedStep) bool { return s.Kernel == "view" })
		if len(products) != 1 {
			t.Errorf("not one product\n%s", b.describe(steps))
		}
	})
}

// TestLoweredSiblings holds products of one x, with nodes between them that read what the first
// ones give, to Eval; and requires that they are one step.
func TestLoweredSiblings(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		m, k := 5+b.IntN(30), 1+b.IntN(40)
		x := b.input(b.floats(m, k))
		if b.IntN(2) == 0 {
			x = b.node("Relu", nil, x)
		}
		count := 2 + b.IntN(3)
		for range count {
			n := 1 + b.IntN(70)
			var v *graph.Value
			if b.IntN(2) == 0 {
				v = b.node("MatMul", nil, x, b.constant(b.floats(k, n)))
				if b.IntN(2) == 0 {
					v = b.node("Add", nil, b.constant(b.floats(n)), v)
				}
			} else {
				v = b.node("Gemm", attrs{"transB": graph.IntAttr(1)}, x, b.constant(b.floats(n, k)), b.constant(b.floats(n)))
			}
			if b.IntN(3) == 0 {
				v = b.node("Sigmoid", nil, v)
			}
			b.output(v, b.node("Transpose", attrs{"perm": ints(1, 0)}, v))
		}
		steps := b.check(t, close32)
		if !slices.ContainsFunc(steps, func(s cpu.DescribedStep) bool { return s.Kernel == "siblings" && len(s.Nodes) >= min(count, 3) }) {
			t.Errorf("no step takes the products together\n%s", b.describe(steps))
		}
	})
	// Where one is added to the other, neither can be first.
	b := newBuilder(1)
	x := b.input(b.floats(9, 20))
	b.output(b.node("Add", nil, b.node("MatMul", nil, x, b.constant(b.floats(20, 33))), b.node("MatMul", nil, x, b.constant(b.floats(20, 33)))))
	mustLower(t, b.check(t, close32))
}

// TestLoweredOneHot holds products of one-hot rows, whose indices may be out of range, to
// Eval.
func TestLoweredOneHot(t *testing.T) {
	seeds(t, 30, func(t *testing.T, b *builder) {
		classes, rows, cols := 1+b.IntN(40), 1+b.IntN(30), 1+b.IntN(20)
		ids, count := tensor.New(tensor.Int64, tensor.Shape{2, rows, 1}), make([]int64, classes)
		for i, d := 0, tensor.Data[int64](ids); i < len(d); i++ {
			d[i] = int64(b.IntN(classes+4) - 2)
		}
		for i := range count {
			count[i] = int64(i)
		}
		in := []*graph.Value{b.input(ids), b.int64s(count...)}
		if b.IntN(2) == 0 {
			in[0], in[1] = in[1], in[0]
		}
		hot := b.node("Cast", attrs{"to": graph.IntAttr(1)}, b.node("Equal", nil, in...))
		y := b.node("MatMul", nil, hot, b.constant(b.floats(classes, cols)))
		if b.IntN(2) == 0 {
			y = b.node("Add", nil, y, b.constant(b.floats(cols)))
		}
		if b.IntN(2) == 0 {
			y = b.node("Tanh", nil, y)
		}
		b.output(y)
		if b.IntN(6) == 0 {
			b.output(hot)
		}
		steps := b.check(t, close32)
		if len(b.g.Out) == 1 && classes > 1 && steps[0].Kernel != "oneHot" {
			t.Errorf("the first step is %s", steps[0].Kernel)
		}
	})
}

// TestLoweredChain holds stacks of dense layers to Eval.
func TestLoweredChain(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		v := b.mlp(1+b.IntN(5), 1+b.IntN(4))
		b.output(v)
		mustLower(t, b.check(t, tolerance{1e-3, 1e-3}))
	})
}

// mlp is a stack of dense layers of random widths.
func (b *builder) mlp(rows, layers int) *graph.Value {
	k := 1 + b.IntN(70)
	v := b.input(b.floats(rows, k))
	for range layers {
		n := 1 + b.IntN(70)
		if b.IntN(3) == 0 {
			v = b.node("Add", nil, b.node("MatMul", nil, v, b.constant(b.floats(k, n))), b.constant(b.floats(n)))
		} else {
			v = b.node("Gemm", attrs{"transB": graph.IntAttr(1)}, v, b.constant(b.floats(n, k)), b.constant(b.floats(n)))
		}
		if b.IntN(8) == 0 {
			b.output(v)
		}
		v = b.node(one(b, "Tanh", "Sigmoid", "HardSigmoid"), nil, v)
		k = n
	}
	return v
}

// TestLoweredQuantised holds 8-bit chains to Eval. Sums are exact; what is quantised
// after a function of floats may fall to the other side of a rounding, so the chain here
// ends with floats.
func TestLoweredQuantised(t *testing.T) {
	seeds(t, 120, func(t *testing.T, b *builder) {
		m, k, n := 1+b.IntN(9), 1+b.IntN(60), 1+b.IntN(40)
		var q, scale, zero *graph.Value
		if b.IntN(2) == 0 {
			o := b.nodes("DynamicQuantizeLinear", 3, nil, b.input(one(b, b.floats(2, m, k), b.positive(2, m, k), tensor.New(tensor.Float32, tensor.Shape{2, m, k}))))
			q, scale, zero = o[0], o[1], o[2]
			b.output(q, scale, zero)
		} else {
			d := one(b, tensor.Int8, tensor.Uint8)
			q, scale, zero = b.input(b.bytes(d, 2, m, k)), b.scalar(0.3), b.constant(b.bytes(d))
		}
		d := one(b, tensor.Int8, tensor.Uint8)
		w := b.constant(b.bytes(d, k, n))
		in := []*graph.Value{q, w, zero}
		if b.IntN(3) > 0 {
			in = append(in, b.constant(one(b, b.bytes(d, n), b.bytes(d, 1), b.bytes(d))))
		}
		sums := b.node("MatMulInteger", nil, in...)
		v := b.node("Cast", attrs{"to": graph.IntAttr(tensor.Float32.ONNX())}, sums)
		by := b.constant(one(b, b.positive(n), b.positive(1), b.positive()))
		v = b.node("Mul", nil, v, b.node("Mul", nil, by, scale))
		if b.IntN(2) == 0 {
			v = b.node("Add", nil, b.constant(b.floats(n)), v)
		}
		if b.IntN(2) == 0 {
			v = b.node("Relu", nil, v)
		}
		if b.IntN(4) == 0 {
			b.output(sums)
		}
		b.output(v)
		mustLower(t, b.check(t, tolerance{1e-5, 1e-3}))
	})
}

func TestLoweredQuantise(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		d := one(b, tensor.Int8, tensor.Uint8)
		scale, zero := b.scalar(one[float32](b, 0.25, 0.5, 1)), b.constant(b.bytes(d))
		x := b.floats(b.anyShape(3)...)
		q := b.node("QuantizeLinear", nil, b.input(x), scale, zero)
		b.output(q, b.node("DequantizeLinear", nil, q, scale, zero), b.node("DequantizeLinear", nil, b.input(b.bytes(d, 4, 5)), scale, zero))
		mustLower(t, b.check(t, tolerance{1e-6, 1e-6}))
	})
}

// TestLoweredRecurrent holds LSTM, GRU and RNN to Eval.
func TestLoweredRecurrent(t *testing.T) {
	seeds(t, 90, func(t *testing.T, b *builder) {
		op := one(b, "LSTM", "GRU", "RNN")
		gates := map[string]int{"LSTM": 4, "GRU": 3, "RNN": 1}[op]
		seq, batch, in, h := 1+b.IntN(6), 1+b.IntN(3), 1+b.IntN(9), 1+b.IntN(20)
		dir, dirs := one(b, "forward", "reverse", "bidirectional"), 1
		if dir == "bidirectional" {
			dirs = 2
		}
		a := attrs{"hidden_size": graph.IntAttr(int64(h)), "direction": graph.StrAttr(dir)}
		x, state := b.floats(seq, batch, in), []int{dirs, batch, h}
		if b.IntN(3) == 0 {
			a["layout"] = graph.IntAttr(1)
			x, state = b.floats(batch, seq, in), []int{batch, dirs, h}
		}
		if op == "GRU" {
			a["linear_before_reset"] = graph.IntAttr(int64(b.IntN(2)))
		}
		list := []*graph.Value{b.input(x), b.constant(b.floats(dirs, gates*h, in)), b.constant(b.floats(dirs, gates*h, h)), nil, nil, nil}
		if b.IntN(2) == 0 {
			list[3] = b.constant(b.floats(dirs, 2*gates*h))
		}
		if b.IntN(2) == 0 {
			list[5] = b.input(b.floats(state...))
		}
		if b.IntN(2) == 0 {
			lens := make([]int32, batch)
			for i := range lens {
				lens[i] = int32(b.IntN(seq + 1))
			}
			list[4] = b.input(tensor.FromSlice(lens, batch))
		}
		outs := 2
		if op == "LSTM" {
			outs = 3
			list = append(list, nil, nil)
			if b.IntN(2) == 0 {
				list[6] = b.constant(b.floats(state...))
			}
			if b.IntN(3) == 0 {
				list[7] = b.constant(b.floats(dirs, 3*h))
			}
			a["input_forget"] = graph.IntAttr(int64(b.IntN(2)))
		}
		o := b.nodes(op, outs, a, list...)
		if b.IntN(4) == 0 {
			o[0].Def.Out[0] = nil
			o = o[1:]
		}
		b.output(o...)
		mustLower(t, b.check(t, tolerance{1e-4, 1e-4}))
	})
}

// TestRecurrentLengthsBeyond gives a length that the sequence does not have.
func TestRecurrentLengthsBeyond(t *testing.T) {
	b := newBuilder(91)
	lens := b.input(tensor.FromSlice([]int32{2, 4}, 2))
	o := b.nodes("GRU", 2, attrs{"hidden_size": graph.IntAttr(8)}, b.input(b.floats(3, 2, 4)), b.constant(b.floats(1, 24, 4)), b.constant(b.floats(1, 24, 8)), nil, lens)
	b.output(o...)
	p, err := cpu.New(registry, cpu.Config{}).Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(context.Background(), &device.Call{In: b.in}); err == nil || !strings.Contains(err.Error(), "sequence_lens: 4 is outside of 0 to 3") {
		t.Errorf("a length of 4 among 3 steps: %v", err)
	}
}

// forest adds random trees as attributes; lone gives all weights to one target.
func (b *builder) forest(a attrs, prefix string, trees, features, targets int, lone bool) {
	var tree, node, feature, yes, no, missing, wt, wn, wi []int64
	var modes []string
	var values, weights []float32
	for t := range trees {
		depth := 1 + b.IntN(5)
		id := int64(0)
		var grow func(level int) int64
		grow = func(level int) int64 {
			me := id
			id++
			at := len(tree)
			tree, node, feature, yes, no = append(tree, int64(t)), append(node, me), append(feature, int64(b.IntN(features))), append(yes, 0), append(no, 0)
			missing, values = append(missing, int64(b.IntN(2))), append(values, float32(b.NormFloat64()))
			if level == 0 || b.IntN(6) == 0 {
				modes = append(modes, "LEAF")
				for target := range targets {
					if lone && target > 0 || !lone && targets > 1 && b.IntN(3) == 0 {
						continue
					}
					wt, wn, wi = append(wt, int64(t)), append(wn, me), append(wi, int64(target))
					weights = append(weights, float32(b.NormFloat64()))
				}
				return me
			}
			modes = append(modes, one(b, "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"))
			yes[at] = grow(level - 1)
			for b.IntN(3) > 0 && modes[at] == "BRANCH_EQ" { // a set: nodes that lead to one
				values[at] = float32(b.IntN(4))
				tree, node, feature, yes, no = append(tree, int64(t)), append(node, id), append(feature, feature[at]), append(yes, yes[at]), append(no, 0)
				missing, values, modes = append(missing, int64(b.IntN(2))), append(values, float32(b.IntN(4))), append(modes, "BRANCH_EQ")
				no[at], at = id, len(tree)-1
				id++
			}
			no[at] = grow(level - 1)
			return me
		}
		grow(depth)
	}
	list := func(v []int64) *graph.Attr { return &graph.Attr{Kind: graph.AttrInts, Ints: v} }
	real := func(v []float32) *graph.Attr { return &graph.Attr{Kind: graph.AttrFloats, Floats: v} }
	a["nodes_treeids"], a["nodes_nodeids"], a["nodes_featureids"] = list(tree), list(node), list(feature)
	a["nodes_truenodeids"], a["nodes_falsenodeids"], a["nodes_missing_value_tracks_true"] = list(yes), list(no), list(missing)
	a["nodes_modes"] = &graph.Attr{Kind: graph.AttrStrings, Strings: modes}
	a["nodes_values"], a[prefix+"_weights"] = real(values), real(weights)
	a[prefix+"_treeids"], a[prefix+"_nodeids"], a[prefix+"_ids"] = list(wt), list(wn), list(wi)
}

// TestLoweredTrees holds tree ensembles to Eval, NaN features among the inputs.
func TestLoweredTrees(t *testing.T) {
	seeds(t, 120, func(t *testing.T, b *builder) {
		features, targets, rows := 1+b.IntN(6), 1+b.IntN(3), 1+b.IntN(40)
		x := b.floats(rows, features)
		for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
			switch b.IntN(20) {
			case 0:
				d[i] /= 0 * d[i]
			case 1, 2, 3, 4, 5:
				d[i] = float32(b.IntN(4))
			}
		}
		a := attrs{"post_transform": graph.StrAttr(one(b, "NONE", "LOGISTIC", "SOFTMAX"))}
		if b.IntN(2) == 0 {
			base := &graph.Attr{Kind: graph.AttrFloats}
			for range targets {
				base.Floats = append(base.Floats, float32(b.NormFloat64()))
			}
			a["base_values"] = base
		}
		lone := b.IntN(2) == 0
		if b.IntN(2) == 0 {
			b.forest(a, "class", 1+b.IntN(12), features, targets, lone)
			labels := &graph.Attr{Kind: graph.AttrInts}
			for k := range targets {
				labels.Ints = append(labels.Ints, int64(10+k))
			}
			a["classlabels_int64s"] = labels
			b.output(b.nodes("ai.onnx.ml.TreeEnsembleClassifier", 2, a, b.input(x))[1])
		} else {
			b.forest(a, "target", 1+b.IntN(12), features, targets, lone)
			a["n_targets"] = graph.IntAttr(int64(targets))
			a["aggregate_function"] = graph.StrAttr(one(b, "SUM", "AVERAGE", "MIN", "MAX"))
			b.output(b.node("ai.onnx.ml.TreeEnsembleRegressor", a, b.input(x)))
		}
		steps := b.check(t, tolerance{1e-4, 1e-5})
		if lone || targets == 1 {
			mustLower(t, steps)
		}
	})
}

// TestLoweredBranch holds an If that the shapes decide to one that runs.
func TestLoweredBranch(t *testing.T) {
	for rank := range 2 {
		b := newBuilder(uint64(rank))
		x := b.input(b.floats(1+rank, 4))
		n := b.node("Slice", nil, b.node("Shape", nil, x), b.int64s(0), b.int64s(1))
		branch := func(op string) *graph.Graph {
			out := &graph.Value{Name: op}
			node := &graph.Node{Op: op, Opset: 17, In: []*graph.Value{x}, Out: []*graph.Value{out}, Attrs: graph.Attrs{}}
			out.Def = node
			return &graph.Graph{Name: op, Nodes: []*graph.Node{node}, Out: []*graph.Value{out, x}}
		}
		o := b.nodes("If", 2, attrs{"then_branch": {Kind: graph.AttrGraph, G: branch("Exp")}, "else_branch": {Kind: graph.AttrGraph, G: branch("Neg")}},
			b.node("Equal", nil, n, b.int64s(1)))
		b.output(b.node("Relu", nil, o[0]), o[1], o[0])
		mustLower(t, b.check(t, close32))
	}
}

// TestLoweredJoinedAttention reads queries, keys and values where one product left them.
func TestLoweredJoinedAttention(t *testing.T) {
	seeds(t, 40, func(t *testing.T, b *builder) {
		batch, tokens, heads, qk, width := one(b, 1, 2), one(b, 1, 5, 17), one(b, 1, 3), one(b, 4, 8), one(b, 4, 8)
		parts := []int{heads * qk, heads * qk, heads * width}
		total := parts[0] + parts[1] + parts[2]
		p := b.node("MatMul", nil, b.input(b.floats(batch, tokens, 12)), b.constant(b.floats(12, total)))
		s := b.nodes("Split", 3, attrs{}, p, b.int64s(int64(parts[0]), int64(parts[1]), int64(parts[2])))
		s[0].Def.Opset, s[0].Def.Attrs["axis"] = 13, graph.IntAttr(int64(one(b, 2, -1)))
		head := func(k, size int, perm ...int) *graph.Value {
			return b.node("Transpose", attrs{"perm": ints(perm...)}, b.node("Reshape", nil, s[k], b.int64s(0, 0, int64(heads), int64(size))))
		}
		var keys *graph.Value
		if b.IntN(2) == 0 {
			keys = head(1, qk, 0, 2, 3, 1)
		} else {
			keys = b.node("Transpose", attrs{"perm": ints(0, 1, 3, 2)}, head(1, qk, 0, 2, 1, 3))
		}
		scores := b.node("Mul", nil, b.node("MatMul", nil, head(0, qk, 0, 2, 1, 3), keys), b.scalar(0.3))
		if b.IntN(2) == 0 {
			scores = b.node("Add", nil, scores, b.input(b.floats(batch, 1, 1, tokens)))
		}
		o := b.node("MatMul", nil, b.node("Softmax", nil, scores), head(2, width, 0, 2, 1, 3))
		b.output(b.node("Reshape", nil, b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, o), b.int64s(0, 0, -1)))
		steps := b.check(t, close32)
		mustLower(t, steps)
		if b.IntN(4) == 0 {
			b.output(s[2]) // read by another too: the parts are made
			b.check(t, close32)
		} else if len(steps) > 3 {
			t.Errorf("%d steps:\n%s", len(steps), b.describe(steps))
		}
	})
}

// TestNoAllocation holds the planned path of nets whose every node is lowered to no
// allocation at all.
func TestNoAllocation(t *testing.T) {
	if isa.Current().Level == isa.Generic {
		t.Skip("NOT RUN: the generic twins allocate")
	}
	nets := map[string]func(b *builder){
		"mlp": func(b *builder) { b.output(b.mlp(3, 4)) },
		"conv": func(b *builder) {
			v := b.node("Conv", attrs{"pads": ints(1, 1, 1, 1)}, b.input(b.floats(1, 3, 12, 12)), b.constant(b.floats(8, 3, 3, 3)))
			r := b.node("MaxPool", attrs{"kernel_shape": ints(2, 2), "strides": ints(2, 2)}, b.node("Relu", nil, v))
			v = b.node("Conv", nil, r, b.constant(b.floats(8, 8, 1, 1)))
			v = b.node("Concat", attrs{"axis": graph.IntAttr(1)}, b.node("Add", nil, v, r), r)
			v = b.node("Flatten", nil, b.node("Transpose", attrs{"perm": ints(0, 2, 3, 1)}, v))
			b.output(b.node("Softmax", nil, v))
		},
		"attention": func(b *builder) {
			x := b.input(b.floats(1, 6, 16)) // six rows: the three products are one step
			head := func(perm ...int) *graph.Value {
				p := b.node("MatMul", nil, x, b.constant(b.floats(16, 16)))
				return b.node("Transpose", attrs{"perm": ints(perm...)}, b.node("Reshape", nil, p, b.int64s(0, 0, 2, 8)))
			}
			s := b.node("Mul", nil, b.node("MatMul", nil, head(0, 2, 1, 3), head(0, 2, 3, 1)), b.scalar(0.3))
			o := b.node("MatMul", nil, b.node("Softmax", nil, s), head(0, 2, 1, 3))
			o = b.node("Reshape", nil, b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, o), b.int64s(0, 0, 16))
			b.output(b.node("LayerNormalization", nil, b.node("Add", nil, o, x), b.constant(b.floats(16)), b.constant(b.floats(16))))
		},
		"quantised": func(b *builder) {
			o := b.nodes("DynamicQuantizeLinear", 3, nil, b.input(b.floats(4, 32)))
			v := b.node("MatMulInteger", nil, o[0], b.constant(b.bytes(tensor.Int8, 32, 16)), o[2])
			v = b.node("Mul", nil, b.node("Cast", attrs{"to": graph.IntAttr(tensor.Float32.ONNX())}, v), b.node("Mul", nil, o[1], b.scalar(0.1)))
			b.output(v)
		},
		"lstm": func(b *builder) {
			b.output(b.nodes("LSTM", 3, attrs{"hidden_size": graph.IntAttr(8)}, b.input(b.floats(5, 2, 4)), b.constant(b.floats(1, 32, 4)), b.constant(b.floats(1, 32, 8)))...)
		},
		"trees": func(b *builder) {
			a := attrs{"post_transform": graph.StrAttr("LOGISTIC"), "classlabels_int64s": ints(0, 1)}
			b.forest(a, "class", 10, 4, 2, true)
			b.output(b.nodes("ai.onnx.ml.TreeEnsembleClassifier", 2, a, b.input(b.floats(3, 4)))...)
		},
	}
	for name, make := range nets {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(3)
			make(b)
			p, err := cpu.New(registry, cpu.Config{Threads: 1}).Compile(b.g)
			if err != nil {
				t.Fatal(err)
			}
			call, ctx := &device.Call{In: b.in, Threads: 1}, context.Background()
			var failed error
			run := func() {
				if err := p.Run(ctx, call); err != nil {
					failed = err
				}
				call.Release()
			}
			run()
			if n := testing.AllocsPerRun(50, run); n != 0 || failed != nil {
				_, steps := b.run(t, false, 1)
				t.Errorf("%v allocations a run, error %v\n%s", n, failed, b.describe(steps))
			}
		})
	}
}
