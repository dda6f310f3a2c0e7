package cpu_test

import (
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestLoweredDoubleChains holds chains of functions of float64 and what folds them to Eval.
func TestLoweredDoubleChains(t *testing.T) {
	fast := map[string]int{}
	seeds(t, 150, func(t *testing.T, b *builder) {
		s := tensor.Shape{1 + b.IntN(5), 1 + b.IntN(4), 1 + b.IntN(20)}
		v := b.input(b.doubles(s...))
		operand := func() *graph.Value {
			o := s.Clone()
			for k := range o {
				if b.IntN(3) == 0 {
					o[k] = 1
				}
			}
			return b.either(b.doubles(o[b.IntN(4):]...))
		}
		number := func(f float64) *graph.Value { return b.constant(tensor.Scalar(f)) }
		for range 1 + b.IntN(6) {
			switch b.IntN(5) {
			case 0, 1:
				v = b.node(one(b, "Add", "Sub", "Mul", "Div", "Max", "Min"), nil, v, operand())
			case 2:
				v = b.node(one(b, "Sub", "Max"), nil, operand(), v)
			case 3:
				v = b.node(one(b, "Neg", "Abs", "Relu", "Sigmoid", "Tanh"), nil, v)
			case 4:
				v = one(b, b.node("Clip", nil, v, number(-.5)), b.node("Clip", nil, v, nil, number(.5)), b.node("Clip", nil, v, number(-1), number(1)),
					b.node("Pow", nil, v, number(2)), b.node("Mul", nil, v, v), b.node("Exp", nil, b.node("Min", nil, v, number(3))), b.node("Sqrt", nil, b.node("Abs", nil, v)),
					b.node("Log", nil, b.node("Max", nil, v, number(1e-3))))
			}
			if b.IntN(8) == 0 {
				b.g.Out = append(b.g.Out, v)
			}
		}
		keep := attrs{"keepdims": graph.IntAttr(int64(b.IntN(2)))}
		switch b.IntN(5) {
		case 0:
			v = b.node(one(b, "ReduceSum"), keep, v, one(b, b.int64s(2), b.int64s(0, 2), b.int64s(1), b.int64s(0, 1, 2)))
		case 1:
			keep["axes"] = one(b, graph.IntsAttr(2), graph.IntsAttr(0, 2), graph.IntsAttr(1), graph.IntsAttr(-1, 0))
			v = b.node(one(b, "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1", "ReduceL2"), keep, v)
		case 2:
			keep["axes"] = one(b, graph.IntsAttr(2), graph.IntsAttr(1, 2))
			v = b.node("ReduceLogSumExp", keep, v)
		case 3:
			v = b.node("Softmax", attrs{"axis": graph.IntAttr(-1)}, v)
		case 4:
			keep["axis"] = graph.IntAttr(int64(b.IntN(3)))
			v = b.node(one(b, "ArgMax", "ArgMin"), keep, v)
		}
		b.g.Out = append(b.g.Out, v)
		for _, s := range b.check(t, close64) {
			if s.Path != cpu.Eval {
				fast[s.Kernel]++
			}
		}
	})
	for _, k := range []string{"doubles", "fold64", "softmax64", "logSumExp64", "arg"} {
		if fast[k] == 0 {
			t.Errorf("no step was %s: %v", k, fast)
		}
	}
}

// Values at the ends of the range give what Eval gives.
func TestLoweredDoubleExtremes(t *testing.T) {
	ends := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 1e308, -1e308, 5e-324, 30, -30}
	for _, op := range []string{"Neg", "Abs", "Sqrt", "Reciprocal", "Exp", "Sigmoid", "Tanh", "Relu"} {
		b := newBuilder(1)
		b.g.Out = []*graph.Value{b.node(op, nil, b.input(tensor.FromSlice(ends, len(ends))))}
		mustLower(t, b.check(t, tolerance{1e-15, 0}))
	}
	for _, op := range []string{"Softmax", "ReduceLogSumExp"} {
		for from := range ends {
			b := newBuilder(1)
			b.g.Out = []*graph.Value{b.node(op, nil, b.input(tensor.FromSlice([]float64{1, ends[from], 2}, 1, 3)))}
			b.check(t, tolerance{1e-15, 0})
		}
	}
}

// A chain that ends as the upper bound of a Clip is not overwritten by the lower one.
func TestLoweredDoubleBounds(t *testing.T) {
	for _, v := range []float64{-3, .5, 3} {
		b := newBuilder(3)
		high := b.node("Add", nil, b.input(tensor.Scalar(.25)), b.input(tensor.Scalar(.5)))
		b.g.Out = []*graph.Value{b.node("Clip", nil, b.input(tensor.Scalar(v)), b.constant(tensor.Scalar(-1.)), high)}
		b.check(t, close64)
	}
}

// Powers by numbers that are not whole, of whatever is put in.
func TestLoweredFractionalPower(t *testing.T) {
	for _, y := range []float32{.45, -.45, 2.4, 1 / 2.2, -3.7, float32(math.NaN())} {
		b := newBuilder(2)
		x := b.positive(3, 400)
		inf := float32(math.Inf(1))
		copy(tensor.Data[float32](x), []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()), -1, 1e-45, 3e38, 1, 1e-20, 1e20})
		b.g.Out = []*graph.Value{b.node("Pow", nil, b.input(x), b.scalar(y))}
		steps := b.check(t, tolerance{2e-7, 0})
		if y == y { // by NaN: Eval's, since 1 stays 1
			mustLower(t, steps)
		}
	}
}
