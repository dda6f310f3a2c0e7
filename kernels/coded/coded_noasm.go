//go:build !amd64 || !cgo || noasm

package coded

import (
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
)

func gemmNative(int, []float32, int, *Weights, []float32, int, *gemm.Epilogue, int) {
	panic("BUG: coded: no native kernels in this build")
}

func widenNative(isa.Level, []float32, []uint16, Kind, int) {
	panic("BUG: coded: no native kernels in this build")
}

func narrowNative(isa.Level, []uint16, []float32, Kind, int) {
	panic("BUG: coded: no native kernels in this build")
}
