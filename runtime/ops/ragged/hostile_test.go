package ragged

import (
	"testing"

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

func TestStarts(t *testing.T) {
	got := Starts(nil, []int64{3, 4, 0, 1, 0, 0})
	for i, want := range []int32{0, 2, 4, 5, 6} {
		if got[i] != want {
			t.Fatalf("got %v", got)
		}
	}
}
