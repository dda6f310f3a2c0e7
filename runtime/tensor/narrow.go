package tensor

import (
	"fmt"
	"math"
)

// minifloat describes a binary floating-point format of at most 16 bits: its code is
// sign, exponent, mantissa from the top. The formats of 8 bits are those of "FP8 formats
// for deep learning" (arXiv 2209.05433, E4M3FN and E5M2) and "8-bit numerical formats
// for deep neural networks" (arXiv 2206.02915, the FNUZ ones); 6 and 4 bits: OCP MX 1.0.
type minifloat struct {
	bits, man int
	bias      int
	top       uint16 // code of the greatest finite number
	inf       uint16 // code of +Inf; 0 if there is none
	nan       uint16 // code of a NaN, sign included; −0 for formats that have none
	unsigned0 bool   // zero has no sign: its negative code is the NaN
	finite    bool   // what overflows saturates always
}

var (
	formatE4M3FN   = minifloat{bits: 8, man: 3, bias: 7, top: 0x7e, nan: 0x7f}
	formatE4M3FNUZ = minifloat{bits: 8, man: 3, bias: 8, top: 0x7f, nan: 0x80, unsigned0: true}
	formatE5M2     = minifloat{bits: 8, man: 2, bias: 15, top: 0x7b, inf: 0x7c, nan: 0x7f}
	formatE5M2FNUZ = minifloat{bits: 8, man: 2, bias: 16, top: 0x7f, nan: 0x80, unsigned0: true}
	formatE2M1     = minifloat{bits: 4, man: 1, bias: 1, top: 0x7, nan: 0x8, finite: true}
	formatE2M3     = minifloat{bits: 6, man: 3, bias: 1, top: 0x1f, nan: 0x20, finite: true}
	formatE3M2     = minifloat{bits: 6, man: 2, bias: 3, top: 0x1f, nan: 0x20, finite: true}
	formatHalf     = minifloat{bits: 16, man: 10, bias: 15, top: 0x7bff, inf: 0x7c00, nan: 0x7e00}
	formatBFloat16 = minifloat{bits: 16, man: 7, bias: 127, top: 0x7f7f, inf: 0x7f80, nan: 0x7fc0}
)

func formatOf(d DType) *minifloat {
	switch d {
	case Float8E4M3FN:
		return &formatE4M3FN
	case Float8E4M3FNUZ:
		return &formatE4M3FNUZ
	case Float8E5M2:
		return &formatE5M2
	case Float8E5M2FNUZ:
		return &formatE5M2FNUZ
	case Float4E2M1:
		return &formatE2M1
	case Float6E2M3:
		return &formatE2M3
	case Float6E3M2:
		return &formatE3M2
	case Float16:
		return &formatHalf
	case BFloat16:
		return &formatBFloat16
	}
	return nil
}

// round gives the code nearest to f, ties to even. With saturate, what lies beyond the
// greatest finite number, infinities too, becomes that number.
func (m *minifloat) round(f float64, saturate bool) uint16 {
	if f != f {
		return m.nan
	}
	sign := uint16(0)
	if math.Signbit(f) {
		sign = 1 << (m.bits - 1)
	}
	a := math.Abs(f)
	code := uint64(m.top) + 1
	if !math.IsInf(a, 0) {
		emin := 1 - m.bias
		e := max(int(math.Float64bits(a)>>52)-1023, emin)
		scale := math.Float64frombits(uint64(1023+m.man-e) << 52)
		// A mantissa that rounds up to the next power of two carries into the exponent.
		code = uint64(e-emin)<<m.man + uint64(math.RoundToEven(a*scale))
	}
	switch {
	case code <= uint64(m.top):
	case saturate || m.finite:
		code = uint64(m.top)
	case m.inf != 0:
		code = uint64(m.inf)
	case m.unsigned0:
		return m.nan
	default:
		code = uint64(m.nan)
	}
	if code == 0 && m.unsigned0 {
		return 0
	}
	return uint16(code) | sign
}

