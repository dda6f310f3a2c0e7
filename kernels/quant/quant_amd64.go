//go:build amd64 && cgo && !noasm

package quant

import "github.com/aimass/aimass/kernels/isa"

func layoutNative(_ isa.Level, k, n int) (int, func(int, int) int) { return layout(isa.Generic, k, n) }

func runNative(c *call) { runGeneric(c) }

func minMaxNative(_ isa.Level, x []float32, _ int) (lo, hi float32) { return minMaxGeneric(x) }

func quantizeNative(_ isa.Level, dst []byte, x []float32, scale float32, zero int32, signed bool, _ int) {
	quantizeGeneric(dst, x, scale, zero, signed)
}

func dequantizeNative(_ isa.Level, dst []float32, x []byte, scale float32, zero int32, signed bool, _ int) {
	dequantizeGeneric(dst, x, scale, zero, signed)
}
