package cpu_test

import (
	"context"
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// anyShape has up to rank 5, with extents of 1 and sometimes of 0.
func (b *builder) anyShape(rank int) []int {
	s := make([]int, rank)
	for i := range s {
		s[i] = 1 + b.IntN(6)
		if b.IntN(40) == 0 {
			s[i] = 0
		}
	}
	return s
}

// anything is a tensor of a random type of whole bytes.
func (b *builder) anything(shape ...int) *tensor.Tensor {
	d := one(b, tensor.Float32, tensor.Int64, tensor.Uint8, tensor.Int32, tensor.Float64, tensor.Float16, tensor.Bool)
	t := tensor.New(d, shape)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(b.IntN(2))
	}
	return t
}

func (b *builder) perm(rank int) *graph.Attr { return ints(b.Perm(rank)...) }

// TestLoweredMoves builds chains of operators that rearrange and lets the graph return
// some of what lies between.
func TestLoweredMoves(t *testing.T) {
	seeds(t, 400, func(t *testing.T, b *builder) {
		rank := 1 + b.IntN(5)
		x := b.anything(b.anyShape(rank)...)
		v := b.input(x)
		for range 1 + b.IntN(4) {
			s := outShape(t, b, v)
			v = b.rearrange(v, s, x.DType)
			if b.IntN(3) == 0 {
				b.output(v)
			}
		}
		b.output(v, v)
		b.check(t, tolerance{})
	})
}

func (b *builder) rearrange(v *graph.Value, s tensor.Shape, d tensor.DType) *graph.Value {
	rank := len(s)
	if rank == 0 {
		return b.node("Unsqueeze", nil, v, b.int64s(0))
	}
	axis := b.IntN(rank)
	at := attrs{"axis": graph.IntAttr(int64(axis))}
	switch b.IntN(9) {
	case 0:
		return b.node("Transpose", attrs{"perm": b.perm(rank)}, b.node("Transpose", attrs{"perm": b.perm(rank)}, v))
	case 1:
		return b.node("Transpose", nil, v)
	case 2:
		return b.slice(v, s)
	case 3:
		return b.node("Concat", at, v, v, b.node("Identity", nil, v))
	case 4:
		half := s[axis] / 2
		parts := b.nodes("Split", 2, at, v, b.int64s(int64(half), int64(s[axis]-half)))
		return b.node("Concat", at, parts[1], parts[0])
	case 5:
		if s.Elements() > 2000 {
			return v
		}
		reps := make([]int64, rank)
		for i := range reps {
			reps[i] = int64(b.IntN(3))
		}
		return b.node("Tile", nil, v, b.int64s(reps...))
	case 6:
		to := []int64{int64(1 + b.IntN(3))}
		for range s {
			to = append(to, 1)
		}
		return b.node("Expand", nil, v, b.int64s(to...))
	case 7:
		pads := make([]int64, 2*rank)
		for i := range pads {
			if pads[i] = int64(b.IntN(4) - 1); s[i%rank] < 2 {
				pads[i] = max(pads[i], 0)
			}
		}
		return b.node("Pad", nil, v, b.int64s(pads...))
	}
	if s[axis] == 0 {
		return v
	}
	idx := make([]int64, b.IntN(5))
	for i := range idx {
		idx[i] = int64(b.IntN(2*s[axis]) - s[axis])
	}
	return b.node("Gather", at, v, b.input(tensor.FromSlice(idx, len(idx))))
}

func (b *builder) slice(v *graph.Value, s tensor.Shape) *graph.Value {
	var starts, ends, axes, steps []int64
	for _, k := range b.Perm(len(s))[:1+b.IntN(len(s))] {
		n := int64(s[k])
		axes = append(axes, int64(k)-one(b, 0, int64(len(s))))
		starts = append(starts, one(b, 0, 1, -1, n, -n-3, math.MaxInt64, math.MinInt64))
		ends = append(ends, one(b, n, 2, -1, math.MaxInt64, math.MinInt64))
		steps = append(steps, one[int64](b, 1, 1, 1, 2, -1, -2))
	}
	return b.node("Slice", nil, v, b.int64s(starts...), b.int64s(ends...), b.int64s(axes...), b.int64s(steps...))
}

