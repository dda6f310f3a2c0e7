package tree_test

import (
	"fmt"

	"github.com/aimass/aimass/kernels/tree"
)

// One stump: x <= 0.5 gives 1, otherwise 2.
func ExampleEnsemble_Predict() {
	e, err := tree.New(&tree.Forest{
		Targets: 1, Features: 1, Roots: []int32{0},
		Nodes: []tree.Node{
			{Mode: tree.LEQ, Value: 0.5, True: 1, False: 2},
			{Mode: tree.Leaf, First: 0, Count: 1},
			{Mode: tree.Leaf, First: 1, Count: 1},
		},
		Weights: []tree.Weight{{Value: 1}, {Value: 2}},
	})
	if err != nil {
		panic(err)
	}
	y := make([]float32, 2)
	e.Predict(y, []float32{0.5, 0.6}, 2, 1, 1)
	fmt.Println(y)
	// Output: [1 2]
}
