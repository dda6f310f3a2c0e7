//go:build !amd64 || !cgo || noasm

package conv

import "github.com/aimass/aimass/kernels/isa"

func (p *Packed) packNative([]float32) { panic("BUG: conv: no native kernels in this build") }

func (p *Packed) runNative([]float32, []float32, int, int, int, int, *Epilogue, int) {
	panic("BUG: conv: no native kernels in this build")
}

func poolNative(isa.Level, PoolOp, []float32, []float32, int, int, int, int, int, Window, int) {
	panic("BUG: conv: no native kernels in this build")
}