// TestLoweredTyped holds casts, choices, comparisons and integer arithmetic to Eval.
func TestLoweredTyped(t *testing.T) {
	seeds(t, 150, func(t *testing.T, b *builder) {
		full := b.anyShape(1 + b.IntN(4))
		part := func() []int {
			s := append([]int{}, full[b.IntN(len(full)+1):]...)
			for i := range s {
				if b.IntN(3) == 0 {
					s[i] = 1
				}
			}
			return s
		}
		d := one(b, tensor.Float32, tensor.Int32, tensor.Int64, tensor.Uint8)
		operand := func(s []int) *graph.Value {
			t := tensor.New(tensor.Int64, s)
			for i, v := 0, tensor.Data[int64](t); i < len(v); i++ {
				v[i] = int64(b.IntN(7))
			}
			return b.node("Cast", attrs{"to": graph.IntAttr(d.ONNX())}, b.input(t))
		}
		x, y := operand(full), operand(part())
		if b.IntN(2) == 0 {
			x, y = y, x
		}
		c := b.node(one(b, "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"), nil, x, y)
		w := b.node("Where", nil, c, y, x)
		if b.IntN(4) == 0 {
			w = b.node("Where", nil, c, x, x)
		}
		a := b.node(one(b, "Add", "Sub", "Mul"), nil, w, operand(part()))
		b.output(c, a, b.node("Cast", attrs{"to": graph.IntAttr(one(b, tensor.Float32, tensor.Int32, tensor.Int64, tensor.Float64).ONNX())}, a),
			b.node("Cast", attrs{"to": graph.IntAttr(tensor.Float32.ONNX())}, c))
		mustLower(t, b.check(t, tolerance{}))
	})
}

// TestLoweredPointwise holds chains of functions of one and two floats to Eval.
func TestLoweredPointwise(t *testing.T) {
	unary := []string{"Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Softplus", "HardSwish", "Erf", "Floor", "Sqrt", "HardSigmoid", "Elu", "Selu", "Softsign", "Ceil", "Round", "Sign", "Mish"}
	seeds(t, 250, func(t *testing.T, b *builder) {
		s := b.anyShape(b.IntN(5))
		v := b.input(b.floats(s...))
		all := []*graph.Value{v}
		for range 1 + b.IntN(8) {
			switch b.IntN(5) {
			case 0, 1:
				op := one(b, unary...)
				if op == "Sqrt" {
					v = b.node("Abs", nil, v)
				}
				if op == "Mish" {
					v = b.node("Mul", nil, v, b.node("Tanh", nil, b.node("Softplus", nil, v)))
				} else {
					v = b.node(op, nil, v)
				}
			case 2:
				v = b.node(one(b, "Add", "Mul", "Sub", "Max", "Min"), nil, v, one(b, all...))
			case 3:
				p := append([]int{}, s[b.IntN(len(s)+1):]...)
				for i := range p {
					if b.IntN(3) == 0 {
						p[i] = 1
					}
				}
				o := b.constant(b.positive(p...))
				if b.IntN(3) == 0 {
					o = b.input(b.positive(p...))
				}
				x, y := v, o
				if b.IntN(3) == 0 {
					x, y = y, x
				}
				v = b.node(one(b, "Add", "Mul", "Sub"), nil, x, y)
			default:
				v = b.node("Clip", nil, v, b.scalar(-1), b.scalar(1.5))
			}
			if b.IntN(6) == 0 {
				b.output(v)
			}
			all = append(all, v)
		}
		b.output(v)
		mustLower(t, b.check(t, tolerance{2e-4, 1e-4}))
	})
}

// TestLoweredOutputs wants outputs in memory of their own, whatever of the input they are.
func TestLoweredOutputs(t *testing.T) {
	b := newBuilder(1)
	x := b.floats(2, 6)
	v := b.input(x)
	b.output(v, b.node("Reshape", nil, v, b.int64s(3, 4)), b.node("Slice", nil, b.node("Flatten", nil, v), b.int64s(1), b.int64s(2)), b.node("Identity", nil, v))
	p, err := cpu.New(registry, cpu.Config{Threads: 1}).Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := b.run(t, true, 1)
	call := &device.Call{In: b.in}
	if err := p.Run(context.Background(), call); err != nil {
		t.Fatal(err)
	}
	clear(tensor.Data[float32](x))
	for i, v := range call.Out {
		if err := differ(v.(*tensor.Tensor), want[i].(*tensor.Tensor), tolerance{}); err != nil {
			t.Errorf("output %d after the input has changed: %v", i, err)
		}
	}
	call.Release()
}
