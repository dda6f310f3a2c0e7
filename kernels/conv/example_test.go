package conv_test

import (
	"fmt"

	"github.com/aimass/aimass/kernels/conv"
)

// A 2×2 box filter over one 3×3 image.
func ExamplePacked_Run() {
	p := conv.Pack(conv.Geometry{C: 1, OC: 1, Window: conv.Window{KH: 2, KW: 2}}, []float32{1, 1, 1, 1}, nil)
	oh, ow := p.Geometry().Out(3, 3)
	y := make([]float32, oh*ow)
	p.Run(y, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 3, 3, nil, 1)
	fmt.Println(oh, ow, y)
	// Output: 2 2 [12 16 24 28]
}
