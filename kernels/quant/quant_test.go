package quant

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// randomBytes favours the extremes, where saturating arithmetic goes wrong.
func randomBytes(t *testing.T, n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	x := kt.GuardedBytes(t, n)
	for i := range x {
		switch r.IntN(4) {
		case 0:
			x[i] = []byte{0, 255, 127, 128}[r.IntN(4)]
		default:
			x[i] = byte(r.Uint32())
		}
	}
	return x
}

func ints(n int, lim int32, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]int32, n)
	for i := range x {
		x[i] = r.Int32N(2*lim+1) - lim
	}
	return x
}

func packFor(f isa.Features, k, n int, b []byte, ldb int, trans, unsigned bool) *PackedB {
	var shift int32
	if unsigned {
		shift = 128
	}
	return packB(f, k, n, b, ldb, trans, shift)
}

// testMul runs all three kinds of result for one shape; mode picks signs,
// transposition and kinds of zero points.
func testMul(t *testing.T, f isa.Features, m, n, k, mode int) {
	t.Helper()
	trans, unsigned := mode&1 != 0, mode&2 != 0
	ldb, rows, cols := n+1, k, n
	if trans {
		ldb, rows, cols = k+2, n, k
	}
	size := func(r, c, ld int) int {
		if r == 0 || c == 0 {
			return 0
		}
		return (r-1)*ld + c
	}
	w := randomBytes(t, size(rows, cols, ldb), 1)
	a := &A{Data: randomBytes(t, size(m, k, k+3), 2), LD: k + 3, Signed: mode&4 != 0, Zero: int32(mode*9%120) - 20*int32(mode>>2&1)}
	b, g := &B{Zero: int32(mode * 5 % 60)}, &B{}
	if mode&8 != 0 {
		a.Zeros, b.Zeros = ints(m, 100, 3), ints(n, 100, 4)
	}
	*g = *b
	b.PackedB = packFor(f, k, n, w, ldb, trans, unsigned)
	g.PackedB = packFor(isa.Features{}, k, n, w, ldb, trans, unsigned)
	ldc := n + 1
	c := size(m, n, ldc)
	name := kt.Name("quant", f, m, n, k, mode)
	gi, wi := make([]int32, c), make([]int32, c)
	MulInt32(m, a, b, gi, ldc, 2)
	MulInt32(m, a, g, wi, ldc, 1)
	if !slices.Equal(gi, wi) {
		t.Fatalf("%s: integers differ", name)
	}
	d := &Dequant{Scale: 0.01, Act: act.Act{Func: act.Func(mode % 2 * int(act.Relu))}}
	if mode&8 != 0 {
		d.ScaleA, d.ScaleB, d.Bias = kt.Random(t, m, 5), kt.Random(t, n, 6), kt.Random(t, n, 7)
		d.Residual, d.LDR, d.Act.Func = kt.Random(t, size(m, n, n), 8), n, act.Tanh
	}
	gf, wf := kt.Guarded(t, c), make([]float32, c)
	clear(gf)
	d.Range = &[2]float32{-7, 7}
	MulFloat(m, a, b, gf, ldc, d, 2)
	var lo, hi float32
	for i := range m {
		for _, v := range gf[i*ldc:][:n] {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if *d.Range != [2]float32{lo, hi} {
		t.Fatalf("%s: range %v, want %v %v", name, *d.Range, lo, hi)
	}
	MulFloat(m, a, g, wf, ldc, d, 1)
	kt.Same(t, name, gf, wf, 2e-6, 1e-6)
	kt.Same(t, name+" range", d.Range[:], []float32{lo, hi}, 2e-6, 1e-6)
	r := &Requant{Scale: []float32{0.0007}, Zero: 3, Signed: mode&4 != 0}
	if mode&8 != 0 {
		r.Scale, r.Bias = make([]float32, n), ints(n, 5000, 9)
		for i := range r.Scale {
			r.Scale[i] = 0.0001 * float32(i+1)
		}
		if n == 1 {
			r.Scale = r.Scale[:1]
		}
	}
	r.Relu = mode&16 != 0
	if r.Relu {
		r.Sum = &Sum{Data: randomBytes(t, size(m, n, n+3), 11), LD: n + 3, ScaleC: 0.02, ScaleA: 0.03, Scale: 0.04, ZeroA: 110, Zero: 7, Relu: mode&1 != 0}
	}
	if mode%3 == 0 {
		r.Table = &[256]byte{}
		copy(r.Table[:], randomBytes(t, 256, 12))
	}
	gu, wu := kt.GuardedBytes(t, c), make([]byte, c)
	clear(gu)
	if c > 0 {
		MulBytes(m, a, b, gu, ldc, r, 2)
		MulBytes(m, a, g, wu, ldc, r, 1)
	}
	if !bytes.Equal(gu, wu) {
		t.Fatalf("%s: bytes differ", name)
	}
}

// eachFeature runs f on every tile: AVX-512 without VNNI falls back to AVX2's.
func eachFeature(t *testing.T, f func(t *testing.T, x isa.Features)) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		x := isa.Features{Level: level, VNNI: level == isa.AVX512 && isa.Current().VNNI}
		f(t, x)
		if x.VNNI {
			x.VNNI = false
			f(t, x)
		} else {
			t.Log("NOT RUN: vnni (not at this level or not on this machine)")
		}
	})
}

