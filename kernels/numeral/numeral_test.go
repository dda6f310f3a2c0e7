package numeral

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/isa/kerneltest"
)

// text stands behind lead bytes and before enough others that the last number isn't left to the caller.
func read(t *testing.T, text string, n int) (got []float32, rest string) {
	t.Helper()
	const lead, behind = 24, 40
	b := kerneltest.GuardedBytes(t, lead+len(text)+behind)
	copy(b, strings.Repeat("-", lead)+text+strings.Repeat("9", behind))
	dst := make([]byte, 4*max(n, Least))
	done, next := ReadFloat32s(dst, b, lead)
	for i := range done {
		got = append(got, math.Float32frombits(binary.LittleEndian.Uint32(dst[4*i:])))
	}
	return got, string(b[next : lead+len(text)])
}

func TestRead(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, level isa.Level) {
		if !Native() {
			return
		}
		rng := rand.New(rand.NewPCG(1, 2))
		number := func() string {
			switch kind := rng.IntN(301); kind%5 + kind/300*5 {
			case 0:
				return strconv.FormatFloat(rng.NormFloat64(), 'f', -1, 32)
			case 1:
				return strconv.FormatFloat(float64(float32(rng.NormFloat64())), 'f', -1, 64)
			case 2:
				return strconv.FormatFloat(rng.NormFloat64()*1e4, 'f', rng.IntN(15), 64)
			case 3:
				return strconv.Itoa(rng.IntN(1e8) - 5e7)
			case 4:
				return strconv.FormatFloat(math.Round(rng.NormFloat64()*10)/10, 'f', rng.IntN(3), 64)
			default: // a middle between two, where rounding is hardest
				f := float32(rng.IntN(1<<24)) / 4
				return strconv.FormatFloat((float64(f)+float64(math.Nextafter32(f, math.MaxFloat32)))/2, 'f', -1, 64)
			}
		}
		taken, all := 0, 0
		for range 2000 {
			var texts []string
			for range 100 {
				texts = append(texts, number())
			}
			sep := []string{",", ", "}[rng.IntN(2)]
			got, rest := read(t, strings.Join(texts, sep)+sep, len(texts))
			if want := strings.Join(texts[len(got):], sep); strings.TrimSuffix(rest, sep) != want {
				t.Fatalf("%d read, left %q, want %q", len(got), rest, want)
			}
			for i, v := range got {
				if want, _ := strconv.ParseFloat(texts[i], 32); math.Float32bits(v) != math.Float32bits(float32(want)) {
					t.Fatalf("%s read as %v, want %v", texts[i], v, float32(want))
				}
			}
			taken, all = taken+len(got), all+min(len(got)+1, len(texts))
		}
		if taken < all*9/10 {
			t.Errorf("of %d numbers of the usual forms %d were read", all, taken)
		}
	})
}

func TestReadLeavesTheUnusual(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, level isa.Level) {
		if !Native() {
			return
		}
		for _, text := range []string{"01", "-", "", ".5", "5.", "-.5", "1e5", "1.5E-3", "NaN", "-Infinity", "+1", "1.2.3", "--1", "00", "-01.5", "1 ", "0x1", "123456789", "1.12345678901234567890",
			"12345678.123456789012", "1;", "1]", "1\n", "\"1\"", "0.000000000000000000000000000000000001", "null"} {
			if got, rest := read(t, "7,"+text+",8,", 4); len(got) != 1 || got[0] != 7 || rest != text+",8," {
				t.Errorf("%q: read %v, left %q", text, got, rest)
			}
		}
		for _, text := range []string{"1,\n2,3,", "1,  2,3,", "1, \t2,3,", "1 ,2,3,"} {
			if got, rest := read(t, text, 4); len(got) != 0 || rest != text {
				t.Errorf("%q: read %v, left %q", text, got, rest)
			}
		}
		for text, want := range map[string]float32{"0": 0, "-0": float32(math.Copysign(0, -1)), "-0.0": float32(math.Copysign(0, -1)), "0.1": 0.1, "16777219.5": 16777220, "0.123456789012345678": 0.123456789012345678, "10": 10} {
			if got, _ := read(t, text+",1,", 4); len(got) < 1 || math.Float32bits(got[0]) != math.Float32bits(want) {
				t.Errorf("%s: read %v", text, got)
			}
		}
		// What ends soon is left, whatever it is.
		b := kerneltest.GuardedBytes(t, 64)
		copy(b, strings.Repeat("1,", 32))
		dst := make([]byte, 4*32)
		for from := range 64 {
			if n, next := ReadFloat32s(dst, b, from&^1); next > 64 || n > 32 || next-from&^1 != 2*n {
				t.Errorf("from %d: %d read, the next at %d", from, n, next)
			}
		}
	})
}

