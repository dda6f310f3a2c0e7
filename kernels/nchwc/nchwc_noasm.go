//go:build !amd64 || !cgo || noasm

package nchwc

import (
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
)

const noNative = "BUG: nchwc: no native kernels in this build"

func (p *Packed) runNative([]float32, []float32, int, int, int, int, *Epilogue, int) { panic(noNative) }

func poolNative(isa.Level, conv.PoolOp, []float32, []float32, int, int, int, int, int, conv.Window, int) {
	panic(noNative)
}

func moveNative(isa.Level, []float32, []float32, int, int, int, int, bool) { panic(noNative) }