func TestMul(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		for mode := range 32 {
			for _, s := range [][3]int{{1, 1, 1}, {1, 33, 7}, {2, 16, 4}, {3, 17, 5}, {7, 64, 31}, {12, 31, 32}, {13, 32, 65}, {25, 70, 3},
				{1, 100, 300}, {20, 70, 129}, {200, 40, 9}, {0, 5, 5}, {2, 5, 0}} {
				testMul(t, f, s[0], s[1], s[2], mode)
			}
		}
	})
}

// normalBytes are rounded normal values around zero, cut to the type.
func normalBytes(t *testing.T, n int, zero, deviation float64, signed bool, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 4))
	x := kt.GuardedBytes(t, n)
	for i := range x {
		x[i] = saturate(math.RoundToEven(zero+deviation*r.NormFloat64()), signed)
	}
	return x
}

// Operands that gather around zero, as those of models do: few weights have a rest and few values of A
// exceed the span, on either side of it.
func TestMulNearZero(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		for _, s := range []struct {
			deviationA, zero, deviationB float64
			signed                       bool
			want                         limits
		}{{60, 0, 10, false, choices[0]}, {60, 0, 21, false, choices[0]}, {60, 0, 26, false, choices[1]}, {45, 128, 26, false, choices[1]}, {255, 240, 28, false, choices[1]},
			{60, 0, 40, false, choices[3]}, {45, 128, 40, false, choices[3]}, {50, -3, 40, true, choices[3]}, {255, 9, 50, false, choices[3]}, {255, 9, 127, false, choices[1]}} {
			const m, k, n = 23, 308, 40 // an odd number of groups
			a := &A{Data: normalBytes(t, m*k, s.zero, s.deviationA, s.signed, 1), LD: k, Zero: int32(s.zero), Signed: s.signed}
			w := normalBytes(t, k*n, 0, s.deviationB, true, 2)
			b, g := &B{PackedB: packFor(f, k, n, w, n, false, false)}, &B{PackedB: packFor(isa.Features{}, k, n, w, n, false, false)}
			if saturates(f.Level, f.VNNI) && b.limits != s.want {
				t.Errorf("weights of deviation %v: %+v, want %+v", s.deviationB, b.limits, s.want)
			}
			for _, rows := range []int{1, 6, m} {
				got, want := make([]int32, rows*n), make([]int32, rows*n)
				MulInt32(rows, a, b, got, n, 2)
				MulInt32(rows, a, g, want, n, 1)
				if !slices.Equal(got, want) {
					t.Errorf("%v, %d rows: integers differ", s, rows)
				}
			}
		}
	})
}

// Shapes that are shared out over threads, by rows and by columns.
func TestMulThreads(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		testMul(t, f, 210, 100, 50, 12)
		testMul(t, f, 2, 700, 450, 11)
	})
}

func TestExtremes(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		const k = 1000
		for _, v := range []int8{-128, -127, 127} {
			a, w := bytes.Repeat([]byte{255}, k), bytes.Repeat([]byte{byte(v)}, k)
			var got [1]int32
			MulInt32(1, &A{Data: a, LD: k}, &B{PackedB: packFor(f, k, 1, w, 1, false, false)}, got[:], 1, 1)
			if got[0] != 255*int32(v)*k {
				t.Fatalf("%d: got %d", v, got[0])
			}
		}
	})
}

