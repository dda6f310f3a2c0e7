//go:build !amd64 || !cgo || noasm

package elementwise64

import "github.com/aimass/aimass/kernels/isa"

func (p *Program) runNative([]float64, int, int, [][]float64, int) {
	panic("BUG: elementwise64: no native kernels in this build")
}

func foldNative(isa.Level, FoldOp, []float64, []float64, int, int, int) {
	panic("BUG: elementwise64: no native kernels in this build")
}
