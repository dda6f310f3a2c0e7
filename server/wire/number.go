package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/aimass/aimass/kernels/numeral"
	"github.com/aimass/aimass/runtime/tensor"
)

// decimal is a JSON number: ±mant·10^exp, in text up to end. end is -1 where the text is not a number. It has no more
// than four fields, so that the compiler keeps it in registers.
type decimal struct {
	mant  uint64
	exp   int
	end   int
	flags uint
}

// Flags of a decimal.
const (
	negative = 1 << iota
	fraction // the text has a fraction or an exponent
	long     // there are more than 19 significant digits, so mant does not hold them all
)

func (d decimal) neg() bool     { return d.flags&negative != 0 }
func (d decimal) integer() bool { return d.flags&fraction == 0 }
func (d decimal) long() bool    { return d.flags&long != 0 }

const maxDigits = 19 // any number of so many digits fits in 64 bits

// scanDecimal reads the number at b[i], by the grammar of RFC 8259. Where data vary (sign, zero before the point, count of
// digits) it avoids branches, which would be mispredicted.
func scanDecimal(b []byte, i int) decimal {
	if i >= len(b) {
		return decimal{end: -1}
	}
	flags := uint(uint32(b[i]^'-')-1) >> 31 & negative
	i += int(flags)
	start := i
	i, mant := digits(b, i, 0)
	count := i - start
	if count == 0 || count > 1 && b[start] == '0' {
		return decimal{end: -1}
	}
	exp := 0
	if i < len(b) && b[i] == '.' {
		flags |= fraction
		from := i + 1
		i, mant = digits(b, from, mant)
		if i == from {
			return decimal{end: -1}
		}
		exp = from - i
		count -= exp
	}
	if count > maxDigits && significant(b[start:i]) > maxDigits {
		flags |= long
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		flags |= fraction
		var e int
		if e, i = scanExponent(b, i+1); i < 0 {
			return decimal{end: -1}
		}
		exp += e
	}
	return decimal{mant, exp, i, flags}
}

// significant counts the digits from the first that is not zero.
func significant(text []byte) int {
	n := 0
	for _, c := range text {
		if c != '.' && (n > 0 || c != '0') {
			n++
		}
	}
	return n
}

// scanExponent reads the part of a number after its e; end is -1 where there are no digits. Beyond ±10^6 it saturates.
func scanExponent(b []byte, i int) (e, end int) {
	neg := false
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		neg = b[i] == '-'
		i++
	}
	from := i
	for i < len(b) && b[i]-'0' <= 9 {
		if e < 1e6 {
			e = e*10 + int(b[i]-'0')
		}
		i++
	}
	if i == from {
		return 0, -1
	}
	if neg {
		e = -e
	}
	return e, i
}

// digits reads decimal digits into mant, modulo 2^64.
func digits(b []byte, i int, mant uint64) (int, uint64) {
	for i+8 <= len(b) {
		v := binary.LittleEndian.Uint64(b[i:]) ^ 0x3030303030303030
		// The top bit of each byte that is no digit; a carry can spoil only bytes behind the first of them.
		other := (v + 0x7676767676767676 | v) & 0x8080808080808080
		if other == 0 {
			mant = mant*100000000 + join(v)
			i += 8
			continue
		}
		n := bits.TrailingZeros64(other) >> 3
		// Shifted to the end of eight digits, after zeros; twice, since a shift by 64 must give 0 without a branch.
		v = v << (32 - 4*n) << (32 - 4*n)
		return i + n, mant*smallPow10[n&7] + join(v)
	}
	for i < len(b) {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		mant = mant*10 + uint64(c)
		i++
	}
	return i, mant
}

var smallPow10 = [8]uint64{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000}

// join makes a number of eight digits, the first in the lowest byte: pairs, fours and eights are joined by
// multiplications that add 10, 100, 10000 times the earlier part.
func join(v uint64) uint64 {
	v = v*10 + v>>8
	return (v&0x000000ff000000ff*0x000f424000000064 + v>>16&0x000000ff000000ff*0x0000271000000001) >> 32
}

