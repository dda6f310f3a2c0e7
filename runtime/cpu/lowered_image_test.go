package cpu_test

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// image is a random [N, C, …] with one to three spatial axes.
func (b *builder) image(channels int) *tensor.Tensor {
	s := []int{1 + b.IntN(3), channels, 1 + b.IntN(14)}
	if b.IntN(3) > 0 {
		s = append(s, 1+b.IntN(20))
		if b.IntN(3) == 0 {
			s = append(s, 1+b.IntN(9))
		}
	}
	return b.floats(s...)
}

// window are random attributes of a kernel over an image; pads may exceed the kernel.
func (b *builder) window(rank int, dilate bool) (attrs, []int) {
	a, k := attrs{}, make([]int, rank)
	strides, dilations, pads := make([]int, rank), make([]int, rank), make([]int, 2*rank)
	for i := range k {
		k[i], strides[i], dilations[i] = 1+b.IntN(4), 1+b.IntN(3), 1
		if dilate {
			dilations[i] = 1 + b.IntN(3)
		}
		pads[i], pads[rank+i] = b.IntN(3), b.IntN(3)
	}
	a["strides"] = ints(strides...)
	if dilate {
		a["dilations"] = ints(dilations...)
	}
	switch b.IntN(5) {
	case 0:
		a["auto_pad"] = graph.StrAttr("SAME_UPPER")
	case 1:
		a["auto_pad"] = graph.StrAttr("SAME_LOWER")
	case 2:
		a["auto_pad"] = graph.StrAttr("VALID")
	default:
		a["pads"] = ints(pads...)
	}
	return a, k
}

// fits reports that a window is not larger than the padded image, which the operators
// refuse.
func fits(a attrs, k []int, x tensor.Shape) bool {
	for i, n := range x[2:] {
		reach := (k[i]-1)*int(get(a, "dilations", i, 1)) + 1
		room := n
		if a["auto_pad"] == nil {
			room += int(get(a, "pads", i, 0) + get(a, "pads", len(k)+i, 0))
		} else if a["auto_pad"].S != "VALID" {
			continue
		}
		if room < reach {
			return false
		}
	}
	return true
}

func get(a attrs, name string, i int, def int64) int64 {
	if x := a[name]; x != nil {
		return x.Ints[i]
	}
	return def
}

// tail adds what may follow a convolution, in random order, and sometimes lets the graph
// return what lies between.
func (b *builder) tail(v *graph.Value, s tensor.Shape) *graph.Value {
	ch := make([]int, len(s))
	for i := range ch {
		ch[i] = 1
	}
	ch[1] = s[1]
	for range b.IntN(4) {
		if b.IntN(8) == 0 {
			b.output(v)
		}
		switch b.IntN(11) {
		case 0:
			v = b.node("BatchNormalization", nil, v, b.constant(b.floats(s[1])), b.constant(b.floats(s[1])), b.constant(b.floats(s[1])), b.constant(b.positive(s[1])))
		case 1:
			v = b.node("Add", nil, v, b.constant(b.floats(ch...)))
		case 2:
			v = b.node("Mul", nil, b.constant(b.floats(ch[1:]...)), v)
		case 3:
			v = b.node("Div", nil, v, b.scalar(-1.5))
		case 4:
			v = b.node("Sub", nil, v, b.constant(b.floats(1)))
		case 5:
			v = b.node("Add", nil, v, b.input(b.floats(s...)))
		case 6:
			v = b.node("Add", nil, v, v)
		case 7:
			v = b.node("Mul", nil, v, b.node("Sigmoid", nil, v))
		case 8:
			v = b.node("Sub", nil, b.scalar(2), v)
		default:
			v = b.node(one(b, "Relu", "Tanh", "HardSwish", "LeakyRelu"), nil, v)
		}
	}
	return v
}

func outShape(t *testing.T, b *builder, v *graph.Value) tensor.Shape {
	t.Helper()
	g := *b.g
	g.Out = []*graph.Value{v}
	c := &builder{Rand: b.Rand, g: &g, in: b.in}
	out, _ := c.run(t, true, 1)
	return out[0].(*tensor.Tensor).Shape
}

func TestLoweredConv(t *testing.T) {
	seeds(t, 150, func(t *testing.T, b *builder) {
		groups := one(b, 1, 1, 2, 4)
		per, oc := 1+b.IntN(9), groups*(1+b.IntN(9))
		if b.IntN(4) == 0 {
			per = 1
		}
		x := b.image(groups * per)
		a, k := b.window(len(x.Shape)-2, true)
		if !fits(a, k, x.Shape) {
			return
		}
		a["group"] = graph.IntAttr(int64(groups))
		v := b.input(x)
		if b.IntN(4) == 0 {
			pads := make([]int64, 2*len(x.Shape))
			pads[2], pads[len(pads)-1] = int64(b.IntN(3)), int64(b.IntN(3))
			v = b.node("Pad", nil, v, b.int64s(pads...))
		}
		in := []*graph.Value{v, b.constant(b.floats(append([]int{oc, per}, k...)...))}
		if b.IntN(2) == 0 {
			in = append(in, b.constant(b.floats(oc)))
		}
		y := b.node("Conv", a, in...)
		b.output(b.tail(y, outShape(t, b, y)))
		mustLower(t, b.check(t, tolerance{1e-3, 2e-3}))
	})
}

