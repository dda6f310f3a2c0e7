package attention_test

import (
	"fmt"

	"github.com/aimass/aimass/kernels/attention"
)

// Two sequences of one and two tokens, packed without padding; q, k and v are
// parts of one buffer, as a fused product writes them.
func ExampleParams_Run() {
	qkv := []float32{ // q, k, v of each token
		1, 1, 10,
		0, 1, 20,
		0, 2, 40,
	}
	s := attention.Strides{Token: 3}
	p := attention.Params{Seqs: 2, Heads: 1, DK: 1, DV: 1, Scale: 1, Starts: []int32{0, 1, 3},
		Q: s, K: s, V: s, Out: attention.Strides{Token: 1}, Threads: 1}
	out := make([]float32, 3)
	p.Run(out, qkv, qkv[1:], qkv[2:])
	fmt.Println(out)
	// Output: [10 30 30]
}