// toFloat32 returns the bits of the float32 nearest to mant·10^exp, ties to even. ok is false where a 64-bit
// approximation can't decide or the result is not a normal number.
//
// After Lemire, "Number Parsing at a Gigabyte per Second" (2021), with one multiplication: the true product lies between
// hi and hi+2 in units of 2^64, so rounding hi is right unless its remainder lies just below or on a half.
func toFloat32(mant uint64, exp int) (b uint32, ok bool) {
	if mant == 0 {
		return 0, true
	}
	if exp < numeral.MinPower || exp > numeral.MaxPower {
		return 0, false
	}
	lz := bits.LeadingZeros64(mant)
	hi, _ := bits.Mul64(mant<<lz, numeral.Powers[exp-numeral.MinPower])
	upper := int(hi >> 63)
	shift := uint(39 + upper)
	m := hi >> shift
	rest := hi & (1<<shift - 1)
	half := uint64(1) << (shift - 1)
	if rest-(half-2) <= 2 {
		return 0, false
	}
	// floor(log2(10^q)) is 217706·q >> 16 in the table's range.
	biased := (217706*exp)>>16 - 63 + 64 - lz + int(shift) + 150
	if biased < 1 || biased > 254 {
		return 0, false
	}
	b = uint32(biased-1)<<23 + uint32(m) + uint32((half-rest)>>63)
	return b, b < 0x7f800000
}

// parseFloat32 gives the bits of the number's nearest float32; ok is false where it is too large for one. text is the
// number as written.
func (d decimal) parseFloat32(text []byte) (b uint32, ok bool) {
	b, ok = toFloat32(d.mant, d.exp)
	if !ok || d.long() {
		f, err := strconv.ParseFloat(unsafeString(text), 32)
		return math.Float32bits(float32(f)), err == nil
	}
	return b | uint32(d.flags&negative)<<31, true
}

// exactPow10 are the powers of ten that a float64 holds exactly.
var exactPow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseFloat64 gives the number's nearest float64; ok is false where it is too large for one.
//
// Where both operands are exact, one multiplication or division rounds once (Clinger, "How to Read Floating Point
// Numbers Accurately", 1990).
func (d decimal) parseFloat64(text []byte) (f float64, ok bool) {
	if !d.long() && d.mant < 1<<53 && d.exp >= -22 && d.exp <= 22 {
		f = float64(d.mant)
		if d.exp < 0 {
			f /= exactPow10[-d.exp]
		} else {
			f *= exactPow10[d.exp]
		}
		if d.neg() {
			f = -f
		}
		return f, true
	}
	f, err := strconv.ParseFloat(unsafeString(text), 64)
	return f, err == nil
}

// unsafeString views b, which must not change while the result is used.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// FindNotFinite returns the index of the first element that is NaN or infinite, -1 where there is none or the type has
// none. data are little-endian.
func FindNotFinite(d tensor.DType, data []byte) int {
	switch d {
	case tensor.Float32:
		for i := 0; i+4 <= len(data); i += 4 {
			if binary.LittleEndian.Uint32(data[i:])&0x7f800000 == 0x7f800000 {
				return i / 4
			}
		}
	case tensor.Float64:
		for i := 0; i+8 <= len(data); i += 8 {
			if binary.LittleEndian.Uint64(data[i:])&0x7ff0000000000000 == 0x7ff0000000000000 {
				return i / 8
			}
		}
	case tensor.Float16, tensor.BFloat16:
		exponent := uint16(0x7c00)
		if d == tensor.BFloat16 {
			exponent = 0x7f80
		}
		for i := 0; i+2 <= len(data); i += 2 {
			if binary.LittleEndian.Uint16(data[i:])&exponent == exponent {
				return i / 2
			}
		}
	}
	return -1
}
