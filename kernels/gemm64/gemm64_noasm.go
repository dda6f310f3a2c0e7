//go:build !amd64 || !cgo || noasm

package gemm64

import (
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
)

func panelWidth(isa.Level) int { return 0 }

func gemmNative(int, []float64, int, *Packed, []float64, int, Metric, *Epilogue, int) {
	panic("BUG: gemm64: no native kernels in this build")
}

func matMulNative(isa.Level, *gemm.Product, []float64, []float64, []float64, *Epilogue, int) {
	panic("BUG: gemm64: no native kernels in this build")
}
