//go:build !amd64 || !cgo || noasm

package quant

import "github.com/aimass/aimass/kernels/isa"

func layoutNative(isa.Level, bool) (columns, group int) {
	panic("BUG: quant: no native kernels in this build")
}

func saturates(isa.Level, bool) bool { return false }

func runNative(*call) { panic("BUG: quant: no native kernels in this build") }

func minMaxNative(isa.Level, []float32, int) (lo, hi float32) {
	panic("BUG: quant: no native kernels in this build")
}

func quantizeNative(isa.Level, []byte, []float32, float32, int32, bool, int) {
	panic("BUG: quant: no native kernels in this build")
}

func quantizeRowsNative(isa.Level, []byte, []float32, int, float32, uint8, int) {
	panic("BUG: quant: no native kernels in this build")
}

func dequantizeNative(isa.Level, []float32, []byte, float32, int32, bool, int) {
	panic("BUG: quant: no native kernels in this build")
}