// TestLoweredConvFewPlaces: the last blocks of a residual network on a small image.
func TestLoweredConvFewPlaces(t *testing.T) {
	seeds(t, 40, func(t *testing.T, b *builder) {
		n, c, h, w := 1+b.IntN(3), one(b, 3, 16, 32), 1+b.IntN(3), 1+b.IntN(3)
		x := b.input(b.floats(n, c, h, w))
		y := b.node("Conv", attrs{"pads": ints(1, 1, 1, 1)}, x, b.constant(b.floats(c, c, 3, 3)), b.constant(b.floats(c)))
		y = b.node("Add", nil, y, one(b, x, b.input(b.floats(n, c, h, w))))
		if b.IntN(2) == 0 {
			y = b.node("Relu", nil, y)
		}
		b.output(y)
		mustLower(t, b.check(t, tolerance{1e-3, 2e-3}))
	})
}

func TestLoweredConvTranspose(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		groups := one(b, 1, 1, 2)
		per, oc := 1+b.IntN(6), 1+b.IntN(6)
		x := b.image(groups * per)
		rank := len(x.Shape) - 2
		k, strides, dil, extra, pads := make([]int, rank), make([]int, rank), make([]int, rank), make([]int, rank), make([]int, 2*rank)
		for i := range k {
			k[i], strides[i], dil[i] = 1+b.IntN(4), 1+b.IntN(3), 1+b.IntN(2)
			extra[i] = b.IntN(strides[i])
			if full := (x.Shape[2+i]-1)*strides[i] + (k[i]-1)*dil[i] + 1; full > 2 {
				pads[i] = b.IntN(2)
				pads[rank+i] = b.IntN(2)
			}
		}
		a := attrs{"group": graph.IntAttr(int64(groups)), "strides": ints(strides...), "dilations": ints(dil...), "pads": ints(pads...), "output_padding": ints(extra...)}
		in := []*graph.Value{b.input(x), b.constant(b.floats(append([]int{groups * per, oc}, k...)...))}
		if b.IntN(2) == 0 {
			in = append(in, b.constant(b.floats(groups*oc)))
		}
		y := b.node("ConvTranspose", a, in...)
		b.output(b.tail(y, outShape(t, b, y)))
		mustLower(t, b.check(t, tolerance{1e-3, 2e-3}))
	})
}

func TestLoweredPool(t *testing.T) {
	seeds(t, 120, func(t *testing.T, b *builder) {
		op := one(b, "MaxPool", "AveragePool")
		x := b.image(1 + b.IntN(5))
		a, k := b.window(len(x.Shape)-2, op == "MaxPool")
		for i := range k { // a window of padding alone is an error for onnxruntime and NaN for Eval
			if p := a["pads"]; p != nil {
				p.Ints[i], p.Ints[len(k)+i] = min(p.Ints[i], int64(k[i]-1)), min(p.Ints[len(k)+i], int64(k[i]-1))
			}
		}
		if !fits(a, k, x.Shape) {
			return
		}
		a["kernel_shape"] = ints(k...)
		a["ceil_mode"] = graph.IntAttr(int64(b.IntN(2)))
		if op == "AveragePool" {
			a["count_include_pad"] = graph.IntAttr(int64(b.IntN(2)))
		}
		b.output(b.node(op, a, b.input(x)))
		mustLower(t, b.check(t, close32))
	})
}

func TestLoweredNorms(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		c := 1 + b.IntN(9)
		x := b.input(b.image(c))
		gamma, beta := b.constant(b.floats(c)), b.constant(b.floats(c))
		var v *graph.Value
		if b.IntN(2) == 0 {
			v = b.node("BatchNormalization", nil, x, gamma, beta, b.constant(b.floats(c)), b.constant(b.positive(c)))
		} else {
			v = b.node("InstanceNormalization", attrs{"epsilon": graph.FloatAttr(0.1)}, x, gamma, beta)
		}
		if b.IntN(2) == 0 {
			v = b.node("Add", nil, v, x)
		}
		b.output(b.node("Relu", nil, v))
		mustLower(t, b.check(t, close32))
	})
}

func TestLoweredResize(t *testing.T) {
	seeds(t, 120, func(t *testing.T, b *builder) {
		x := b.image(1 + b.IntN(3))
		scales := tensor.New(tensor.Float32, tensor.Shape{len(x.Shape)})
		for i, d := 0, tensor.Data[float32](scales); i < len(d); i++ {
			d[i] = 1
			if i > 1 || b.IntN(6) == 0 {
				d[i] = one[float32](b, 0.5, 1, 1.5, 2, 3)
			}
		}
		a := attrs{
			"mode":                           graph.StrAttr(one(b, "nearest", "linear", "cubic")),
			"coordinate_transformation_mode": graph.StrAttr(one(b, "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")),
			"nearest_mode":                   graph.StrAttr(one(b, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
		}
		y := b.node("Resize", a, b.input(x), nil, b.constant(scales))
		b.output(b.node("Neg", nil, y))
		b.check(t, close32)
	})
}

// TestLoweredEmpty holds what has no elements, and what no kernel takes, to Eval.
func TestLoweredEmpty(t *testing.T) {
	b := newBuilder(1)
	x := b.input(b.floats(0, 3, 5, 5))
	y := b.node("Conv", nil, x, b.constant(b.floats(4, 3, 3, 3)))
	b.output(y, b.node("Relu", nil, y), b.node("MaxPool", attrs{"kernel_shape": ints(2, 2)}, x))
	b.output(b.node("Conv", nil, b.input(b.floats(1, 2, 4, 4, 4)), b.constant(b.floats(3, 2, 2, 2, 2))))
	b.output(b.node("Conv", nil, b.input(b.floats(1, 2, 6)), b.input(b.floats(3, 2, 2))))
	b.check(t, close32)
}
