//go:build !amd64 || !cgo || noasm

package softmax

import "github.com/aimass/aimass/kernels/isa"

func rowsNative(isa.Level, []float32, int, []float32, int, int, int, float32, bool, int) {
	panic("BUG: softmax: no native kernels in this build")
}

func middleNative(isa.Level, []float32, []float32, int, int, int, bool, int) {
	panic("BUG: softmax: no native kernels in this build")
}
