package cpu_test

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// integerConv are random operands of a convolution of bytes: an image, weights of a group
// count that divides the channels, and attributes.
func (b *builder) integerConv(t *testing.T) (x, w *tensor.Tensor, a attrs) {
	group := one(b, 1, 1, 1, 2, 3)
	c, oc := group*(1+b.IntN(20)), group*(1+b.IntN(9))
	if b.IntN(5) == 0 { // depthwise
		group, oc = c, c*(1+b.IntN(2))
	}
	s := b.image(c).Shape
	a, k := b.window(len(s)-2, true)
	if b.IntN(4) == 0 {
		a = attrs{}
		for i := range k {
			k[i] = 1
		}
	}
	a["group"] = graph.IntAttr(int64(group))
	if !fits(a, k, s) {
		t.SkipNow()
	}
	bytes := func(s ...int) *tensor.Tensor { return b.bytes(one(b, tensor.Uint8, tensor.Int8), s...) }
	return bytes(s...), bytes(append([]int{oc, c / group}, k...)...), a
}

// TestLoweredConvInteger has what a dynamic quantiser writes: sums, floats, scales, a bias and
// a function, of which each may be missing.
func TestLoweredConvInteger(t *testing.T) {
	fast := 0
	seeds(t, 150, func(t *testing.T, b *builder) {
		x, w, a := b.integerConv(t)
		oc, rank := w.Shape[0], len(w.Shape)
		in := []*graph.Value{b.input(x), b.constant(w)}
		switch b.IntN(4) {
		case 0:
			in = append(in, b.input(b.bytes(x.DType)))
		case 1:
			in = append(in, b.constant(b.bytes(x.DType, 1)), b.constant(b.bytes(w.DType, oc)))
		case 2:
			in = append(in, nil, b.constant(b.bytes(w.DType)))
		}
		v := b.node("ConvInteger", a, in...)
		channel := append([]int{oc}, slices.Repeat([]int{1}, rank-2)...)
		for i, more := 0, b.IntN(5); i < more; i++ {
			switch i {
			case 0:
				v = b.node("Cast", attrs{"to": graph.IntAttr(1)}, v)
			case 1:
				by := b.input(b.positive(1))
				if b.IntN(2) == 0 {
					by = b.node("Mul", nil, by, b.constant(b.positive(channel...)))
				}
				v = b.node("Mul", nil, v, by)
			case 2:
				v = b.node("Add", nil, v, b.constant(b.floats(channel...)))
			case 3:
				v = b.node("Relu", nil, v)
			}
		}
		b.output(v)
		for _, s := range b.check(t, tolerance{1e-5, 1e-2}) {
			if s.Nodes[0].Op == "ConvInteger" && s.Path != cpu.Eval {
				fast++
			}
		}
	})
	if !testing.Short() && fast < 80 {
		t.Errorf("only %d convolutions have a fast step", fast)
	}
}

// TestLoweredQLinear has scales that are powers of two, so that both ways of computing must
// agree to the bit.
func TestLoweredQLinear(t *testing.T) {
	fast := 0
	seeds(t, 150, func(t *testing.T, seed *builder) {
		b := &byteNet{builder: seed}
		d := one(seed, tensor.Uint8, tensor.Int8)
		scales := func(n int) *graph.Value {
			if b.IntN(2) == 0 {
				return b.scalar(b.twos(5, 9))
			}
			s := make([]float32, n)
			for i := range s {
				s[i] = b.twos(5, 9)
			}
			return b.constant(tensor.FromSlice(s, n))
		}
		sx, sy := b.scalar(b.twos(2, 5)), b.scalar(b.twos(0, 2))
		if b.IntN(3) == 0 {
			k, n := 1+b.IntN(40), 1+b.IntN(30)
			w := one(seed, tensor.Uint8, tensor.Int8)
			b.output(b.node("QLinearMatMul", nil, b.input(b.bytes(d, 1+b.IntN(9), k)), sx, b.constant(b.bytes(d)), b.constant(b.bytes(w, k, n)), scales(n), b.constant(b.bytes(w)), sy, b.constant(b.bytes(d))))
		} else {
			x, w, a := b.integerConv(t)
			oc := w.Shape[0]
			in := []*graph.Value{b.input(x), sx, b.constant(b.bytes(x.DType)), b.constant(w), scales(oc), b.constant(b.bytes(w.DType)), sy, b.constant(b.bytes(d))}
			if b.IntN(2) == 0 {
				bias := make([]int32, oc)
				for i := range bias {
					bias[i] = int32(b.IntN(4001) - 2000)
				}
				in = append(in, b.constant(tensor.FromSlice(bias, oc)))
			}
			b.output(b.node("QLinearConv", a, in...))
		}
		fast += lowered(b.check(t, tolerance{}))
	})
	if !testing.Short() && fast < 100 {
		t.Errorf("only %d have a fast step", fast)
	}
}

