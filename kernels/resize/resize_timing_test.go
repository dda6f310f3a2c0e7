package resize

import (
	"testing"

	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkNearest(b *testing.B) {
	const planes, h = 24, 60
	var index []int32
	for i := range int32(2 * h) {
		index = append(index, i/2)
	}
	x, y := make([]float32, planes*h*h), make([]float32, planes*4*h*h)
	b.SetBytes(int64(4 * len(y)))
	kt.Best(b, func() { Nearest(y, x, planes, h, h, index, index, 1) })
}
