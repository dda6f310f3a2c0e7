package cpu_test

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// byteNet builds networks in the QDQ form. All scales are powers of two and all biases
// multiples of their products, so that floats hold every value exactly and the two ways of
// computing must agree to the bit.
type byteNet struct {
	*builder
	d tensor.DType
}

// twos gives a power of two of the given exponents.
func (b *byteNet) twos(from, to int) float32 {
	x := float32(1)
	for range from + b.IntN(to-from+1) {
		x /= 2
	}
	return x
}

func (b *byteNet) zero() *graph.Value { return b.constant(b.bytes(b.d)) }

// quantize puts a value into bytes and takes it out again.
func (b *byteNet) quantize(v *graph.Value, scale float32) (bytes, floats *graph.Value) {
	s, z := b.scalar(scale), b.zero()
	bytes = b.node("QuantizeLinear", nil, v, s, z)
	return bytes, b.node("DequantizeLinear", nil, bytes, s, z)
}

// conv is a convolution of int8 weights over a value that came out of bytes with scale sx.
func (b *byteNet) conv(v *graph.Value, sx float32, c, oc, k, stride int) *graph.Value {
	scales, bias := make([]float32, oc), make([]float32, oc)
	for i := range scales {
		scales[i] = b.twos(4, 7)
		bias[i] = float32(b.IntN(2001)-1000) * sx * scales[i]
	}
	w := b.node("DequantizeLinear", attrs{"axis": graph.IntAttr(0)}, b.constant(b.bytes(tensor.Int8, oc, c, k, k)),
		b.constant(tensor.FromSlice(scales, oc)), b.constant(tensor.New(tensor.Int8, tensor.Shape{oc})))
	in := []*graph.Value{v, w}
	if b.IntN(3) > 0 {
		in = append(in, b.constant(tensor.FromSlice(bias, oc)))
	}
	a := attrs{"strides": ints(stride, stride), "pads": ints(k/2, k/2, k/2, k/2)}
	if b.IntN(4) == 0 {
		a["pads"] = ints(b.IntN(k), b.IntN(k), b.IntN(k), b.IntN(k))
		if k > 1 && b.IntN(2) == 0 {
			a["dilations"] = ints(1, 1)
		}
	}
	return b.node("Conv", a, in...)
}

func (b *byteNet) relu(v *graph.Value) *graph.Value {
	if b.IntN(2) == 0 {
		return b.node("Relu", nil, v)
	}
	return v
}

func TestLoweredBytes(t *testing.T) {
	fused := 0
	seeds(t, 120, func(t *testing.T, seed *builder) {
		b := &byteNet{seed, one(seed, tensor.Int8, tensor.Uint8)}
		n, c, h, w := 1+b.IntN(3), one(seed, 1, 3, 4*(1+b.IntN(9))), 12+b.IntN(9), 12+b.IntN(9)
		sx := b.twos(3, 6)
		bytes, x := b.quantize(b.input(b.floats(n, c, h, w)), sx)
		if b.IntN(5) == 0 {
			b.output(bytes)
		}
		for range 1 + b.IntN(3) {
			oc, sy := one(b.builder, 4*(1+b.IntN(12)), 1+b.IntN(40)), b.twos(0, 3)
			if b.IntN(2) == 0 { // a residual
				bytes, y := b.quantize(b.relu(b.conv(x, sx, c, oc, 1, 1)), sy)
				if b.IntN(6) == 0 {
					b.output(bytes)
				}
				_, y = b.quantize(b.conv(y, sy, oc, c, 3, 1), sy)
				sum := []*graph.Value{y, x}
				if b.IntN(2) == 0 {
					sum[0], sum[1] = sum[1], sum[0]
				}
				if !outShape(t, b.builder, y).Equal(outShape(t, b.builder, x)) {
					b.output(y)
					break
				}
				sx = b.twos(0, 2)
				bytes, x = b.quantize(b.relu(b.node("Add", nil, sum...)), sx)
				if b.IntN(6) == 0 {
					b.output(bytes)
				}
				continue
			}
			k := one(b.builder, 1, 3)
			y := b.conv(x, sx, c, oc, k, 1+b.IntN(2))
			if s := outShape(t, b.builder, y); s.Elements() == 0 || b.IntN(6) == 0 {
				b.output(b.relu(y)) // floats come out
				break
			}
			bytes, y = b.quantize(b.relu(y), sy)
			if b.IntN(6) == 0 {
				b.output(bytes)
			}
			x, sx, c = y, sy, oc
		}
		b.output(b.node("Flatten", nil, x))
		for _, s := range b.check(t, tolerance{}) {
			for _, node := range s.Nodes {
				if node.Op == "Conv" && len(s.Nodes) > 1 {
					fused++
				}
			}
		}
	})
	if !testing.Short() && fused < 100 {
		t.Errorf("only %d convolutions were taken with what is around them", fused)
	}
}

