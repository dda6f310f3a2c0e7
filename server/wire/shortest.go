package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// appendFloat32 appends the shortest decimal that reads back as f, or a literal for NaN and the infinities.
func appendFloat32(dst []byte, f float32) []byte {
	b := math.Float32bits(f)
	ieeeExp := int(b >> 23 & 0xff)
	if ieeeExp == 0xff {
		return appendNotFinite(dst, float64(f))
	}
	if b>>31 != 0 {
		dst = append(dst, '-')
	}
	b &= 0x7fffffff
	if b == 0 {
		if len(dst) > 0 && dst[len(dst)-1] == '-' {
			return append(dst, "0.0"...) // an integer would lose the sign in many readers
		}
		return append(dst, '0')
	}
	if e := ieeeExp - 127; e >= 0 && e < 24 {
		m := b&0x7fffff | 0x800000
		if m<<(8+e+1) == 0 || e == 23 {
			return strconv.AppendUint(dst, uint64(m>>(23-e)), 10)
		}
	}
	digits, k := shortest32(b)
	return appendDecimal(dst, digits, k)
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
	g := pow10[-k-minPow10]
	if -k < 0 || -k > 27 {
		g++ // the method needs the power rounded up; from 0 to 27 it is exact
	}
	low := scale(g, (4*c-2+uint32(closer))<<h) + odd
	val := scale(g, 4*c<<h)
	high := scale(g, (4*c+2)<<h) - odd

	s := val / 4
	if s >= 10 {
		t := s / 10
		down, up := low <= 40*t, 40*t+40 <= high
		if down != up {
			if up {
				t++
			}
			return t, k + 1
		}
	}
	down, up := low <= 4*s, 4*s+4 <= high
	if down != up {
		if up {
			s++
		}
		return s, k
	}
	if mid := 4*s + 2; val > mid || val == mid && s&1 == 1 {
		s++
	}
	return s, k
}

// scale returns g·cp / 2^64, rounded to odd.
func scale(g uint64, cp uint32) uint32 {
	hi, lo := bits.Mul64(g, uint64(cp))
	if lo>>32 > 1 {
		hi |= 1
	}
	return uint32(hi)
}

const digitPairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// appendDecimal appends digits·10^k: plain from 1e-6 up to 1e21, as JavaScript does, else with an exponent.
func appendDecimal(dst []byte, digits uint32, k int) []byte {
	for digits%10 == 0 {
		digits /= 10
		k++
	}
	var text [12]byte
	at := len(text)
	for digits >= 100 {
		at -= 2
		pair := digits % 100 * 2
		digits /= 100
		text[at], text[at+1] = digitPairs[pair], digitPairs[pair+1]
	}
	if digits >= 10 {
		at -= 2
		text[at], text[at+1] = digitPairs[digits*2], digitPairs[digits*2+1]
	} else {
		at--
		text[at] = '0' + byte(digits)
	}
	d := text[at:]
	point := len(d) + k // digits before the decimal point
	switch {
	case point > 21 || point < -5:
		dst = append(dst, d[0])
		if len(d) > 1 {
			dst = append(dst, '.')
			dst = append(dst, d[1:]...)
		}
		dst = append(dst, 'e')
		return strconv.AppendInt(dst, int64(point-1), 10)
	case point <= 0:
		dst = append(dst, "0.00000"[:2-point]...)
		return append(dst, d...)
	case k >= 0:
		dst = append(dst, d...)
		return append(dst, "000000000000000000000"[:k]...)
	}
	dst = append(dst, d[:point]...)
	dst = append(dst, '.')
	return append(dst, d[point:]...)
}

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
	for i := 0; i+4 <= len(data); i += 4 {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFloat32(dst, math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
	}
	return dst
}
