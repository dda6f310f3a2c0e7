//go:build !amd64 || !cgo || noasm

package elementwise

import (
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

func unaryNative(isa.Level, []float32, []float32, act.Act, int) {
	panic("BUG: elementwise: no native kernels in this build")
}

func binaryNative(isa.Level, *form, []float32, []float32, []float32, int) {
	panic("BUG: elementwise: no native kernels in this build")
}

func (p *Program) runNative([]float32, int, int, [][]float32, int) {
	panic("BUG: elementwise: no native kernels in this build")
}