// TestLoweredQLinearNets has networks of QLinearConv and QLinearAdd, images of which keep
// their channels together from one to the next. Zero points are even, so that ties fall
// alike whether a zero point is added before or after rounding.
func TestLoweredQLinearNets(t *testing.T) {
	fused := 0
	seeds(t, 120, func(t *testing.T, seed *builder) {
		b := &byteNet{seed, one(seed, tensor.Int8, tensor.Uint8)}
		zero := func() *graph.Value {
			z := b.bytes(b.d)
			z.Bytes()[0] &^= 1
			return b.constant(z)
		}
		type image struct {
			v, scale, zero *graph.Value
			c              int
		}
		conv := func(x image, oc, k, stride int) image {
			scales, bias := make([]float32, oc), make([]int32, oc)
			for i := range scales {
				scales[i], bias[i] = b.twos(4, 7), int32(b.IntN(2001)-1000)
			}
			y := image{scale: b.scalar(b.twos(0, 3)), zero: zero(), c: oc}
			in := []*graph.Value{x.v, x.scale, x.zero, b.constant(b.bytes(tensor.Int8, oc, x.c, k, k)), b.constant(tensor.FromSlice(scales, oc)), b.constant(tensor.New(tensor.Int8, tensor.Shape{oc})), y.scale, y.zero}
			if b.IntN(3) > 0 {
				in = append(in, b.constant(tensor.FromSlice(bias, oc)))
			}
			y.v = b.node("QLinearConv", attrs{"strides": ints(stride, stride), "pads": ints(k/2, k/2, k/2, k/2)}, in...)
			return y
		}
		x := image{scale: b.scalar(b.twos(3, 6)), zero: zero(), c: one(seed, 3, 4*(1+b.IntN(9)))}
		shape := []int{1 + b.IntN(3), x.c, 8 + b.IntN(9), 8 + b.IntN(9)}
		if b.IntN(2) == 0 {
			x.v = b.input(b.bytes(b.d, shape...))
		} else {
			x.v = b.node("QuantizeLinear", nil, b.input(b.floats(shape...)), x.scale, x.zero)
		}
		for range 1 + b.IntN(3) {
			y := conv(x, one(seed, 4*(1+b.IntN(12)), 1+b.IntN(40)), one(seed, 1, 3), 1+b.IntN(2))
			if b.IntN(2) == 0 { // a residual
				x = y
				y = conv(conv(x, 4*(1+b.IntN(6)), 1, 1), x.c, 3, 1)
				sum := image{scale: b.scalar(b.twos(0, 2)), zero: zero(), c: y.c}
				sides := []image{y, x}
				if b.IntN(2) == 0 {
					sides[0], sides[1] = x, y
				}
				sum.v = b.node("com.microsoft.QLinearAdd", nil, sides[0].v, sides[0].scale, sides[0].zero, sides[1].v, sides[1].scale, sides[1].zero, sum.scale, sum.zero)
				y = sum
			}
			if x = y; b.IntN(6) == 0 {
				b.output(x.v)
			}
		}
		b.output(b.node("Flatten", nil, x.v))
		for _, s := range b.check(t, tolerance{}) {
			if s.Nodes[0].Op == "QLinearConv" && len(s.Nodes) > 1 {
				fused++
			}
		}
	})
	if !testing.Short() && fused < 50 {
		t.Errorf("only %d convolutions were taken with the addition behind them", fused)
	}
}

