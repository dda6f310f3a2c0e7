package pass_test

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

func (s *sketch) transpose(v *graph.Value, perm ...int64) *graph.Value {
	return s.op("Transpose", graph.Attrs{"perm": graph.IntsAttr(perm...)}, 1, v)[0]
}

func ones(name string, shape ...int) *graph.Value {
	t := tensor.New(tensor.Float32, shape)
	for i := range tensor.Data[float32](t) {
		tensor.Data[float32](t)[i] = 1
	}
	return constant(name, t)
}

func int64s(v ...int64) *graph.Value { return constant("ints", tensor.FromSlice(v, len(v))) }

// channelsLast is a convolution as Keras writes it.
func (s *sketch) channelsLast(v *graph.Value, w *graph.Value) *graph.Value {
	return s.transpose(s.op("Conv", nil, 1, s.transpose(v, 0, 3, 1, 2), w)[0], 0, 2, 3, 1)
}

// Convolutions whose images have their channels last, with what stands between them: a function spelled
// out, padding, a gate of means, a residual.
func TestTransposes(t *testing.T) {
	s := &sketch{}
	x := s.in("x", tensor.Float32, 1, 8, 8, 3)
	x.Type.Shape[0] = graph.Dim{Size: -1, Symbol: "N"}
	a := s.channelsLast(x, ones("w1", 9, 3, 1, 1))
	h := s.op("Mul", nil, 1, a, s.op("Clip", nil, 1, s.op("Add", nil, 1, a, constant("three", tensor.Scalar(float32(3))))[0], constant("lo", tensor.Scalar(float32(0))), constant("hi", tensor.Scalar(float32(6))))[0])[0]
	pad := s.op("Pad", nil, 1, h, int64s(0, 1, 1, 0, 0, 2, 2, 0))[0]
	b := s.op("Mul", nil, 1, s.channelsLast(pad, ones("w2", 9, 9, 4, 4)), ones("scale", 9))[0]
	mean := s.op("ReduceMean", graph.Attrs{"axes": graph.IntsAttr(1, 2), "keepdims": graph.IntAttr(0)}, 1, b)[0]
	gate := s.op("Sigmoid", nil, 1, s.channelsLast(s.op("Reshape", nil, 1, mean, int64s(-1, 1, 1, 9))[0], ones("w3", 9, 9, 1, 1)))[0]
	sum := s.op("Add", nil, 1, s.channelsLast(s.op("Mul", nil, 1, b, gate)[0], ones("w4", 9, 9, 1, 1)), h)[0]
	both := s.op("Concat", graph.Attrs{"axis": graph.IntAttr(-1)}, 1, sum, h)[0]
	c := s.channelsLast(both, ones("w5", 4, 18, 1, 1))
	s.g.Out = []*graph.Value{s.op("Softmax", graph.Attrs{"axis": graph.IntAttr(1)}, 1, s.op("Reshape", nil, 1, c, int64s(0, -1))[0])[0]}
	golden(t, "transposes", &s.g, named(t, "transposes", all.Registry()))
}

// What would not save a transposition stays: nodes that only could do with less to transpose, the heads
// of an attention, a value that is read in both orders.
func TestTransposesThatStay(t *testing.T) {
	s := &sketch{}
	x := s.in("x", tensor.Float32, 2, 8, 4, 6)
	cut := s.op("Slice", nil, 1, s.transpose(x, 0, 2, 1, 3), int64s(0), int64s(3), int64s(3))[0]
	q := s.transpose(s.op("Mul", nil, 1, x, constant("scale", tensor.Scalar(float32(.5))))[0], 0, 2, 1, 3)
	k := s.transpose(x, 0, 2, 3, 1)
	relu := s.op("Relu", nil, 1, s.transpose(x, 0, 3, 1, 2))[0]
	s.g.Out = []*graph.Value{cut, s.op("MatMul", nil, 1, q, k)[0], relu, s.transpose(relu, 0, 2, 3, 1)}
	golden(t, "transposes_stay", &s.g, named(t, "transposes", all.Registry()))
}