func (m *minifloat) widen(code uint16) float32 {
	signBit := uint16(1) << (m.bits - 1)
	mag := code &^ signBit
	s := float32(1)
	if code&signBit != 0 {
		s = -1
	}
	switch {
	case m.unsigned0 && code == signBit:
		return float32(math.NaN())
	case m.inf != 0 && mag == m.inf:
		return float32(math.Inf(int(s)))
	case mag > m.top:
		return float32(math.NaN())
	}
	e, frac := int(mag>>m.man), int(mag&(1<<m.man-1))
	if e == 0 {
		e = 1
	} else {
		frac |= 1 << m.man
	}
	return s * float32(math.Ldexp(float64(frac), e-m.bias-m.man))
}

// narrowTables hold the values of all codes of the types of at most 8 bits.
var narrowTables = func() (t [numDTypes]*[256]float32) {
	for _, d := range []DType{Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float6E2M3, Float6E3M2} {
		t[d] = new([256]float32)
		for c := range 1 << d.Bits() {
			t[d][c] = formatOf(d).widen(uint16(c))
		}
	}
	t[Float8E8M0] = new([256]float32)
	for c := range 255 {
		t[Float8E8M0][c] = float32(math.Ldexp(1, c-127))
	}
	t[Float8E8M0][255] = float32(math.NaN())
	for c := range 16 {
		for _, d := range []DType{Int4, Uint4, Int2, Uint2} {
			if t[d] == nil {
				t[d] = new([256]float32)
			}
			t[d][c] = float32(signExtend(d, uint8(c)))
		}
	}
	return t
}()

// NarrowTable gives the value of every code of a type of at most 8 bits that Go has no
// type for (floats of 8, 6 and 4 bits, integers of 4 and 2 bits); nil for other types.
// The table must not be written.
func NarrowTable(d DType) *[256]float32 {
	if d >= numDTypes {
		return nil
	}
	return narrowTables[d]
}

func signExtend(d DType, code uint8) int8 {
	w := 8 - d.Bits()
	if d.IsSigned() {
		return int8(code<<w) >> w
	}
	return int8(code << w >> w)
}

// RoundFloat gives the code of the number nearest to f in a floating-point type of at
// most 16 bits (E8M0 has RoundE8M0). Ties go to even. Without saturate, what overflows
// becomes an infinity where the type has one, else a NaN; with it, or in types of 6 and 4
// bits, which have neither, the greatest finite number. There a NaN becomes −0. It panics
// on other types.
func RoundFloat(d DType, f float64, saturate bool) uint16 {
	m := formatOf(d)
	if m == nil {
		panic(fmt.Sprintf("BUG: RoundFloat to %v", d))
	}
	return m.round(f, saturate)
}

// RoundMode says how E8M0, whose numbers are the powers of two, rounds.
type RoundMode uint8

// The round modes of ONNX' Cast.
const (
	RoundUp RoundMode = iota
	RoundDown
	RoundNearest
)

// ParseRoundMode reads the attribute round_mode.
func ParseRoundMode(s string) (RoundMode, error) {
	switch s {
	case "up":
		return RoundUp, nil
	case "down":
		return RoundDown, nil
	case "nearest":
		return RoundNearest, nil
	}
	return 0, fmt.Errorf("round_mode is %q, expected up, down or nearest", s)
}

// RoundE8M0 gives the code of a power of two near |f|: the exponent of its float32,
// rounded by its mantissa. Infinities and NaN give the NaN. With saturate, what would
// round beyond 2¹²⁷ stays there.
func RoundE8M0(f float32, saturate bool, mode RoundMode) uint8 {
	b := math.Float32bits(f)
	e, man := b>>23&0xff, b&0x7fffff
	if e == 0xff {
		return 0xff
	}
	up := false
	switch mode {
	case RoundUp:
		up = man > 0
	case RoundNearest:
		up = man > 0x400000 || man == 0x400000 && e > 0
	}
	if up && !(saturate && e == 0xfe) {
		e++
	}
	return uint8(e)
}

