//go:build !amd64 || !cgo || noasm

package tree

import "github.com/aimass/aimass/kernels/isa"

type native struct{}

func (*native) bytes() int { return 0 }

func compile(isa.Level, *Forest) *native { panic("BUG: tree: no native kernels in this build") }

func (e *Ensemble) predictNative([]float32, []float32, int, int, int) {
	panic("BUG: tree: no native kernels in this build")
}