// TestLoweredByteRegion has networks in the QDQ form of all that stays bytes: depthwise convolutions, functions of
// one value, sums and products of two, gates by channel, joins, cuts and nearest resizing.
func TestLoweredByteRegion(t *testing.T) {
	kinds := map[string]int{}
	seeds(t, 150, func(t *testing.T, seed *builder) {
		b := &byteNet{seed, one(seed, tensor.Int8, tensor.Uint8)}
		c, h, w := 4*(1+b.IntN(24)), 3+b.IntN(6), 3+b.IntN(6)
		n, sx := 1+b.IntN(2), b.twos(2, 5)
		_, x := b.quantize(b.input(b.floats(n, c, h, w)), sx)
		for range 1 + b.IntN(6) {
			var y *graph.Value
			switch b.IntN(8) {
			case 0:
				y = b.conv(x, sx, c, 4*(1+b.IntN(20)), one(b.builder, 1, 3), 1)
			case 1:
				scales, d := make([]float32, c), one(b.builder, tensor.Int8, tensor.Uint8)
				for i := range scales {
					scales[i] = b.twos(3, 6)
				}
				k := one(b.builder, 1, 3, 5)
				weights := b.node("DequantizeLinear", attrs{"axis": graph.IntAttr(0)}, b.constant(b.bytes(d, c, 1, k, k)), b.constant(tensor.FromSlice(scales, c)), b.constant(b.bytes(d, c)))
				y = b.node("Conv", attrs{"group": graph.IntAttr(int64(c)), "pads": ints(k/2, k/2, k/2, k/2), "strides": ints(1+b.IntN(2), 1)}, x, weights)
				if b.IntN(3) == 0 {
					y = b.node("Relu", nil, y)
				}
			case 2:
				f := b.node(one(b.builder, "HardSwish", "Sigmoid", "HardSigmoid"), nil, x)
				if b.IntN(2) == 0 {
					_, f = b.quantize(f, b.twos(4, 8))
					f = b.node("Mul", nil, x, f)
				}
				if y = f; b.IntN(2) == 0 { // and bytes of another scale, for a join
					_, one := b.quantize(f, b.twos(1, 4))
					_, other := b.quantize(one, b.twos(1, 4))
					y = b.node("Concat", attrs{"axis": graph.IntAttr(1)}, one, other)
				}
			case 3, 4:
				_, o := b.quantize(b.conv(x, sx, c, c, 1, 1), b.twos(1, 4))
				y = b.relu(b.node(one(b.builder, "Add", "Mul"), nil, o, x))
				if b.IntN(3) == 0 {
					b.output(o)
				}
			case 5:
				_, gate := b.quantize(b.node("GlobalMaxPool", nil, x), sx)
				y = b.node("Mul", nil, x, gate)
			case 6:
				_, o := b.quantize(b.conv(x, sx, c, 1+b.IntN(20), 1, 1), b.twos(1, 4))
				y = b.node("Concat", attrs{"axis": graph.IntAttr(1)}, x, o)
			case 7:
				y = b.node("Resize", attrs{"mode": graph.StrAttr("nearest")}, x, nil, b.constant(tensor.FromSlice([]float32{1, 1, 2, float32(1 + b.IntN(2))}, 4)))
			}
			sx = b.twos(1, 4)
			_, x = b.quantize(y, sx)
			c = outShape(t, b.builder, x)[1]
			if b.IntN(8) == 0 {
				b.output(x)
			}
			if c%4 != 0 {
				break
			}
		}
		b.output(b.node("Flatten", nil, x))
		for _, s := range b.check(t, tolerance{}) {
			if s.Kernel == "eval" {
				t.Errorf("%s runs in plain Go", s.Nodes[0].OpName())
			}
			if s.Kernel == "lower" {
				for _, n := range s.Nodes {
					kinds[n.Op]++
				}
			}
		}
	})
	for _, op := range []string{"Conv", "HardSwish", "Sigmoid", "HardSigmoid", "Add", "Mul", "Concat", "Resize"} {
		if !testing.Short() && kinds[op] < 5 {
			t.Errorf("only %d of %s were taken", kinds[op], op)
		}
	}
}

// TestWeightsAtRest has weights in bytes that no step takes as bytes.
func TestWeightsAtRest(t *testing.T) {
	seeds(t, 20, func(t *testing.T, b *builder) {
		k, n := 1+b.IntN(30), 1+b.IntN(30)
		w := b.node("DequantizeLinear", attrs{"axis": graph.IntAttr(1)}, b.constant(b.bytes(one(b, tensor.Int8, tensor.Uint8), k, n)), b.constant(b.positive(n)))
		b.output(b.node("MatMul", nil, b.input(b.floats(3, k)), w))
		mustLower(t, b.check(t, tolerance{1e-4, 1e-2}))
	})
}
