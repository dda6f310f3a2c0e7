package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/aimass/aimass/kernels/numeral"
)

// roomFloat32 bounds the length of a float32's text, and of what its writer may touch behind it.
const roomFloat32 = 40

// appendFloat32 appends the shortest decimal that reads back as f, or a literal for NaN and the infinities.
func appendFloat32(dst []byte, f float32) []byte {
	n := len(dst)
	dst = slices.Grow(dst, roomFloat32)[:n+roomFloat32]
	return dst[:n+putFloat32(dst[n:], math.Float32bits(f))]
}

// putFloat32 writes the float32 with bits b to dst, which has room for roomFloat32 bytes, and returns the length.
func putFloat32(dst []byte, b uint32) int {
	if b&0x7f800000 == 0x7f800000 {
		return len(appendNotFinite(dst[:0], float64(math.Float32frombits(b))))
	}
	sign := int(b >> 31)
	dst[0] = '-'
	b &= 0x7fffffff
	if b == 0 {
		copy(dst[sign:], "0.0") // after a sign all of it: an integer would lose the sign in many readers
		return 1 + 3*sign
	}
	digits, k := shortest32(b)
	return sign + putDecimal(dst[sign:], digits, k)
}

// shortest32 gives the shortest digits·10^k within the rounding interval of the positive float32 with bits b; among
// several the one closest to it. digits may end in zeros.
//
// Giulietti, "The Schubfach way to render doubles" (2020), for 32 bits. The interval's ends and the value are scaled by
// four, so that all three are integers.
func shortest32(b uint32) (digits uint32, k int) {
	c, q := b&0x7fffff, int(b>>23)
	closer := 0 // 1: the lower neighbour is at half the distance
	if q == 0 {
		q = 1
	} else {
		if c == 0 && q > 1 {
			closer = 1
		}
		c |= 0x800000
	}
	q -= 150
	odd := c & 1

	// floor(log10(2^q)), or floor(log10(3/4·2^q)) where the interval is narrower.
	k = (q*1262611 - closer*524031) >> 22
	// 217706 >> 16 approximates log2(10) well enough for the table's range.
	h := uint(q + (-k*217706)>>16 + 1)
	g := numeral.Powers[-k-numeral.MinPower]
	if -k < 0 || -k > 27 {
		g++ // the method needs the power rounded up; from 0 to 27 it is exact
	}
	low := scale(g, (4*c-2+uint32(closer))<<h) + odd
	val := scale(g, 4*c<<h)
	high := scale(g, (4*c+2)<<h) - odd

	// A digit fewer, if one of the two candidates lies inside the interval. No branches from here on: they would be mispredicted.
	s := val / 4
	t := s / 10
	up := less(high, 40*t+40) ^ 1
	short := (less(40*t, low) ^ 1 ^ up) & less(9, s)
	fewer := t + up
	// Else, of two the one inside the interval, or if both or none are, the nearer.
	up = less(high, 4*s+4) ^ 1
	one := less(4*s, low) ^ 1 ^ up
	mid := 4*s + 2
	nearer := less(mid, val+s&1)
	all := s + (one&up | (one^1)&nearer)
	return fewer&-short | all&(short-1), k + int(short)
}

// less is 1 where a < b, else 0.
func less(a, b uint32) uint32 {
	var r uint32
	if a < b {
		r = 1
	}
	return r
}

// scale returns g·cp / 2^64, rounded to odd.
func scale(g uint64, cp uint32) uint32 {
	hi, lo := bits.Mul64(g, uint64(cp))
	if lo>>32 > 1 {
		hi |= 1
	}
	return uint32(hi)
}

