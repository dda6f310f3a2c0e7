//go:build !amd64 || !cgo || noasm

package coded

import "github.com/aimass/aimass/kernels/gemm"

func gemmNative(int, []float32, int, *Weights, []float32, int, *gemm.Epilogue, int) {
	panic("BUG: coded: no native kernels in this build")
}
