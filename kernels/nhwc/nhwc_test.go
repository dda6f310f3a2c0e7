package nhwc

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func eachFeature(t *testing.T, f func(t *testing.T, x isa.Features)) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		x := isa.Features{Level: level, VNNI: level == isa.AVX512 && isa.Current().VNNI}
		if level == isa.AVX512 && !x.VNNI {
			t.Log("NOT RUN: vnni (not on this machine)")
		}
		f(t, x)
	})
}

func random(t *testing.T, r *rand.Rand, n int) []byte {
	x := kt.GuardedBytes(t, n)
	for i := range x {
		if x[i] = byte(r.Uint32()); r.IntN(4) == 0 {
			x[i] = []byte{0, 255, 127, 128}[r.IntN(4)]
		}
	}
	return x
}

func table(r *rand.Rand) *[256]byte {
	var t [256]byte
	for i := range t {
		t[i] = byte(r.Uint32())
	}
	return &t
}

func TestDepthwise(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		for seed := range uint64(150) {
			r := rand.New(rand.NewPCG(seed, 1))
			g := Geometry{C: 4 * (1 + r.IntN(40)), H: 1 + r.IntN(9), W: 1 + r.IntN(9), KH: 1 + r.IntN(5), KW: 1 + r.IntN(5),
				StrideH: 1 + r.IntN(2), StrideW: 1 + r.IntN(2), DilationH: 1 + r.IntN(2), DilationW: 1 + r.IntN(2), OH: 1 + r.IntN(6), OW: 1 + r.IntN(6)}
			if seed == 0 {
				g.KH, g.KW = 13, 13
			}
			g.PadTop, g.PadLeft = r.IntN(g.KH), r.IntN(g.KW)
			w, bias, scale := make([]int16, g.KH*g.KW*g.C), make([]int32, g.C), make([]float32, g.C)
			for i := range w {
				if w[i] = int16(r.IntN(256) - 128); seed%5 == 0 {
					w[i] = int16(r.IntN(511) - 255)
				}
			}
			for c := range bias {
				bias[c], scale[c] = int32(r.IntN(10001)-5000), r.Float32()*0.01
			}
			q := Requant{Zero: int32(r.IntN(100)), Signed: r.IntN(2) == 0, Relu: r.IntN(2) == 0}
			if r.IntN(3) == 0 {
				q.Table = table(r)
			}
			zero, signed := int32(r.IntN(128)), r.IntN(2) == 0
			src := random(t, r, g.H*g.W*g.C)
			got, want := kt.GuardedBytes(t, g.OH*g.OW*g.C), make([]byte, g.OH*g.OW*g.C)
			packDepthwise(f, g, w, bias, scale, zero, signed, q).Run(got, src, 2)
			packDepthwise(isa.Features{}, g, w, bias, scale, zero, signed, q).Run(want, src, 1)
			if !bytes.Equal(got, want) {
				t.Fatalf("%s: bytes differ", kt.Name("depthwise", f, g, seed))
			}
		}
	})
}

func TestMap(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, s := range [][2]int{{1, 1}, {1, 31}, {1, 32}, {1, 64}, {1, 65}, {3, 40}, {2, 200}, {1, 300001}, {500, 900}} {
			for _, more := range []int{0, 5} {
				rows, cols := s[0], s[1]
				src, tab := random(t, r, rows*(cols+more)), table(r)
				got, want := kt.GuardedBytes(t, rows*(cols+more)), make([]byte, rows*(cols+more))
				clear(got)
				mapRows(f, got, cols+more, src, cols+more, rows, cols, tab, 2)
				mapGeneric(want, cols+more, src, cols+more, rows, cols, tab)
				if !bytes.Equal(got, want) {
					t.Fatalf("%v %v: bytes differ", f, s)
				}
				mapRows(f, src, cols+more, src, cols+more, rows, cols, tab, 2)
				for i := range rows {
					if !bytes.Equal(src[i*(cols+more):][:cols], want[i*(cols+more):][:cols]) {
						t.Fatalf("%v %v: bytes differ in place", f, s)
					}
				}
			}
		}
	})
}

func TestCombine(t *testing.T) {
	eachFeature(t, func(t *testing.T, f isa.Features) {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 3))
			p := Pair{ScaleA: r.Float32(), ScaleB: r.Float32(), Scale: r.Float32() + 0.01, Factor: 1, ZeroA: int32(r.IntN(128)), ZeroB: int32(r.IntN(128)), Zero: int32(r.IntN(128)),
				Product: r.IntN(2) == 0, Signed: r.IntN(2) == 0, Relu: r.IntN(2) == 0, Whole: r.IntN(2) == 0}
			if r.IntN(3) == 0 {
				p.Scale, p.Fixed, p.Factor, p.Shift = 1, r.Float32()*20, r.Float32()*0.01, float32(r.IntN(100))
			}
			rows, cols := 1+r.IntN(5), 1+r.IntN(100)
			if seed < 4 {
				rows, cols = 400, 700
			}
			a, b := random(t, r, rows*cols), random(t, r, rows*cols)
			got, want := kt.GuardedBytes(t, rows*cols), make([]byte, rows*cols)
			combine(f, got, a, b, rows, cols, &p, 2)
			combine(isa.Features{}, want, a, b, rows, cols, &p, 1)
			if !bytes.Equal(got, want) {
				t.Fatalf("%s: bytes differ", kt.Name("combine", f, p, rows, cols))
			}
		}
	})
}

func TestShortSlicesPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"map":     func() { Map(make([]byte, 3), 4, make([]byte, 4), 4, 1, 4, nil, 1) },
		"combine": func() { Combine(make([]byte, 4), make([]byte, 4), make([]byte, 3), 1, 4, &Pair{}, 1) },
		"depthwise": func() {
			g := Geometry{C: 6, H: 1, W: 1, OH: 1, OW: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1}
			PackDepthwise(g, make([]int16, 6), make([]int32, 6), make([]float32, 6), 0, false, Requant{})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name)
				}
			}()
			f()
		}()
	}
}
