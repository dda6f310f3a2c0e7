package half

import (
	"math"
	"testing"
)

// TestHalf goes through all of binary16 and bfloat16: widening is checked against the formats' definition, and narrowing
// must give back what was widened, and the nearer neighbour of what lies between.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		bits := uint16(h)
		f := ToFloat32(bits)
		exp, mant := int(bits>>10)&31, float64(bits&1023)
		want := math.Ldexp(1024+mant, exp-25)
		switch {
		case exp == 0:
			want = math.Ldexp(mant, -24)
		case exp == 31 && mant == 0:
			want = math.Inf(1)
		case exp == 31:
			if back := FromFloat32(f); f == f || back != bits|0x200 {
				t.Fatalf("%04x is %v and then %04x", bits, f, back)
			}
			continue
		}
		if bits>>15 == 1 {
			want = -want
		}
		if float64(f) != want || math.Signbit(float64(f)) != math.Signbit(want) {
			t.Fatalf("%04x is %v, want %v", bits, f, want)
		}
		if back := FromFloat32(f); back != bits {
			t.Fatalf("%v is %04x, want %04x", f, back, bits)
		}
		if exp == 31 || exp == 30 && mant == 1023 {
			continue
		}
		next := ToFloat32(bits + 1)
		even := bits + bits&1
		if got := FromFloat32((f + next) / 2); got != even {
			t.Fatalf("between %04x and its neighbour: %04x, want %04x", bits, got, even)
		}
	}
	if FromFloat32(65519.99) != 0x7bff || FromFloat32(65520) != 0x7c00 {
		t.Error("the largest number")
	}
	for h := range 1 << 16 {
		b := uint32(h) << 16
		if math.Float32frombits(b) != math.Float32frombits(b) {
			if got := BrainFromFloat32(BrainToFloat32(uint16(h))); got != uint16(h)|0x40 {
				t.Fatalf("%04x became %04x", h, got)
			}
			continue
		}
		if got := BrainFromFloat32(BrainToFloat32(uint16(h))); got != uint16(h) {
			t.Fatalf("%08x is %04x", b, got)
		}
		if got := BrainFromFloat32(math.Float32frombits(b | 0x8000)); h&0x7fff != 0x7f80 && got != uint16(h+h&1) {
			t.Fatalf("%08x is %04x, want even", b|0x8000, got)
		}
	}
	if got := BrainFromFloat32(math.Float32frombits(0x7f800001)); got&0x7f == 0 {
		t.Errorf("a NaN became %04x", got)
	}
}

func TestHalfRounding(t *testing.T) {
	for x, want := range map[float32]uint16{
		1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02, // ties
		65519: 0x7bff, 65520: 0x7c00, 0x1p-25: 0, 0x1.8p-25: 1, 0x1.8p-24: 2, 0x1.ffep-15: 0x0400, -0x1p-26: 0x8000,
	} {
		if got := FromFloat32(x); got != want {
			t.Errorf("%v is %#04x, want %#04x", x, got, want)
		}
	}
}
