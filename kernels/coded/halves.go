package coded

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/isa"
)

// Widen converts halves, float16 or bfloat16, to floats.
func Widen(dst []float32, src []uint16, kind Kind, threads int) {
	widen(isa.Current().Level, dst, src, kind, threads)
}

func widen(level isa.Level, dst []float32, src []uint16, kind Kind, threads int) {
	checkHalves(len(dst), len(src), kind)
	if level != isa.Generic && len(src) > 0 {
		widenNative(level, dst, src, kind, threads)
		return
	}
	for i, h := range src {
		if kind == BFloat16 {
			dst[i] = math.Float32frombits(uint32(h) << 16)
		} else {
			dst[i] = half(h)
		}
	}
}

// Narrow converts floats to halves, ties to even. What is no number stays none, and what is too large becomes infinite.
func Narrow(dst []uint16, src []float32, kind Kind, threads int) {
	narrow(isa.Current().Level, dst, src, kind, threads)
}

func narrow(level isa.Level, dst []uint16, src []float32, kind Kind, threads int) {
	checkHalves(len(dst), len(src), kind)
	if level != isa.Generic && len(src) > 0 {
		narrowNative(level, dst, src, kind, threads)
		return
	}
	for i, x := range src {
		if kind == BFloat16 {
			dst[i] = toBrain(x)
		} else {
			dst[i] = toHalf(x)
		}
	}
}

func checkHalves(dst, src int, kind Kind) {
	if dst < src || kind < Float16 {
		panic(fmt.Sprintf("BUG: coded: %d of %d values of kind %d", dst, src, kind))
	}
}

// half is the value of a float16.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, h>>10&31, uint32(h&0x3ff)
	switch exp {
	case 0:
		x := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(x) | sign)
	case 31:
		if frac != 0 {
			frac |= 0x200
		}
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (uint32(exp)+112)<<23 | frac<<13)
}

// toHalf rounds to float16.
func toHalf(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, rest := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case rest > 0x7f800000:
		return sign | 0x7e00 | uint16(rest>>13&0x1ff)
	case rest < 0x38800000: // below the least normal: in units of 2^−24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(rest))*0x1p24))
	}
	rest += 0xfff + rest>>13&1
	return sign | uint16((min(rest, 0x47800000)-0x38000000)>>13)
}

// toBrain rounds to bfloat16.
func toBrain(x float32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