// TestLoweredIntegerLSTM compares with what the standard's LSTM gives on the numbers that
// the bytes stand for. A hidden state near the middle between two bytes may fall to either,
// which moves later steps by a part of a byte's step.
func TestLoweredIntegerLSTM(t *testing.T) {
	fast := 0
	seeds(t, 60, func(t *testing.T, b *builder) {
		direction := one(b, "forward", "reverse", "bidirectional")
		dirs := 1
		if direction == "bidirectional" {
			dirs = 2
		}
		seq, batch, in, hidden := 1+b.IntN(6), 1+b.IntN(3), 1+b.IntN(20), 1+b.IntN(20)
		g := 4 * hidden
		d := one(b, tensor.Int8, tensor.Uint8)
		grain := func(n int) (scale, zero *graph.Value) {
			s := make([]float32, n)
			for i := range s {
				s[i] = .002 + .004*b.Float32()
			}
			return b.constant(tensor.FromSlice(s, n)), b.constant(b.bytes(d, n))
		}
		sw, zw := grain(one(b, dirs, dirs*g))
		sr, zr := grain(one(b, dirs, dirs*g))
		args := []*graph.Value{b.input(b.floats(seq, batch, in)), b.constant(b.bytes(d, dirs, in, g)), b.constant(b.bytes(d, dirs, hidden, g)), nil, nil, nil, nil, nil, sw, zw, sr, zr}
		if b.IntN(2) == 0 {
			args[3] = b.constant(b.floats(dirs, 2*g))
		}
		if b.IntN(2) == 0 {
			args[5], args[6] = b.input(b.floats(dirs, batch, hidden)), b.input(b.floats(dirs, batch, hidden))
		}
		out := b.nodes("com.microsoft.DynamicQuantizeLSTM", 3, attrs{"hidden_size": graph.IntAttr(int64(hidden)), "direction": graph.StrAttr(direction)}, args...)
		b.output(out...)
		fast += lowered(b.check(t, tolerance{2e-2, 2e-2}))
	})
	if !testing.Short() && fast < 60 {
		t.Errorf("only %d have a fast step", fast)
	}
}

// TestLoweredQLinearPointwise has the pointwise operators and pools of tensors in bytes.
func TestLoweredQLinearPointwise(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		d := one(b, tensor.Uint8, tensor.Int8)
		shape := []int{one(b, 1, 2), one(b, 1, 3, 40), one(b, 3, 9), one(b, 1, 7, 40)}
		point := func() []*graph.Value {
			return []*graph.Value{b.scalar(0.01 + b.Float32()/20), b.constant(b.bytes(d))}
		}
		x := append([]*graph.Value{b.input(b.bytes(d, shape...))}, point()...)
		var v *graph.Value
		switch op := one(b, "QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool", "MaxPool"); op {
		case "QLinearAdd", "QLinearMul":
			side := slices.Clone(shape)
			switch b.IntN(4) { // repeated along axes
			case 0:
				side[2], side[3] = 1, 1
			case 1:
				side = side[3:]
			}
			y := append([]*graph.Value{b.input(b.bytes(d, side...))}, point()...)
			if b.IntN(2) == 0 {
				x, y = y, x
			}
			v = b.node("com.microsoft."+op, nil, append(append(x, y...), point()...)...)
		case "MaxPool":
			v = b.node(op, attrs{"kernel_shape": ints(3, 1), "strides": ints(2, 1), "pads": ints(1, 0, 1, 0)}, x[0])
		default:
			v = b.node("com.microsoft."+op, nil, append(x, point()...)...)
		}
		b.output(v)
		mustLower(t, b.check(t, tolerance{}))
	})
}