// Unpack gives the codes of a tensor with elements narrower than a byte, one a byte, the
// upper bits zero. For types of 8 bits it shares the memory.
func Unpack(t *Tensor) []uint8 {
	bits := t.DType.Bits()
	src := Data[uint8](t)
	if bits == 8 {
		return src
	}
	n := t.Elements()
	out := make([]uint8, n)
	per, mask := 8/bits, uint8(1)<<bits-1
	if bits == 6 {
		for i := range out {
			at, shift := i*6/8, i*6%8
			v := uint16(src[at])
			if shift > 2 {
				v |= uint16(src[at+1]) << 8
			}
			out[i] = uint8(v>>shift) & mask
		}
		return out
	}
	for i := range out {
		out[i] = src[i/per] >> (i % per * bits) & mask
	}
	return out
}

// Pack is the inverse of Unpack: it writes as many codes as t has elements, upper bits
// ignored.
func Pack(t *Tensor, codes []uint8) {
	bits := t.DType.Bits()
	dst := Data[uint8](t)
	if bits == 8 {
		copy(dst, codes)
		return
	}
	per, mask := 8/bits, uint8(1)<<bits-1
	clear(dst)
	if bits == 6 {
		for i, c := range codes[:t.Elements()] {
			at, shift := i*6/8, i*6%8
			v := uint16(c&mask) << shift
			dst[at] |= uint8(v)
			if shift > 2 {
				dst[at+1] |= uint8(v >> 8)
			}
		}
		return
	}
	for i, c := range codes[:t.Elements()] {
		dst[i/per] |= c & mask << (i % per * bits)
	}
}

func widenNarrow[W wide](out []W, t *Tensor) {
	tab := narrowTables[t.DType]
	for i, c := range Unpack(t) {
		out[i] = W(tab[c])
	}
}

// StoreFloats writes v into a floating-point tensor of as many elements, rounding to
// nearest even once, straight from V. saturate and mode are those of RoundFloat and
// RoundE8M0; float16 and wider never saturate.
func StoreFloats[V float32 | float64](t *Tensor, v []V, saturate bool, mode RoundMode) error {
	if len(v) != t.Elements() {
		return fmt.Errorf("%d values for %v", len(v), t)
	}
	switch t.DType {
	case Float32:
		for i, d := 0, Data[float32](t); i < len(d); i++ {
			d[i] = float32(v[i])
		}
	case Float64:
		for i, d := 0, Data[float64](t); i < len(d); i++ {
			d[i] = float64(v[i])
		}
	case Float16, BFloat16:
		m := formatOf(t.DType)
		for i, d := 0, Data[uint16](t); i < len(d); i++ {
			d[i] = m.round(float64(v[i]), false)
		}
	case Float8E8M0:
		for i, d := 0, Data[uint8](t); i < len(d); i++ {
			d[i] = RoundE8M0(float32(v[i]), saturate, mode)
		}
	case Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float6E2M3, Float6E3M2:
		m := formatOf(t.DType)
		codes := make([]uint8, len(v))
		for i, f := range v {
			codes[i] = uint8(m.round(float64(f), saturate))
		}
		Pack(t, codes)
	default:
		return fmt.Errorf("expected a floating-point tensor, got %v", t)
	}
	return nil
}

// StoreInt64s writes v into an integer or Bool tensor of as many elements. Integers keep
// the low bits (Uint64 the same bits), Bool is v ≠ 0.
func StoreInt64s(t *Tensor, v []int64) error {
	if len(v) != t.Elements() {
		return fmt.Errorf("%d values for %v", len(v), t)
	}
	switch t.DType {
	case Bool:
		for i, d := 0, Data[bool](t); i < len(d); i++ {
			d[i] = v[i] != 0
		}
	case Uint8, Int8:
		narrowInts(Data[uint8](t), v)
	case Uint16, Int16:
		narrowInts(Data[uint16](t), v)
	case Uint32, Int32:
		narrowInts(Data[uint32](t), v)
	case Uint64, Int64:
		narrowInts(Data[uint64](t), v)
	case Int4, Uint4, Int2, Uint2:
		codes := make([]uint8, len(v))
		narrowInts(codes, v)
		Pack(t, codes)
	default:
		return fmt.Errorf("expected an integer tensor, got %v", t)
	}
	return nil
}

func narrowInts[T uint8 | uint16 | uint32 | uint64](dst []T, v []int64) {
	for i := range dst {
		dst[i] = T(v[i])
	}
}
