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

// TestWeightsAtRest has weights in bytes that no step takes as bytes.
func TestWeightsAtRest(t *testing.T) {
	seeds(t, 20, func(t *testing.T, b *builder) {
		k, n := 1+b.IntN(30), 1+b.IntN(30)
		w := b.node("DequantizeLinear", attrs{"axis": graph.IntAttr(1)}, b.constant(b.bytes(one(b, tensor.Int8, tensor.Uint8), k, n)), b.constant(b.positive(n)))
		b.output(b.node("MatMul", nil, b.input(b.floats(3, k)), w))
		mustLower(t, b.check(t, tolerance{1e-4, 1e-2}))
	})
}
