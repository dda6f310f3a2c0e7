package cpu_test

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// net is a random convolutional network in the making.
type net struct {
	*builder
	batch, h, w int
	live        []feature // images of h×w
}

type feature struct {
	v *graph.Value
	c int
}

// pick is one of the images.
func (n *net) pick() feature { return n.live[n.IntN(len(n.live))] }

func (n *net) add(v *graph.Value, c int) {
	n.live = append(n.live, feature{v, c})
	if n.IntN(12) == 0 {
		n.output(v)
	}
}

// conv is a convolution with weights that keep the scale of its input.
func (n *net) conv(x feature, oc, k, stride, group int) *graph.Value {
	w := n.floats(oc, x.c/group, k, k)
	for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
		d[i] *= 1 / float32(k*(1+x.c/group/4))
	}
	a := attrs{"pads": ints(k/2, k/2, k/2, k/2), "strides": ints(stride, stride), "group": graph.IntAttr(int64(group))}
	return n.node("Conv", a, x.v, n.constant(w), n.constant(n.floats(oc)))
}

// same is a piece of network that keeps height and width.
func (n *net) same() {
	x := n.pick()
	ch := []int{n.batch, x.c, 1, 1}
	switch n.IntN(16) {
	case 14: // circular padding
		k := one(n.builder, 2, 3)
		head := n.node("Slice", nil, x.v, n.int64s(0), n.int64s(1), n.int64s(int64(k)))
		tail := n.node("Slice", nil, x.v, n.int64s(-1), n.int64s(1<<40), n.int64s(int64(k)))
		wide := n.node("Concat", attrs{"axis": graph.IntAttr(int64(k - 4))}, tail, x.v, head)
		kernel := []int{1, 1}
		kernel[k-2] = 3
		w := n.floats(32, x.c, kernel[0], kernel[1])
		n.add(n.node("Conv", nil, wide, n.constant(w)), 32)
	case 15:
		c0, c1 := one(n.builder, 0, 16), x.c-one(n.builder, 0, 3, 16)
		if c0 < c1 {
			n.add(n.node("Slice", nil, x.v, n.int64s(int64(c0)), n.int64s(int64(c1)), n.int64s(1)), c1-c0)
			n.output(n.node("Slice", nil, x.v, n.int64s(1, -1), n.int64s(1<<40, -1<<40), n.int64s(2, 3), n.int64s(2, -2)))
		}
	case 0:
		n.add(n.conv(x, x.c, one(n.builder, 3, 5), 1, x.c), x.c)
	case 1:
		n.add(n.node("MaxPool", attrs{"kernel_shape": ints(3, 3), "pads": ints(1, 1, 1, 1)}, x.v), x.c)
	case 2:
		n.add(n.node("AveragePool", attrs{"kernel_shape": ints(3, 3), "pads": ints(1, 1, 1, 1), "count_include_pad": graph.IntAttr(int64(n.IntN(2)))}, x.v), x.c)
	case 3:
		y := n.pick()
		n.add(n.node("Concat", attrs{"axis": graph.IntAttr(1)}, x.v, y.v), x.c+y.c)
	case 4:
		if x.c%2 == 0 {
			for _, v := range n.nodes("Split", 2, attrs{"axis": graph.IntAttr(1)}, x.v, n.int64s(int64(x.c/2), int64(x.c/2))) {
				n.add(v, x.c/2)
			}
		}
	case 5:
		for _, y := range n.live {
			if y.c == x.c && y.v != x.v {
				n.add(n.node(one(n.builder, "Add", "Mul", "Sub", "Max"), nil, x.v, y.v), x.c)
				return
			}
		}
	case 6:
		gate := n.node("Sigmoid", nil, n.node("GlobalAveragePool", nil, x.v))
		n.add(n.node("Mul", nil, gate, x.v), x.c)
	case 7:
		n.add(n.node(one(n.builder, "Sub", "Add"), nil, x.v, n.input(n.floats(ch...))), x.c)
	case 8:
		n.add(n.node(one(n.builder, "Relu", "HardSwish", "Tanh"), nil, x.v), x.c)
	case 9:
		n.add(n.node("Transpose", attrs{"perm": ints(0, 1, 3, 2)}, n.node("Transpose", attrs{"perm": ints(0, 1, 3, 2)}, n.node("Neg", nil, x.v))), x.c)
	default:
		y := n.conv(x, one(n.builder, x.c, 16, 24, 32, 48, 80), one(n.builder, 1, 3, 5), 1, 1)
		c := y.Def.In[1].Tensor().Shape[0]
		switch n.IntN(3) {
		case 0:
			y = n.node("Relu", nil, y)
		case 1:
			y = n.node("Mul", nil, y, n.node("Sigmoid", nil, y))
		}
		if c == x.c && n.IntN(2) == 0 {
			y = n.node("Add", nil, x.v, y)
		}
		n.add(y, c)
	}
}

// other is a piece that changes height and width.
func (n *net) other() {
	x := n.pick()
	v, c := x.v, x.c
	switch n.IntN(3) {
	case 0:
		c = one(n.builder, 16, 32, 40)
		v, n.h, n.w = n.conv(x, c, 3, 2, 1), (n.h+1)/2, (n.w+1)/2
	case 1:
		v, n.h, n.w = n.node("MaxPool", attrs{"kernel_shape": ints(2, 2), "strides": ints(2, 2), "ceil_mode": graph.IntAttr(1)}, v), (n.h+1)/2, (n.w+1)/2
	default:
		scales := tensor.New(tensor.Float32, tensor.Shape{4})
		copy(tensor.Data[float32](scales), []float32{1, 1, 2, 2})
		a := attrs{"mode": graph.StrAttr("nearest"), "coordinate_transformation_mode": graph.StrAttr("asymmetric"), "nearest_mode": graph.StrAttr("floor")}
		v, n.h, n.w = n.node("Resize", a, v, nil, n.constant(scales)), 2*n.h, 2*n.w
	}
	n.live = nil
	n.add(v, c)
}

// TestLoweredBlocked holds random networks, in which images stay in the blocked layout
// over many nodes and leave it for others, to Eval.
func TestLoweredBlocked(t *testing.T) {
	blocked := 0
	seeds(t, 120, func(t *testing.T, b *builder) {
		n := &net{builder: b, batch: 1 + b.IntN(2), h: 3 + b.IntN(12), w: 3 + b.IntN(12)}
		c := one(b, 1, 3, 16, 20, 32)
		n.add(b.input(b.floats(n.batch, c, n.h, n.w)), c)
		n.add(n.conv(n.pick(), one(b, 16, 24, 32, 64), 3, 1, 1), 0)
		n.live[1].c = n.live[1].v.Def.In[1].Tensor().Shape[0]
		for range 2 + b.IntN(10) {
			if b.IntN(6) == 0 && n.h*n.w > 8 && n.h*n.w < 400 {
				n.other()
			} else {
				n.same()
			}
		}
		b.output(n.node("Neg", nil, n.pick().v))
		steps := b.check(t, tolerance{2e-3, 5e-3})
		if slices.ContainsFunc(steps, func(s cpu.DescribedStep) bool { return s.Kernel == "change" }) {
			blocked++
		}
	})
	if blocked == 0 {
		t.Error("no network has changed its layout")
	}
}
