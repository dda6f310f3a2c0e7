//go:build !amd64 || !cgo || noasm

package reduce

import "github.com/aimass/aimass/kernels/isa"

func axisNative(isa.Level, Op, []float32, []float32, int, int, int, int) {
	panic("BUG: reduce: no native kernels in this build")
}

func runsNative(isa.Level, Op, []float32, []float32, []int64, int, int) {
	panic("BUG: reduce: no native kernels in this build")
}