var plain = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// FuzzRead: what is read are numbers by JSON's grammar, with what is allowed between them, and their nearest float32s.
func FuzzRead(f *testing.F) {
	f.Add("1,2.5, -0.125,3e5,")
	f.Add("0.1234567890123456789,-12345678.12345678, 00,")
	f.Add("16777217,0.000000000000000001,-0.0,,")
	f.Fuzz(func(t *testing.T, text string) {
		got, rest := read(t, text, len(text))
		for at, v := range got {
			token, after, ok := strings.Cut(text, ",")
			want, err := strconv.ParseFloat(token, 32)
			if !ok || !plain.MatchString(token) || err != nil || math.Float32bits(v) != math.Float32bits(float32(want)) {
				t.Fatalf("number %d: %q read as %v", at, token, v)
			}
			text = strings.TrimPrefix(after, " ")
		}
		if rest != text {
			t.Fatalf("left %q, want %q", rest, text)
		}
	})
}

func write(values []uint32) (string, int) {
	src := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(src[4*i:], v)
	}
	dst := make([]byte, Room*len(values))
	n, size := WriteFloat32s(dst, src)
	return string(dst[:size]), n
}

func TestWrite(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, level isa.Level) {
		if !Native() {
			return
		}
		want := func(b uint32) string {
			switch f := math.Float32frombits(b); {
			case f == 0 && b != 0:
				return "-0.0"
			default:
				return strconv.FormatFloat(float64(f), 'f', -1, 32)
			}
		}
		rng := rand.New(rand.NewPCG(3, 4))
		for range 20000 {
			var values []uint32
			for range 32 {
				v := rng.Uint32()
				switch rng.IntN(4) {
				case 0:
					v = math.Float32bits(float32(rng.NormFloat64()))
				case 1:
					v = math.Float32bits(float32(rng.IntN(1000)) / 8)
				case 2:
					v = v&0x807fffff | uint32(108+rng.IntN(48))<<23
				}
				values = append(values, v)
			}
			got, n := write(values)
			texts := strings.Split(got, ",")
			if len(texts) != n+1 || texts[n] != "" {
				t.Fatalf("%d values written as %q", n, got)
			}
			for i, s := range texts[:n] {
				if s != want(values[i]) {
					t.Fatalf("%x written as %s, want %s", values[i], s, want(values[i]))
				}
			}
			if n < len(values) {
				if f := math.Abs(float64(math.Float32frombits(values[n]))); f >= 1e-6 && f < 1e9 {
					t.Fatalf("%v was left", f)
				}
			}
		}
		for b, s := range map[uint32]string{0: "0", 1 << 31: "-0.0", math.Float32bits(100): "100", math.Float32bits(-123456784): "-123456780", math.Float32bits(0.5): "0.5", math.Float32bits(1e-6): "0.000001", math.Float32bits(9.5e8): "950000000"} {
			values := make([]uint32, Least)
			values[0] = b
			if got, _ := write(values); !strings.HasPrefix(got, s+",") {
				t.Errorf("%x written as %.20s, want %s", b, got, s)
			}
		}
	})
}
