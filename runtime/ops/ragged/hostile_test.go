package ragged

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func TestShapesThatDoNotFit(t *testing.T) {
	f := func(d tensor.DType, shape ...int) *tensor.Tensor { return tensor.New(d, shape) }
	q, k, v, p := f(tensor.Float32, 1, 2, 5, 4), f(tensor.Float32, 1, 2, 4, 5), f(tensor.Float32, 1, 2, 5, 3), f(tensor.Int64, 5)
	op := attention()
	for name, in := range map[string][]tensor.Value{
		"another width": {q, f(tensor.Float32, 1, 2, 3, 5), v, p},
		"other tokens":  {q, f(tensor.Float32, 1, 2, 4, 6), v, p},
		"other heads":   {q, k, f(tensor.Float32, 1, 1, 5, 3), p},
		"two sequences": {f(tensor.Float32, 2, 2, 5, 4), k, v, p},
		"rank":          {f(tensor.Float32, 2, 5, 4), k, v, p},
		"few positions": {q, k, v, f(tensor.Int64, 4)},
		"a large mask":  {q, k, v, p, f(tensor.Float32, 1, 1, 5, 5)},
		"a type":        {q, k, v, f(tensor.Float32, 5)},
	} {
		if err := op.Eval(&ops.Call{In: in}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestReduceRefuses(t *testing.T) {
	f := func(d tensor.DType, shape ...int) *tensor.Tensor { return tensor.New(d, shape) }
	x, p := f(tensor.Float32, 1, 5, 3), f(tensor.Int64, 5)
	for name, in := range map[string][]tensor.Value{
		"two sequences": {f(tensor.Float32, 2, 5, 3), p},
		"rank":          {f(tensor.Float32, 5), p},
		"few positions": {x, f(tensor.Int64, 4)},
		"a type":        {f(tensor.Int8, 1, 5, 3), p},
		"positions":     {x, f(tensor.Float32, 5)},
	} {
		n := &graph.Node{Op: Reduce, Domain: Domain, Opset: 1}
		if err := reduce().Eval(&ops.Call{Node: n, In: in}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestRunningSum(t *testing.T) {
	y := make([]int64, 6)
	if sumAlong(y, []int64{1, 1, 0, 1, 1, 2}, []int64{0, 1, 2, 0, 1, 0}); !slices.Equal(y, []int64{1, 2, 2, 1, 2, 2}) {
		t.Errorf("got %v", y)
	}
	f := func(d tensor.DType, shape ...int) *tensor.Tensor { return tensor.New(d, shape) }
	for name, in := range map[string][]tensor.Value{
		"two sequences": {f(tensor.Int64, 2, 5), f(tensor.Int64, 5)},
		"few positions": {f(tensor.Int64, 1, 5), f(tensor.Int64, 4)},
		"a type":        {f(tensor.Float32, 1, 5), f(tensor.Int64, 5)},
		"positions":     {f(tensor.Int64, 1, 5), f(tensor.Int32, 5)},
	} {
		if err := runningSum().Eval(&ops.Call{In: in}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestPool(t *testing.T) {
	x, starts := []float32{1, 10, 2, 20, 4, 5}, []int32{0, 2, 3}
	for mode, want := range map[string][]float32{Sum: {3, 30, 3, 30, 4, 5}, Mean: {1.5, 15, 1.5, 15, 4, 5}, Max: {2, 20, 2, 20, 4, 5}} {
		y := make([]float32, 6)
		pool(y, x, make([]float64, 2), starts, mode)
		if !slices.Equal(y, want) {
			t.Errorf("%s: %v, want %v", mode, y, want)
		}
	}
	n := []int64{0, 0}
	if pool(n, []int64{7, 1 << 60}, []int64{0}, []int32{0, 2}, Sum); n[1] != 7+1<<60 {
		t.Errorf("got %v", n)
	}
}

func TestStarts(t *testing.T) {
	got := Starts(nil, []int64{3, 4, 0, 1, 0, 0})
	for i, want := range []int32{0, 2, 4, 5, 6} {
		if got[i] != want {
			t.Fatalf("got %v", got)
		}
	}
}
