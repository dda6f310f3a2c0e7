package client

import (
	"math"
	"net/http"
	"strconv"
	"testing"
)

// TestHalf goes through all of binary16 and bfloat16: widening is checked against the formats' definition, and narrowing
// must give back what was widened, and the nearer neighbour of what lies between.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		bits := uint16(h)
		f := halfToFloat(bits)
		exp, mant := int(bits>>10)&31, float64(bits&1023)
		want := math.Ldexp(1024+mant, exp-25)
		switch {
		case exp == 0:
			want = math.Ldexp(mant, -24)
		case exp == 31 && mant == 0:
			want = math.Inf(1)
		case exp == 31:
			if f == f {
				t.Fatalf("%04x is %v", bits, f)
			}
			continue
		}
		if bits>>15 == 1 {
			want = -want
		}
		if float64(f) != want || math.Signbit(float64(f)) != math.Signbit(want) {
			t.Fatalf("%04x is %v, want %v", bits, f, want)
		}
		if back := floatToHalf(f); back != bits {
			t.Fatalf("%v is %04x, want %04x", f, back, bits)
		}
		if exp == 31 || exp == 30 && mant == 1023 {
			continue
		}
		next := halfToFloat(bits + 1)
		even := bits + bits&1
		if got := floatToHalf((f + next) / 2); got != even {
			t.Fatalf("between %04x and its neighbour: %04x, want %04x", bits, got, even)
		}
	}
	if floatToHalf(65519.99) != 0x7bff || floatToHalf(65520) != 0x7c00 {
		t.Error("the largest number")
	}
	for h := range 1 << 16 {
		b := uint32(h) << 16
		if math.Float32frombits(b) != math.Float32frombits(b) {
			continue
		}
		if got := floatToBrain(b); got != uint16(h) {
			t.Fatalf("%08x is %04x", b, got)
		}
		if got := floatToBrain(b | 0x8000); h&0x7fff != 0x7f80 && got != uint16(h+h&1) {
			t.Fatalf("%08x is %04x, want even", b|0x8000, got)
		}
	}
	if got := floatToBrain(0x7f800001); got&0x7f == 0 {
		t.Errorf("a NaN became %04x", got)
	}
}

func FuzzDecodeResult(f *testing.F) {
	f.Add([]byte(`{"outputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}1234`), 88)
	f.Add([]byte(`{"outputs":[{"name":"x","datatype":"BYTES","shape":[2],"data":["a","\\\""]},{"name":"y","datatype":"FP16","shape":[1,1],"data":[[NaN]]}]}`), -1)
	f.Add([]byte(`{"outputs":[{"datatype":"INT8","shape":[0],"data":[]}]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, jsonLen int) {
		a := &answer{header: http.Header{}, body: body}
		if jsonLen >= 0 {
			a.header.Set(headerLength, strconv.Itoa(jsonLen))
		}
		r, err := decodeResult(a)
		if err != nil {
			return
		}
		for i := range r.Outputs {
			o := &r.Outputs[i]
			n, _ := elements(o.Shape)
			if len(o.data) != n*o.DType.Size() || o.DType == BYTES && len(o.strs) != n {
				t.Fatalf("%s%v holds %d bytes, %d strings", o.DType, o.Shape, len(o.data), len(o.strs))
			}
		}
	})
}
