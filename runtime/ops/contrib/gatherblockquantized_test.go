package contrib

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// blockGathered evaluates the operator on 3 rows of 32 codes in blocks of 16, of which row r has code c%16 at c.
func blockGathered(t *testing.T, d tensor.DType, bits int64, zeros *tensor.Tensor) ([]float32, error) {
	t.Helper()
	data := tensor.New(d, tensor.Shape{3, 32})
	if d == tensor.Uint8 && bits == 4 {
		data = tensor.New(d, tensor.Shape{3, 16})
	}
	for i := range data.Bytes() {
		if bits == 8 {
			data.Bytes()[i] = byte(i % 16)
		} else {
			data.Bytes()[i] = byte(2*i%16) | byte((2*i+1)%16)<<4
		}
	}
	n := &graph.Node{Op: "GatherBlockQuantized", Domain: Domain, Opset: 1, Attrs: graph.Attrs{"bits": graph.IntAttr(bits), "block_size": graph.IntAttr(16)}, Out: []*graph.Value{{}}}
	c := &ops.Call{Node: n, Out: make([]tensor.Value, 1), In: []tensor.Value{data, tensor.FromSlice([]int64{-1, 0}, 2), tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 3, 2), nil}}
	if zeros != nil {
		c.In[3] = zeros
	}
	if err := evalBlockGather(c); err != nil {
		return nil, err
	}
	y := c.Out[0].(*tensor.Tensor)
	if !y.Shape.Equal(tensor.Shape{2, 32}) {
		t.Fatalf("%v, expected shape [2,32]", y)
	}
	return tensor.Data[float32](y), nil
}

func TestGatherBlockQuantized(t *testing.T) {
	f := func(name string, d tensor.DType, bits int64, zeros *tensor.Tensor, weight func(row, block, code int) int) {
		t.Helper()
		got, err := blockGathered(t, d, bits, zeros)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var want []float32
		for _, r := range []int{2, 0} {
			for c := range 32 {
				want = append(want, float32(weight(r, c/16, c%16)*(2*r+c/16+1)))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, expected %v", name, got, want)
		}
	}
	f("uint4", tensor.Uint4, 4, nil, func(_, _, c int) int { return c })
	f("int4", tensor.Int4, 4, nil, func(_, _, c int) int { return (c+8)%16 - 8 })
	f("packed", tensor.Uint8, 4, nil, func(_, _, c int) int { return c - 8 })
	f("bytes", tensor.Uint8, 8, nil, func(_, _, c int) int { return c - 128 })
	f("packed with zeros", tensor.Uint8, 4, tensor.FromSlice([]uint8{0x21, 0x43, 0x65}, 3, 1), func(r, b, c int) int { return c - (2*r + b + 1) })
	f("bytes with zeros", tensor.Uint8, 8, tensor.FromSlice([]uint8{1, 2, 3, 4, 5, 6}, 3, 2), func(r, b, c int) int { return c - (2*r + b + 1) })
	if _, err := blockGathered(t, tensor.Uint8, 4, tensor.FromSlice([]uint8{1, 2}, 2)); err == nil {
		t.Error("zero points of another number are taken")
	}
	if _, err := blockGathered(t, tensor.Float32, 4, nil); err == nil {
		t.Error("codes of float32 are taken")
	}
}
