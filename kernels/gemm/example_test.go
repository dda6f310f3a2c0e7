package gemm_test

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/gemm"
)

// A dense layer: weights packed once, bias and ReLU in the store of the tile.
func ExampleGemm() {
	weights := []float32{ // 2 inputs, 3 outputs
		1, 0, 2,
		0, 1, -3,
	}
	b := gemm.PackB(2, 3, weights, 3, false)
	x := []float32{5, 7} // one row
	y := make([]float32, 3)
	gemm.Gemm(1, x, 2, b, y, 3, &gemm.Epilogue{Bias: []float32{1, 1, 1}, Act: act.Act{Func: act.Relu}}, 1)
	fmt.Println(y)
	// Output: [6 8 0]
}

// A small perceptron in one call.
func ExampleChain() {
	c := gemm.NewChain([]gemm.Layer{
		{K: 2, N: 2, B: []float32{1, 2, 3, 4}, LDB: 2, Act: act.Act{Func: act.Relu}},
		{K: 2, N: 1, B: []float32{1, -1}, LDB: 1, Bias: []float32{10}},
	})
	y := make([]float32, 1)
	c.Run(1, []float32{1, 1}, 2, y, 1)
	fmt.Println(y)
	// Output: [8]
}