func TestConversions(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, n := range []int{0, 1, 7, 16, 33, 1000, 100003} {
			x := kt.Random(t, n, 1)
			if n >= 33 {
				copy(x, kt.Specials()[:6])
				copy(x[6:], []float32{float32(math.NaN()), 2.5, 3.5, -2.5, 1e30, -1e30})
			}
			for _, signed := range []bool{false, true} {
				got, want := kt.GuardedBytes(t, n), make([]byte, n)
				for _, scale := range []float32{1e-20, 3e-6, 0.3, math.Nextafter32(1, 0), 1e20, 0.5} { // of some, quotients are divided
					quantize(level, got, x, scale, 3, signed, 2)
					quantize(isa.Generic, want, x, scale, 3, signed, 1)
					if !bytes.Equal(got, want) {
						t.Fatalf("quantize %v %d %v by %v differs", level, n, signed, scale)
					}
				}
				gf, wf := kt.Guarded(t, n), make([]float32, n)
				dequantize(level, gf, want, 0.3, -5, signed, 2)
				dequantize(isa.Generic, wf, want, 0.3, -5, signed, 1)
				kt.Same(t, "dequantize", gf, wf, 0, 0)
			}
			y := kt.Random(t, n, 2)
			if n >= 33 {
				y[5] = float32(math.NaN())
			}
			got, want := make([]byte, n), make([]byte, n)
			gs, gz := dynamic(level, got, y, 2)
			ws, wz := dynamic(isa.Generic, want, y, 1)
			if gs != ws || gz != wz || !bytes.Equal(got, want) {
				t.Fatalf("dynamic %v %d: %v %v, want %v %v", level, n, gs, gz, ws, wz)
			}
			for _, cols := range []int{n, 1, 7} {
				if n == 0 || n%cols != 0 {
					continue
				}
				clear(got)
				lo, hi := minMaxGeneric(y)
				gs, gz = dynamicRows(level, got, y, cols, [2]float32{lo, hi}, 2)
				if gs != ws || gz != wz || !bytes.Equal(got, want) {
					t.Fatalf("dynamic %v %d in rows of %d: %v %v, want %v %v", level, n, cols, gs, gz, ws, wz)
				}
			}
		}
	})
}

// Rows that are gathered give what they give when they are written out.
func TestMulGathered(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		g := func(m, n, taps, tap, mode int) {
			t.Helper()
			k := taps * tap
			r := rand.New(rand.NewPCG(uint64(m), uint64(k)))
			data, pad := randomBytes(t, 40*tap, 1), randomBytes(t, tap, 2)
			places, plain := make([]int32, m*taps), make([]byte, 0, m*k)
			for i := range places {
				places[i] = int32(r.IntN(39*tap+2) - 1)
				from := pad
				if places[i] >= 0 {
					from = data[places[i]:]
				}
				plain = append(plain, from[:tap]...)
			}
			b := &B{Zero: int32(mode * 3), PackedB: packFor(f, k, n, randomBytes(t, k*n, 3), n, false, false)}
			a := &A{Data: data, Rows: NewGather(places, tap, pad), Zero: 5, Signed: mode == 1}
			got, want := make([]int32, m*n), make([]int32, m*n)
			MulInt32(m, a, b, got, n, 2)
			MulInt32(m, &A{Data: plain, LD: k, Zero: 5, Signed: mode == 1}, b, want, n, 1)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: integers differ", kt.Name("gathered", f, m, n, taps, tap, mode))
			}
		}
		for mode := range 2 {
			g(1, 1, 1, 4, mode)
			g(5, 33, 9, 8, mode)
			g(13, 40, 3, 64, mode)
			g(200, 65, 9, 12, mode)
			g(30, 32, 9, 512, mode)
		}
	})
}

func TestPlacesAreChecked(t *testing.T) {
	b := &B{PackedB: PackB(8, 3, make([]int8, 24), 3, false)}
	data, pad := make([]byte, 8), make([]byte, 8)
	f := func(tap int, pad []byte, places ...int32) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("places %v, runs of %d", places, tap)
			}
		}()
		MulInt32(1, &A{Data: data, Rows: NewGather(places, tap, pad)}, b, make([]int32, 3), 3, 1)
	}
	f(4, pad, 0, 5)
	f(4, pad, 0, -2)
	f(4, pad, 0)
	f(4, pad[:3], 0, 4)
	f(2, pad, 0, 0, 0, 0)
	f(12, make([]byte, 12), 0)
}
