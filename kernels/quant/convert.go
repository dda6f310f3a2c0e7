package quant

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/isa"
)

// Dynamic quantises x to unsigned bytes as ONNX's DynamicQuantizeLinear does:
// the scale spans the range of x widened to hold 0, halves round to even. It
// returns scale and zero point, as Scale gives them.
func Dynamic(dst []byte, x []float32, threads int) (scale float32, zero uint8) {
	return dynamic(isa.Current().Level, dst, x, threads)
}

func dynamic(level isa.Level, dst []byte, x []float32, threads int) (scale float32, zero uint8) {
	if len(dst) < len(x) {
		panic(fmt.Sprintf("BUG: quant: dst has %d of %d", len(dst), len(x)))
	}
	var lo, hi float32
	if level != isa.Generic && len(x) > 0 {
		lo, hi = minMaxNative(level, x, threads)
	} else {
		lo, hi = minMaxGeneric(x)
	}
	scale, zero = Scale(lo, hi)
	quantize(level, dst, x, scale, int32(zero), false, threads)
	return scale, zero
}

// DynamicRows is Dynamic for a matrix of rows of cols values whose range is known (see
// Dequant.Range). Threads share it out as they do the product that made it.
func DynamicRows(dst []byte, x []float32, cols int, within [2]float32, threads int) (scale float32, zero uint8) {
	return dynamicRows(isa.Current().Level, dst, x, cols, within, threads)
}

func dynamicRows(level isa.Level, dst []byte, x []float32, cols int, within [2]float32, threads int) (scale float32, zero uint8) {
	if len(dst) < len(x) || cols < 1 || len(x)%cols != 0 {
		panic(fmt.Sprintf("BUG: quant: %d values in rows of %d to %d", len(x), cols, len(dst)))
	}
	scale, zero = Scale(within[0], within[1])
	if level != isa.Generic && len(x) > 0 {
		quantizeRowsNative(level, dst, x, cols, scale, zero, threads)
	} else {
		quantizeGeneric(dst, x, scale, int32(zero), false)
	}
	return scale, zero
}

// Scale is the scale and zero point of DynamicQuantizeLinear for data within
// lo ≤ 0 ≤ hi. An empty range has scale 1, so that nothing divides by 0.
func Scale(lo, hi float32) (scale float32, zero uint8) {
	scale = (hi - lo) / 255
	if scale == 0 {
		return 1, 0
	}
	z := math.RoundToEven(float64(-lo / scale))
	return scale, uint8(max(0, min(255, z)))
}

// Quantize sets dst = saturate(round(x/scale) + zero), halves to even, to int8
// if signed and uint8 otherwise.
func Quantize(dst []byte, x []float32, scale float32, zero int32, signed bool, threads int) {
	quantize(isa.Current().Level, dst, x, scale, zero, signed, threads)
}

func quantize(level isa.Level, dst []byte, x []float32, scale float32, zero int32, signed bool, threads int) {
	if len(dst) < len(x) {
		panic(fmt.Sprintf("BUG: quant: dst has %d of %d", len(dst), len(x)))
	}
	if level != isa.Generic && len(x) > 0 {
		quantizeNative(level, dst, x, scale, zero, signed, threads)
		return
	}
	quantizeGeneric(dst, x, scale, zero, signed)
}

// Dequantize sets dst = (x − zero) · scale.
func Dequantize(dst []float32, x []byte, scale float32, zero int32, signed bool, threads int) {
	dequantize(isa.Current().Level, dst, x, scale, zero, signed, threads)
}

func dequantize(level isa.Level, dst []float32, x []byte, scale float32, zero int32, signed bool, threads int) {
	if len(dst) < len(x) {
		panic(fmt.Sprintf("BUG: quant: dst has %d of %d", len(dst), len(x)))
	}
	if level != isa.Generic && len(x) > 0 {
		dequantizeNative(level, dst, x, scale, zero, signed, threads)
		return
	}
	dequantizeGeneric(dst, x, scale, zero, signed)
}
