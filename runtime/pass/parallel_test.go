package pass_test

import (
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

func weights(name string, shape ...int) *graph.Value {
	r := rand.New(rand.NewPCG(uint64(len(name)), uint64(name[0])))
	v := make([]float32, tensor.Shape(shape).Elements())
	for i := range v {
		v[i] = r.Float32() + .1
	}
	return constant(name, tensor.FromSlice(v, shape...))
}

// branches is a block of a network trained with several branches; what the test changes in it keeps
// branches apart.
type branches struct {
	sketch
	x *graph.Value
}

func (s *branches) conv(kernel, dilation, stride, group int, bias bool) *graph.Value {
	pad := int64((kernel - 1) * dilation / 2)
	in := []*graph.Value{s.x, weights("w", 6, 6/group, kernel, kernel)}
	if bias {
		in = append(in, weights("bias", 6))
	}
	return s.op("Conv", graph.Attrs{"group": graph.IntAttr(int64(group)), "pads": graph.IntsAttr(pad, pad, pad, pad), "strides": graph.IntsAttr(int64(stride), int64(stride)),
		"dilations": graph.IntsAttr(int64(dilation), int64(dilation))}, 1, in...)[0]
}

func (s *branches) norm(v *graph.Value) *graph.Value {
	return s.op("BatchNormalization", nil, 1, v, weights("scale", 6), weights("shift", 6), weights("mean", 6), weights("var", 6))[0]
}

func (s *branches) sum(v ...*graph.Value) *graph.Value {
	out := v[0]
	for _, next := range v[1:] {
		out = s.op("Add", nil, 1, out, next)[0]
	}
	return out
}

func block() *branches {
	s := &branches{}
	s.x = s.in("x", tensor.Float32, 1, 6, 9, 8)
	apart := s.conv(3, 1, 1, 6, false)
	s.g.Out = []*graph.Value{
		s.sum(constant("half", tensor.Scalar(float32(.5))), s.norm(s.x), s.norm(s.conv(1, 1, 1, 1, false)), s.norm(s.conv(3, 1, 1, 1, false))), // RepVGG
		s.sum(s.conv(1, 1, 2, 6, true), s.conv(5, 1, 2, 6, true), s.conv(3, 2, 2, 6, false)),                                                   // windows of other dilations
		s.sum(s.conv(3, 1, 1, 1, false), s.conv(3, 1, 1, 2, false)),                                                                            // other groups
		s.sum(s.conv(3, 1, 1, 1, false), apart), apart,                                                                                         // read twice
		s.sum(s.conv(5, 2, 1, 1, false), s.conv(3, 1, 1, 1, false)), // taps between those of the larger window
		s.sum(s.norm(s.x), s.norm(s.x)),                             // no convolution
	}
	return s
}

func TestParallel(t *testing.T) {
	s := block()
	golden(t, "parallel", &s.g, named(t, "parallel", all.Registry()))
}

// The sums are the same as those of the branches: folding a constant image tells.
func TestParallelSums(t *testing.T) {
	answers := func(merge bool) [][]float32 {
		s := block()
		if merge {
			named(t, "parallel", all.Registry())(&s.g)
		}
		s.x.Const = weights("image", 1, 6, 9, 8).Const
		named(t, "fold", all.Registry())(&s.g)
		var out [][]float32
		for _, v := range s.g.Out {
			out = append(out, tensor.Data[float32](v.Tensor()))
		}
		return out
	}
	want := answers(false)
	for k, got := range answers(true) {
		for i, v := range got {
			if d := v - want[k][i]; d > 1e-4 || d < -1e-4 {
				t.Fatalf("output %d, element %d: %g, want %g", k, i, v, want[k][i])
			}
		}
	}
}
