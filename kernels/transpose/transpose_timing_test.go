package transpose

import (
	"testing"

	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func BenchmarkBytes(b *testing.B) {
	const rows, cols = 64, 56 * 56
	x, y := make([]byte, rows*cols), make([]byte, rows*cols)
	b.SetBytes(rows * cols)
	kt.Best(b, func() { Bytes(y, rows, x, cols, rows, cols, 1) })
}

func BenchmarkWords(b *testing.B) {
	const rows, cols = 64, 56 * 56
	x, y := make([]float32, rows*cols), make([]float32, rows*cols)
	b.SetBytes(4 * rows * cols)
	kt.Best(b, func() { Words(y, rows, x, cols, rows, cols, 1) })
}

func BenchmarkGeneric(b *testing.B) {
	const rows, cols = 64, 56 * 56
	x, y := make([]byte, rows*cols), make([]byte, rows*cols)
	b.SetBytes(rows * cols)
	kt.Best(b, func() { generic(y, rows, x, cols, rows, cols) })
}
