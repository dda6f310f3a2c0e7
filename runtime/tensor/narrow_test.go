package tensor

import (
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/internal/half"
)

func TestNarrowRoundTrip(t *testing.T) {
	for _, d := range []DType{Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float6E2M3, Float6E3M2} {
		tab := NarrowTable(d)
		for c := range 1 << d.Bits() {
			f := float64(tab[c])
			got := RoundFloat(d, f, false)
			if got != uint16(c) && !(f != f && tab[got] != tab[got]) {
				t.Errorf("%v code %#x is %v, which rounds to %#x", d, c, f, got)
			}
		}
	}
	for h := range 1 << 16 {
		f := half.ToFloat32(uint16(h))
		if got := RoundFloat(Float16, float64(f), false); got != uint16(h) && f == f {
			t.Fatalf("float16 %#x is %v, which rounds to %#x", h, f, got)
		}
		f = half.BrainToFloat32(uint16(h))
		if got := RoundFloat(BFloat16, float64(f), false); got != uint16(h) && f == f {
			t.Fatalf("bfloat16 %#x is %v, which rounds to %#x", h, f, got)
		}
	}
}

// Rounding must pick the nearest number: the table of all numbers says which it is.
func TestNarrowRoundsToNearest(t *testing.T) {
	for _, d := range []DType{Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float6E2M3, Float6E3M2} {
		tab := NarrowTable(d)
		for i := -2000; i <= 2000; i++ {
			f := float64(i) / 977 * float64(tab[formatOf(d).top]) / 3
			got := float64(tab[RoundFloat(d, f, true)])
			best := math.Inf(1)
			for c := range 1 << d.Bits() {
				v := float64(tab[c])
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					best = min(best, math.Abs(v-f))
				}
			}
			if math.Abs(got-f) != best {
				t.Fatalf("%v: %v became %v, %v away; nearest is %v away", d, f, got, math.Abs(got-f), best)
			}
		}
	}
}

func TestNarrowOverflow(t *testing.T) {
	f := func(d DType, in float64, saturate bool, want uint16) {
		t.Helper()
		if got := RoundFloat(d, in, saturate); got != want {
			t.Errorf("%v %v saturate=%v: got %#x, want %#x", d, in, saturate, got, want)
		}
	}
	inf := math.Inf(1)
	f(Float8E4M3FN, 464, true, 0x7e) // tie between 448 and 480, to even
	f(Float8E4M3FN, 464, false, 0x7e)
	f(Float8E4M3FN, 465, false, 0x7f)
	f(Float8E4M3FN, -465, true, 0xfe)
	f(Float8E4M3FN, -inf, false, 0xff)
	f(Float8E4M3FNUZ, 1e6, false, 0x80)
	f(Float8E4M3FNUZ, inf, true, 0x7f)
	f(Float8E4M3FNUZ, -1e-9, true, 0)
	f(Float8E5M2, 1e6, false, 0x7c)
	f(Float8E5M2, -inf, false, 0xfc)
	f(Float8E5M2, inf, true, 0x7b)
	f(Float8E5M2FNUZ, math.NaN(), true, 0x80)
	f(Float4E2M1, 1e6, false, 7)
	f(Float4E2M1, 0.25, false, 0)
	f(Float4E2M1, 0.75, false, 2)
	f(Float4E2M1, math.NaN(), false, 8)
	f(Float6E2M3, 1e9, false, 0x1f)
	f(Float6E3M2, math.Inf(-1), false, 0x3f)
	f(Float6E3M2, math.NaN(), true, 0x20)
	f(Float6E2M3, 0.0625, true, 0) // tie between 0 and the least subnormal
	f(Float16, 65520, true, 0x7bff)
	f(Float16, 1+1.0/2048+1e-12, false, 0x3c01) // through float32 the tie would go down
}

func TestE8M0(t *testing.T) {
	f := func(in float32, mode RoundMode, want uint8) {
		t.Helper()
		if got := RoundE8M0(in, true, mode); got != want {
			t.Errorf("%v mode %d: got %d, want %d", in, mode, got, want)
		}
	}
	f(1, RoundUp, 127)
	f(1.1, RoundUp, 128)
	f(1.1, RoundDown, 127)
	f(1.5, RoundNearest, 128)
	f(1.49, RoundNearest, 127)
	f(-4, RoundUp, 129)
	f(0, RoundUp, 0)
	f(math.MaxFloat32, RoundUp, 254)
	f(float32(math.Inf(1)), RoundDown, 255)
	if got := RoundE8M0(math.MaxFloat32, false, RoundUp); got != 255 {
		t.Errorf("without saturation: %d", got)
	}
}

func TestPackedIntegers(t *testing.T) {
	f := func(d DType, in, want []int64) {
		t.Helper()
		x := New(d, Shape{len(in)})
		if err := StoreInt64s(x, in); err != nil {
			t.Fatal(err)
		}
		got, err := Int64s(x)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: got %v (%v), want %v", d, got, err, want)
		}
	}
	f(Int4, []int64{-9, -8, -1, 0, 7, 8, 15}, []int64{7, -8, -1, 0, 7, -8, -1})
	f(Uint4, []int64{-9, 0, 15, 16, 17}, []int64{7, 0, 15, 0, 1})
	f(Int2, []int64{-3, -2, -1, 0, 1, 2, 3}, []int64{1, -2, -1, 0, 1, -2, -1})
	f(Uint2, []int64{-3, 3, 4, 5}, []int64{1, 3, 0, 1})
	f(Int8, []int64{-129, 255}, []int64{127, -1})
	six := New(Float6E2M3, Shape{5})
	Pack(six, []uint8{0xc1, 0x3f, 0, 0x2a, 0x15})
	if b := six.Bytes(); len(b) != 4 || b[0] != 0xc1 || b[1] != 0x0f || b[2] != 0xa8 || b[3] != 0x15 {
		t.Errorf("packed % x", b)
	}
	if got := Unpack(six); !slices.Equal(got, []uint8{1, 0x3f, 0, 0x2a, 0x15}) {
		t.Errorf("unpacked % x", got)
	}
	x := New(Uint4, Shape{3})
	Pack(x, []uint8{0xf1, 2, 3})
	if b := x.Bytes(); b[0] != 0x21 || b[1] != 3 {
		t.Errorf("packed % x", b)
	}
}

func TestONNXTypes(t *testing.T) {
	for d := Bool; d < numDTypes; d++ {
		if got, ok := FromONNX(d.ONNX()); !ok || got != d {
			t.Errorf("%v is %d, which is %v", d, d.ONNX(), got)
		}
	}
	if d, ok := FromONNX(0); ok {
		t.Errorf("0 is %v", d)
	}
	if d, ok := FromONNXName("DOUBLE"); !ok || d != Float64 {
		t.Errorf("DOUBLE is %v", d)
	}
}
