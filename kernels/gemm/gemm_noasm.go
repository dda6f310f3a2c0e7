//go:build !amd64 || !cgo || noasm

package gemm

import "github.com/aimass/aimass/kernels/isa"

func panelWidth(isa.Level) int { return 0 }

func gemmNative(int, []float32, int, *PackedB, []float32, int, *Epilogue, int) {
	panic("BUG: gemm: no native kernels in this build")
}

func matMulNative(isa.Level, *Product, []float32, []float32, []float32, *Epilogue, int) {
	panic("BUG: gemm: no native kernels in this build")
}

func groupNative(int, []float32, int, []Weighted, int) {
	panic("BUG: gemm: no native kernels in this build")
}

func (c *Chain) packNative([]Layer) { panic("BUG: gemm: no native kernels in this build") }

func (c *Chain) runNative(int, []float32, int, []float32, int) {
	panic("BUG: gemm: no native kernels in this build")
}
