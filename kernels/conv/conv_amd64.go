//go:build amd64 && cgo && !noasm

package conv

import "github.com/aimass/aimass/kernels/isa"

func (p *Packed) packNative(w []float32) {
	p.level = isa.Generic
	p.data = append([]float32(nil), w...)
}

func (p *Packed) runNative(y, x []float32, n, h, w int, ep *Epilogue, threads int) {
	p.runGeneric(y, x, n, h, w, ep, threads)
}

func poolNative(_ isa.Level, op PoolOp, y, x []float32, planes, h, w, oh, ow int, win Window, _ int) {
	poolGeneric(op, y, x, planes, h, w, oh, ow, win)
}
