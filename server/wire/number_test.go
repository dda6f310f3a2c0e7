package wire

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// checkNumber holds scanDecimal and the conversions against strconv; JSON's grammar is checked by jsonNumber.
func checkNumber(t *testing.T, s string) {
	t.Helper()
	d := scanDecimal([]byte(s), 0)
	if want := jsonNumber(s); (d.end == len(s)) != want {
		t.Fatalf("%q: read to %d, is a number: %v", s, d.end, want)
	} else if !want {
		return
	}
	want32, err32 := strconv.ParseFloat(s, 32)
	if b, ok := d.parseFloat32([]byte(s)); ok != (err32 == nil) || ok && b != math.Float32bits(float32(want32)) {
		t.Fatalf("%q: float32 %v (%v), want %v (%v)", s, math.Float32frombits(b), ok, want32, err32)
	}
	want64, err64 := strconv.ParseFloat(s, 64)
	if f, ok := d.parseFloat64([]byte(s)); ok != (err64 == nil) || ok && math.Float64bits(f) != math.Float64bits(want64) {
		t.Fatalf("%q: float64 %v (%v), want %v (%v)", s, f, ok, want64, err64)
	}
}

func jsonNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() int {
		n := len(s) - len(strings.TrimLeft(s, "0123456789"))
		s = s[n:]
		return n
	}
	lead := s
	n := digits()
	if n == 0 || n > 1 && lead[0] == '0' {
		return false
	}
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		if digits() == 0 {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return s == ""
}

var numberCases = []string{
	"0", "-0", "0.0", "-0.0", "1", "-1", "1.5", "0.1", "123456789", "12345678", "1234567.12345678", "16777216", "16777217",
	"16777219", "33554434.5", "9007199254740993", "9007199254740991", "18446744073709551615", "18446744073709551616",
	"1e0", "1E5", "1e+5", "1e-5", "1.25e38", "3.4028235e38", "3.4028236e38", "3.4028235677973366e38", "3.5e38", "1e39", "-1e39",
	"1.1754944e-38", "1.1754943e-38", "1e-38", "1e-40", "1e-45", "7e-46", "7.1e-46", "1e-46", "1e-64", "1e-65", "1e-400", "1e400",
	"1.7976931348623157e308", "1.7976931348623159e308", "5e-324", "2e-324", "1e1000000", "1e-99999999999", "0e99999999999",
	"0.000000000000000000000000000000000000000000000000000000000000000000000000001e75",
	"1.00000005960464477539062500", "1.000000059604644775390625", "1.0000000596046447753906250000000000000001", "1.0000000596046447",
	"0.3333333333333333333333333333333333", "100000000000000000000000000000000000000",
	"", "-", "01", "-01", "00", "1.", ".5", "+1", "1e", "1e+", "1.e5", "0x10", "1_0", "1 ", "--1", "1.5.5", "NaN", "1e5.0",
}

func TestNumbers(t *testing.T) {
	for _, s := range numberCases {
		checkNumber(t, s)
	}
}

func TestRandomNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300_000 {
		b := rng.Uint32()
		f := math.Float32frombits(b)
		if f != f || math.IsInf(float64(f), 0) {
			continue
		}
		checkNumber(t, strconv.FormatFloat(float64(f), 'g', -1, 32))
		checkNumber(t, strconv.FormatFloat(float64(f), 'e', 8+rng.IntN(16), 32))
		checkNumber(t, strconv.FormatFloat(rng.Float64()*math.Pow(10, float64(rng.IntN(20)-10)), 'f', rng.IntN(25), 64))
	}
}

// TestHalfway: numbers on and right beside the middle between two float32 must round to even, up and down.
func TestHalfway(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		b := rng.Uint32N(0x7f7fffff)
		low, high := float64(math.Float32frombits(b)), float64(math.Float32frombits(b+1))
		mid := low + (high-low)/2 // exact in float64
		exact := strconv.FormatFloat(mid, 'f', -1, 64)
		checkNumber(t, exact)
		checkNumber(t, strconv.FormatFloat(mid, 'e', -1, 64))
		if strings.Contains(exact, ".") {
			checkNumber(t, exact+"0000000000000000000000000001")
		}
		checkNumber(t, fmt.Sprintf("%.17e", math.Nextafter(mid, 0)))
		checkNumber(t, fmt.Sprintf("%.17e", math.Nextafter(mid, math.Inf(1))))
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range numberCases {
		f.Add(s)
	}
	f.Fuzz(checkNumber)
}
