package cpu_test

import (
	"testing"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// halves rounds a tensor to a type of 16 bits.
func halves(d tensor.DType, x *tensor.Tensor) *tensor.Tensor {
	t := tensor.New(d, x.Shape)
	to := tensor.Data[uint16](t)
	for i, v := range tensor.Data[float32](x) {
		if d == tensor.Float16 {
			to[i] = half.FromFloat32(v)
		} else {
			to[i] = half.BrainFromFloat32(v)
		}
	}
	return t
}

// TestLoweredHalves has graphs of halves: what comes out is what the nodes give one by one,
// but for the rounding between them.
func TestLoweredHalves(t *testing.T) {
	fast, slow := 0, 0
	seeds(t, 80, func(t *testing.T, b *builder) {
		d := one(b, tensor.Float16, tensor.BFloat16)
		to := func(v *graph.Value, d tensor.DType) *graph.Value {
			return b.node("Cast", attrs{"to": graph.IntAttr(d.ONNX())}, v)
		}
		weights := func(shape ...int) *graph.Value { return b.constant(halves(d, b.floats(shape...))) }
		rows, k := 1+b.IntN(5), 1+b.IntN(24)
		b.output(to(b.node("MatMul", nil, b.input(halves(d, b.floats(2, 3))), weights(3, 2)), tensor.Float32)) // there are weights
		v := b.input(halves(d, b.floats(rows, k)))
		if b.IntN(3) == 0 {
			v = to(b.input(b.floats(rows, k)), d) // an explicit rounding
		}
		for range 1 + b.IntN(4) {
			n := 1 + b.IntN(24)
			switch b.IntN(5) {
			case 0:
				v = b.node("Add", nil, b.node("MatMul", nil, v, weights(k, n)), weights(n))
				k = n
			case 1:
				v = b.node("Softmax", attrs{"axis": graph.IntAttr(-1)}, v)
			case 2:
				v = b.node("Transpose", nil, b.node("Relu", nil, b.node("Transpose", nil, v)))
			case 3:
				ids := tensor.FromSlice([]int64{int64(b.IntN(9)), int64(b.IntN(9))}, 2)
				rows = 2
				v = b.node("Add", nil, b.node("Gather", nil, weights(9, k), b.input(ids)), b.node("ReduceMean", attrs{"axes": ints(0)}, v))
			case 4:
				v = b.node("Mul", nil, v, b.node("Sigmoid", nil, v))
			}
			if b.IntN(6) == 0 {
				v = b.node("CastLike", nil, v, weights(1)) // a node that is not taken
			}
		}
		b.output(to(v, tensor.Float32))
		rough := tolerance{2e-2, 2e-2}
		if d == tensor.BFloat16 {
			rough = tolerance{.1, .15}
		}
		for _, s := range b.check(t, rough) {
			if s.Path == cpu.Eval && s.Nodes[0].Op != "CastLike" {
				slow++
			} else {
				fast++
			}
		}
	})
	if slow*10 > fast {
		t.Errorf("%d steps are fast, %d are not", fast, slow)
	}
}

// TestHalvesComeOut has outputs of halves, one of them also read by what is computed in
// float32: they are rounded once.
func TestHalvesComeOut(t *testing.T) {
	b := newBuilder(1)
	x := halves(tensor.Float16, b.floats(4, 8))
	w := halves(tensor.Float16, b.floats(8, 8))
	sum := b.node("Relu", nil, b.node("MatMul", nil, b.input(x), b.constant(w)))
	b.output(sum, b.node("Neg", nil, sum))
	got, _ := b.run(t, false, 1)
	want, _ := b.run(t, true, 1)
	for i := range want {
		if err := differ(got[i].(*tensor.Tensor), want[i].(*tensor.Tensor), tolerance{}); err != nil {
			t.Errorf("output %d: %v", i, err)
		}
	}
}
