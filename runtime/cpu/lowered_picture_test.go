package cpu_test

import (
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// blocked is an image behind a convolution that computes in blocks of channels, or the input.
func (b *builder) blocked(x *tensor.Tensor) (*graph.Value, int) {
	v, c := b.input(x), x.Shape[1]
	if b.IntN(2) == 0 || len(x.Shape) != 4 {
		return v, c
	}
	oc := one(b, 16, 32)
	return b.node("Conv", attrs{"pads": ints(1, 1, 1, 1)}, v, b.constant(b.floats(oc, c, 3, 3))), oc
}

func TestLoweredPRelu(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		x := b.image(1 + b.IntN(6))
		v, c := b.blocked(x)
		slope := b.floats(1)
		if b.IntN(3) > 0 {
			s := make([]int, len(x.Shape)-1)
			for i := range s {
				s[i] = 1
			}
			s[0] = c
			slope = b.floats(s...)
		}
		y := b.node("PRelu", nil, v, b.constant(slope))
		if b.IntN(2) == 0 {
			y = b.node("Add", nil, y, b.scalar(1))
		}
		b.output(y)
		mustLower(t, b.check(t, tolerance{1e-4, 2e-3}))
	})
}

func TestLoweredRepeatedPad(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		x := b.image(1 + b.IntN(6))
		v, _ := b.blocked(x)
		rank := len(x.Shape)
		pads := make([]int64, 2*rank)
		for i := 2; i < rank; i++ {
			pads[i], pads[rank+i] = int64(b.IntN(4)), int64(b.IntN(4))
		}
		b.output(b.node("Relu", nil, b.node("Pad", attrs{"mode": graph.StrAttr(one(b, "reflect", "edge", "wrap"))}, v, b.int64s(pads...))))
		mustLower(t, b.check(t, tolerance{1e-4, 2e-3}))
	})
}

func TestLoweredGridSample(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		batch, channels, rank := 1+b.IntN(2), 1+b.IntN(4), 2+b.IntN(2)
		x, grid := []int{batch, channels}, []int{batch}
		for range rank {
			x, grid = append(x, 1+b.IntN(6)), append(grid, 1+b.IntN(6))
		}
		a := attrs{
			"mode": graph.StrAttr(one(b, "linear", "linear", "nearest", "cubic")), "align_corners": graph.IntAttr(int64(b.IntN(2))),
			"padding_mode": graph.StrAttr(one(b, "zeros", "border", "reflection")),
		}
		places := b.floats(append(grid, rank)...)
		d := tensor.Data[float32](places)
		d[b.IntN(len(d))] = float32(one(b, math.NaN(), math.Inf(1), 1e30, 1, -1))
		b.output(b.node("GridSample", a, b.input(b.floats(x...)), b.input(places)))
		mustLower(t, b.check(t, close32))
	})
}

func TestLoweredArg(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		x := b.floats(1+b.IntN(3), 1+b.IntN(9), one(b, 1, 3, 1500))
		d := tensor.Data[float32](x)
		for i := range d {
			d[i] = float32(math.Round(float64(d[i]))) // ties
		}
		if b.IntN(2) == 0 {
			d[b.IntN(len(d))], d[b.IntN(len(d))] = float32(math.NaN()), float32(math.NaN())
		}
		a := attrs{"axis": graph.IntAttr(int64(b.IntN(3))), "keepdims": graph.IntAttr(int64(b.IntN(2))), "select_last_index": graph.IntAttr(int64(b.IntN(2)))}
		b.output(b.node(one(b, "ArgMax", "ArgMin"), a, b.input(x)))
		mustLower(t, b.check(t, close32))
	})
}

