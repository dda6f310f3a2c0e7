package wire

import (
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// checkShortest: the text reads back as f, and has the digits of strconv's shortest form.
func checkShortest(t *testing.T, b uint32) {
	f := math.Float32frombits(b)
	if f != f || math.IsInf(float64(f), 0) {
		return
	}
	var room [40]byte
	text := appendFloat32(room[:0], f)
	d := scanDecimal(text, 0)
	back, ok := d.parseFloat32(text)
	if d.end != len(text) || !ok || back != b {
		t.Fatalf("%08x: wrote %s, read back %08x", b, text, back)
	}
	var wantRoom [40]byte
	want := strconv.AppendFloat(wantRoom[:0], math.Abs(float64(f)), 'e', -1, 32)
	if got, other := digitsOf(text), digitsOf(want); got != other && (len(got) != len(other) || !equallyNear(f, text, want)) {
		t.Fatalf("%08x: wrote %s, digits %s, want those of %s", b, text, got, want)
	}
}

// equallyNear: both decimals are at the same distance from |f|, so that either may be chosen.
func equallyNear(f float32, a, b []byte) bool {
	v := new(big.Rat).SetFloat64(math.Abs(float64(f)))
	distance := func(text []byte) *big.Rat {
		r, _ := new(big.Rat).SetString(strings.TrimPrefix(string(text), "-"))
		r.Sub(r, v)
		return r.Abs(r)
	}
	return distance(a).Cmp(distance(b)) == 0
}

func digitsOf(text []byte) string {
	s := string(text)
	if i := strings.IndexByte(s, 'e'); i >= 0 {
		s = s[:i]
	}
	s = strings.Trim(strings.Replace(strings.TrimPrefix(s, "-"), ".", "", 1), "0")
	return s
}

func TestShortestFloat32(t *testing.T) {
	for exp := range uint32(255) {
		for _, m := range []uint32{0, 1, 2, 3, 0x400000, 0x3fffff, 0x400001, 0x7ffffe, 0x7fffff} {
			checkShortest(t, exp<<23|m)
			checkShortest(t, 1<<31|exp<<23|m)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500_000 {
		checkShortest(t, rng.Uint32())
	}
	for i := range uint32(100_000) {
		checkShortest(t, math.Float32bits(float32(i)))
		checkShortest(t, math.Float32bits(float32(i)/100))
		checkShortest(t, math.Float32bits(float32(i)*1e12))
	}
}

// TestShortestFloat32All compares all float32 (minutes); it runs where AIMASS_EXHAUSTIVE is set.
func TestShortestFloat32All(t *testing.T) {
	if os.Getenv("AIMASS_EXHAUSTIVE") == "" {
		t.Skip("NOT RUN: AIMASS_EXHAUSTIVE is not set")
	}
	for b := range uint32(0x7f800000) {
		checkShortest(t, b)
	}
}

func TestFloatText(t *testing.T) {
	f := func(v float64, want32, want64 string) {
		t.Helper()
		if got := string(appendFloat32(nil, float32(v))); got != want32 {
			t.Errorf("float32 %v: %s, want %s", v, got, want32)
		}
		if got := string(appendFloat64(nil, v)); got != want64 {
			t.Errorf("float64 %v: %s, want %s", v, got, want64)
		}
	}
	f(0, "0", "0")
	f(math.Copysign(0, -1), "-0.0", "-0.0")
	f(1, "1", "1")
	f(-1, "-1", "-1")
	f(16777216, "16777216", "16777216")
	f(8388609, "8388609", "8388609")
	f(0.5, "0.5", "0.5")
	f(-123.456, "-123.456", "-123.456")
	f(1e-6, "0.000001", "0.000001")
	f(9.5e-7, "9.5e-7", "9.5e-07")
	f(1e20, "100000000000000000000", "100000000000000000000")
	f(1e21, "1e21", "1e+21")
	f(1.25e22, "1.25e22", "1.25e+22")
	f(1e-45, "1e-45", "1e-45")
	f(math.Inf(1), "Infinity", "Infinity")
	f(math.Inf(-1), "-Infinity", "-Infinity")
	f(math.NaN(), "NaN", "NaN")
}
