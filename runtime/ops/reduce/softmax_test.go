package reduce

import (
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Rows of equal keys must keep their mass in the narrow types: a sum that is rounded at
// each step stops growing at 256 in bfloat16.
func TestSoftmaxKeepsMass(t *testing.T) {
	r := ops.NewRegistry()
	Register(r)
	for _, d := range []tensor.DType{tensor.BFloat16, tensor.Float16} {
		for _, n := range []int{1, 7, 8, 9, 300, 1024} {
			x := tensor.New(d, tensor.Shape{1, n})
			node := &graph.Node{Op: "Softmax", Opset: 13, Attrs: graph.Attrs{}, In: []*graph.Value{{}}, Out: []*graph.Value{{}}}
			o, err := r.Resolve(node)
			if err != nil {
				t.Fatal(err)
			}
			c := &ops.Call{Node: node, In: []tensor.Value{x}, Out: make([]tensor.Value, 1)}
			if err := o.Eval(c); err != nil {
				t.Fatal(err)
			}
			y, err := tensor.Float64s(c.Out[0].(*tensor.Tensor))
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range y {
				if math.Abs(v*float64(n)-1) > 1./256 {
					t.Fatalf("%v: element %d of %d equal ones is %v", d, i, n, v)
				}
			}
		}
	}
}
