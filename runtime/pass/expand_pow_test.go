package pass_test

import (
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestPowerOfOneType: an exponent of another type becomes the base's where nothing is lost.
func TestPowerOfOneType(t *testing.T) {
	for _, c := range []struct {
		base     tensor.DType
		exponent *tensor.Tensor
		changed  bool
	}{
		{tensor.Float32, tensor.FromSlice([]int64{3}, 1), true},
		{tensor.Float64, tensor.Scalar(int64(2)), true},
		{tensor.Float32, tensor.FromSlice([]float64{4}, 1), true},
		{tensor.Float32, tensor.FromSlice([]float64{0.1}, 1), false}, // no float32
		{tensor.Float32, tensor.FromSlice([]int64{2, 3}, 2), false},
		{tensor.Float32, tensor.FromSlice([]float32{2}, 1), false}, // it has that type
		{tensor.Int32, tensor.FromSlice([]int64{2}, 1), false},
	} {
		r := &trial{Rand: rand.New(rand.NewPCG(1, 5)), data: map[*graph.Value]tensor.Value{}, half: c.base}
		base := r.below(9, false, tensor.Int32, 3, 2)
		if c.base != tensor.Int32 {
			base = r.floats(false, 3, 2)
		}
		r.g.Out = r.op("Pow", nil, 1, base, r.value(c.exponent, true))
		want := evaluate(t, &r.g, r.data)[0]
		named(t, "expand", registry)(&r.g)
		n := r.g.Nodes[0]
		if e := n.In[1].Const.(*tensor.Tensor); (e != c.exponent) != c.changed || c.changed && (e.DType != c.base || !e.Shape.Equal(c.exponent.Shape)) {
			t.Errorf("%v to the power of %v: the exponent is %v", c.base, c.exponent, e)
		}
		if err := near(evaluate(t, &r.g, r.data)[0], want, true); c.changed && err != nil {
			t.Error(err)
		}
	}
}