// putDecimal writes digits·10^k to dst, plain from 1e-6 up to 1e21, as JavaScript does, else with an exponent, and returns
// the length. digits are at most nine; up to roomFloat32-1 bytes of dst may be overwritten.
func putDecimal(dst []byte, digits uint32, k int) int {
	for digits%10 == 0 {
		digits /= 10
		k++
	}
	// The digits stay in registers, the first eight in text and the ninth in last: a load that overlaps two earlier stores
	// would stall.
	text := split(digits%1e8) | 0x3030303030303030
	last := text >> 56
	n := countDigits(digits)
	nine := -uint64(less(1e8-1, digits))
	text = (text<<8|uint64('0'+digits/1e8))&nine | text>>(uint(64-8*n)&63)&^nine
	point := n + k // digits before the decimal point
	switch {
	case point > 21 || point < -5:
		return putExponent(dst, text, last, n, point-1)
	case point <= 0:
		binary.LittleEndian.PutUint64(dst, leadingZeros)
		binary.LittleEndian.PutUint64(dst[2-point:], text)
		dst[10-point] = byte(last)
		return 2 - point + n
	}
	binary.LittleEndian.PutUint64(dst, text)
	dst[8] = byte(last)
	if k >= 0 {
		copy(dst[n:], "00000000000000000000"[:k])
		return point
	}
	binary.LittleEndian.PutUint64(dst[point+1:], text>>(8*point)|last<<(64-8*point))
	dst[point] = '.'
	return n + 1
}

const leadingZeros = 0x303030303030_2e30 // 0.000000

func putExponent(dst []byte, text, last uint64, n, exp int) int {
	dst[0] = byte(text)
	end := 1
	if n > 1 {
		dst[1] = '.'
		binary.LittleEndian.PutUint64(dst[2:], text>>8|last<<56)
		end = n + 1
	}
	dst[end] = 'e'
	return len(strconv.AppendInt(dst[:end+1], int64(exp), 10))
}

// split is the inverse of join: v < 10^8 as eight digits, the first in the lowest byte. Each step divides by a power of ten
// through a multiplication with its rounded reciprocal, in two and then four lanes.
func split(v uint32) uint64 {
	high := uint64(v / 10000)
	x := high | (uint64(v)-high*10000)<<32
	q := x * 10486 >> 20 & 0x0000007f0000007f // /100, exact below 10^4
	x = q | (x-q*100)<<16
	q = x * 103 >> 10 & 0x000f000f000f000f // /10, exact below 100
	return q | (x-q*10)<<8
}

// countDigits returns the number of decimal digits of v > 0.
func countDigits(v uint32) int {
	// The first guess from the length in bits is right or one too low.
	guess := bits.Len32(v) * 1233 >> 12
	if v >= powers32[guess] {
		guess++
	}
	return guess
}

var powers32 = [...]uint32{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000}

// appendFloat64 appends the shortest decimal that reads back as f, or a literal for NaN and the infinities.
func appendFloat64(dst []byte, f float64) []byte {
	a := math.Abs(f)
	switch {
	case !(a <= math.MaxFloat64):
		return appendNotFinite(dst, f)
	case f == 0 && math.Signbit(f):
		return append(dst, "-0.0"...)
	case a != 0 && (a < 1e-6 || a >= 1e21):
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func appendNotFinite(dst []byte, f float64) []byte {
	switch {
	case f > 0:
		return append(dst, "Infinity"...)
	case f < 0:
		return append(dst, "-Infinity"...)
	}
	return append(dst, "NaN"...)
}

// appendFloat32s appends little-endian elements, with commas between them.
func appendFloat32s(dst, data []byte) []byte {
	const step = 256 // elements for which to make room at once
	for len(data) >= 4 {
		n := len(dst)
		part := data[:min(len(data)&^3, 4*step)]
		data = data[len(part):]
		room := len(part) / 4 * (roomFloat32 + 1)
		dst = slices.Grow(dst, room)[:n+room]
		for several := true; len(part) > 0; {
			if several {
				done, size := numeral.WriteFloat32s(dst[n:], part)
				part, n = part[4*done:], n+size
				if several = done >= numeral.Least; len(part) == 0 {
					break
				}
			}
			n += putFloat32(dst[n:], binary.LittleEndian.Uint32(part))
			part = part[4:]
			dst[n] = ','
			n++
		}
		if len(data) < 4 {
			n--
		}
		dst = dst[:n]
	}
	return dst
}
