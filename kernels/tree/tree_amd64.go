//go:build amd64 && cgo && !noasm

package tree

import "github.com/aimass/aimass/kernels/isa"

type native struct{}

func compile(isa.Level, *Forest) *native { return nil }

func (e *Ensemble) predictNative(dst, x []float32, rows, ldx, threads int) {
	e.predictGeneric(dst, x, rows, ldx, threads)
}