func TestLoweredDepthToSpace(t *testing.T) {
	seeds(t, 40, func(t *testing.T, b *builder) {
		size := 1 + b.IntN(3)
		a := attrs{"blocksize": graph.IntAttr(int64(size)), "mode": graph.StrAttr(one(b, "DCR", "CRD"))}
		op, x := "DepthToSpace", b.floats(1+b.IntN(2), size*size*(1+b.IntN(3)), 1+b.IntN(5), 1+b.IntN(5))
		if b.IntN(2) == 0 {
			op, x = "SpaceToDepth", b.floats(1+b.IntN(2), 1+b.IntN(3), size*(1+b.IntN(4)), size*(1+b.IntN(4)))
			delete(a, "mode")
		}
		b.output(b.node("Neg", nil, b.node(op, a, b.input(x))))
		mustLower(t, b.check(t, close32))
	})
}

// small are weights of sums that stay near 1.
func (b *builder) small(shape ...int) *tensor.Tensor {
	w := b.floats(shape...)
	n := math.Sqrt(float64(w.Elements() / shape[0]))
	for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
		d[i] /= float32(n)
	}
	return w
}

// TestLoweredVolumes has convolutions over volumes in blocks of channels, and between them what
// stays in blocks and what does not.
func TestLoweredVolumes(t *testing.T) {
	seeds(t, 40, func(t *testing.T, b *builder) {
		c := one(b, 16, 32)
		s := []int{1 + b.IntN(2), c, 1 + b.IntN(5), 2 + b.IntN(6), 2 + b.IntN(6)}
		conv := func(v *graph.Value) *graph.Value {
			depth := one(b, 1, 3)
			a := attrs{"pads": ints(depth/2, 1, 1, depth/2, 1, 1)}
			return b.node("Conv", a, v, b.constant(b.small(c, c, depth, 3, 3)), b.constant(b.floats(c)))
		}
		v := conv(b.input(b.floats(s...)))
		for range 1 + b.IntN(3) {
			switch b.IntN(7) {
			case 0:
				v = b.node("Relu", nil, b.node("Add", nil, conv(v), v))
			case 1:
				v = b.node("Concat", attrs{"axis": graph.IntAttr(1)}, v, b.node("Sigmoid", nil, v))
				half := b.int64s(int64(c), int64(c))
				v = b.nodes("Split", 2, attrs{"axis": graph.IntAttr(1)}, v, half)[b.IntN(2)]
			case 2:
				v = b.node("Mul", nil, v, b.node("GlobalAveragePool", nil, v))
			case 3:
				v = b.node("Concat", attrs{"axis": graph.IntAttr(2 + int64(b.IntN(3)))}, v, v)
			case 4:
				v = b.node("Slice", nil, v, b.int64s(0, 1), b.int64s(100, 100), b.int64s(2, 4))
			case 5:
				v = b.node("MaxPool", attrs{"kernel_shape": ints(1, 2, 2)}, v)
			default:
				v = b.node("PRelu", nil, v, b.constant(b.floats(c, 1, 1, 1)))
			}
			if b.IntN(4) == 0 {
				b.output(v)
			}
			if b.IntN(2) == 0 && outShape(t, b, v)[4] > 1 {
				v = conv(v)
			}
		}
		b.output(b.node("Neg", nil, v))
		mustLower(t, b.check(t, tolerance{1e-3, 1e-4}))
	})
}

// TestLoweredWideDilation has windows most of whose taps lie outside of the image.
func TestLoweredWideDilation(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		k, d, s := one(b, 3, 5), 1+b.IntN(9), 1+b.IntN(2)
		p := k/2*d + b.IntN(3)
		h, w := 4+b.IntN(7), 4+b.IntN(7)
		a := attrs{"pads": ints(p, p+b.IntN(3), p, p), "dilations": ints(d, d), "strides": ints(s, s)}
		x := b.input(b.floats(1, one(b, 3, 16), h, w))
		c, oc := x.Type.Shape[1].Size, one(b, 4, 16)
		b.output(b.node("Relu", nil, b.node("Conv", a, x, b.constant(b.small(oc, int(c), k, k)))))
		mustLower(t, b.check(t, close32))
	})
}
