// Package half converts between float32 and the two formats of 16 bits: IEEE 754 binary16 (FP16) and bfloat16
// (BF16), the upper half of a float32. Narrowing rounds to nearest, ties to even; what is too large becomes
// infinite, and NaN stays NaN. Every number of 16 bits is exact in float32, so widening and narrowing again gives
// it back; a signalling NaN comes back quiet, as from the processor's own instructions.
//
// kernels/coded does the same for many numbers at a time.
package half

import "math"

// ToFloat32 widens a binary16.
func ToFloat32(h uint16) float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, uint32(h)>>10&31, uint32(h&0x3ff)
	switch exp {
	case 0: // zero and subnormals, in units of 2^−24
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 31:
		if frac != 0 {
			frac |= 0x200
		}
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// FromFloat32 rounds to binary16.
func FromFloat32(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, bits := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case bits > 0x7f800000:
		return sign | 0x7e00 | uint16(bits>>13&0x1ff)
	case bits < 0x38800000: // below the least normal: in units of 2^−24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(bits))*0x1p24))
	}
	bits += 0xfff + bits>>13&1
	return sign | uint16((min(bits, 0x47800000)-0x38000000)>>13)
}

// BrainToFloat32 widens a bfloat16.
func BrainToFloat32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// BrainFromFloat32 rounds to bfloat16.
func BrainFromFloat32(x float32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
