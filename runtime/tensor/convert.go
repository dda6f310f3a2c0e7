package tensor

import "math"

// Float16ToFloat32 widens an IEEE 754 binary16.
func Float16ToFloat32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 0x1f
	man := uint32(h) & 0x3ff
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
	case man == 0:
		return math.Float32frombits(sign)
	}
	f := float32(man) * (1.0 / (1 << 24))
	return math.Float32frombits(math.Float32bits(f) | sign)
}

// Float32ToFloat16 rounds to the nearest binary16, ties to even; NaN stays NaN.
func Float32ToFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00 | uint16(b>>13)&0x1ff
	case b >= 0x477ff000: // rounds to or beyond 65520
		return sign | 0x7c00
	case b >= 0x38800000: // normal in binary16
		b += 0xc8000fff + (b>>13)&1
		return sign | uint16(b>>13)
	case b < 0x33000000: // below half of the least subnormal
		return sign
	}
	e := b >> 23
	m := b&0x7fffff | 0x800000
	shift := 126 - e
	half := uint32(1) << (shift - 1)
	r := m >> shift
	if rem := m & (1<<shift - 1); rem > half || rem == half && r&1 == 1 {
		r++
	}
	return sign | uint16(r)
}

// BFloat16ToFloat32 widens a bfloat16.
func BFloat16ToFloat32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// Float32ToBFloat16 rounds to the nearest bfloat16, ties to even; NaN stays NaN.
func Float32ToBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + (b>>16)&1) >> 16)
}
