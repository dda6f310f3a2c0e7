package emulator

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

// lane is one instruction under test: body computes %d from %x, %y and %z (32 bits, or
// %dl from %xl, %yl, %zl in 64), want says what Go computes.
type lane struct {
	name, body string
	want       func(x, y, z uint32) uint32
	wide       func(x, y, z uint64) uint64
	ulp        float64 // of f32, for approximate instructions
}

const lanePTX = `
.visible .entry k(.param .u64 in, .param .u64 out, .param .u32 n)
{
	.reg .pred %%p, %%q;
	.reg .b16 %%h<8>;
	.reg .b32 %%i<8>, %%x, %%y, %%z, %%d;
	.reg .f32 %%f<8>;
	.reg .f64 %%g<8>;
	.reg .b64 %%a<4>, %%xl, %%yl, %%zl, %%dl;
	ld.param.u64 %%a1, [in];
	ld.param.u64 %%a2, [out];
	ld.param.u32 %%i1, [n];
	mov.u32 %%i2, %%ctaid.x;
	mov.u32 %%i3, %%ntid.x;
	mov.u32 %%i4, %%tid.x;
	mad.lo.s32 %%i2, %%i2, %%i3, %%i4;
	setp.ge.u32 %%p, %%i2, %%i1;
	@%%p bra END;
	mul.wide.u32 %%a3, %%i2, 24;
	add.s64 %%a1, %%a1, %%a3;
	ld.global.u64 %%xl, [%%a1];
	ld.global.u64 %%yl, [%%a1+8];
	ld.global.u64 %%zl, [%%a1+16];
	cvt.u32.u64 %%x, %%xl;
	cvt.u32.u64 %%y, %%yl;
	cvt.u32.u64 %%z, %%zl;
	mov.b32 %%d, 0;
	mov.b64 %%dl, 0;
	%s
	%s
	mad.wide.u32 %%a2, %%i2, 8, %%a2;
	st.global.u64 [%%a2], %%dl;
END:
	ret;
}
`

func f32(v uint32) float32 { return math.Float32frombits(v) }
func b32(v float32) uint32 { return math.Float32bits(v) }
func f64(v uint64) float64 { return math.Float64frombits(v) }
func b64(v float64) uint64 { return math.Float64bits(v) }
func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// op2 is a plain instruction of two operands.
func op2(op string, f func(x, y uint32) uint32) lane {
	return lane{name: op, body: op + " %d, %x, %y;", want: func(x, y, _ uint32) uint32 { return f(x, y) }}
}
func op1(op string, f func(x uint32) uint32) lane {
	return lane{name: op, body: op + " %d, %x;", want: func(x, _, _ uint32) uint32 { return f(x) }}
}
func op3(op string, f func(x, y, z uint32) uint32) lane {
	return lane{name: op, body: op + " %d, %x, %y, %z;", want: f}
}

// float2 is an f32 instruction, which wants .f32 registers.
func float3(op string, n int, ulp float64, f func(x, y, z float32) float32) lane {
	args := strings.Join([]string{"%f1", "%f2", "%f3"}[:n], ", ")
	return lane{name: op, ulp: ulp, body: "mov.b32 %f1, %x; mov.b32 %f2, %y; mov.b32 %f3, %z;\n" + op + " %f4, " + args + ";\nmov.b32 %d, %f4;",
		want: func(x, y, z uint32) uint32 { return b32(f(f32(x), f32(y), f32(z))) }}
}

func minF(x, y float32) float32 {
	switch {
	case x != x:
		return y
	case y != y:
		return x
	}
	return min(x, y)
}

func integers() []lane {
	s := func(v uint32) int32 { return int32(v) }
	clamp := func(v int64) uint32 { return uint32(int32(max(min(v, math.MaxInt32), math.MinInt32))) }
	return []lane{
		op2("add.s32", func(x, y uint32) uint32 { return x + y }),
		op2("sub.u32", func(x, y uint32) uint32 { return x - y }),
		op2("add.sat.s32", func(x, y uint32) uint32 { return clamp(int64(s(x)) + int64(s(y))) }),
		op2("mul.lo.s32", func(x, y uint32) uint32 { return x * y }),
		op2("mul.hi.s32", func(x, y uint32) uint32 { return uint32(int64(s(x)) * int64(s(y)) >> 32) }),
		op2("mul.hi.u32", func(x, y uint32) uint32 { return uint32(uint64(x) * uint64(y) >> 32) }),
		op3("mad.lo.u32", func(x, y, z uint32) uint32 { return x*y + z }),
		op2("div.u32", func(x, y uint32) uint32 {
			if y == 0 {
				return math.MaxUint32
			}
			return x / y
		}),
		op2("div.s32", func(x, y uint32) uint32 {
			if y == 0 {
				return math.MaxUint32
			}
			return uint32(s(x) / s(y))
		}),
		op2("rem.s32", func(x, y uint32) uint32 {
			if y == 0 {
				return x
			}
			return uint32(s(x) % s(y))
		}),
		op2("min.s32", func(x, y uint32) uint32 { return uint32(min(s(x), s(y))) }),
		op2("max.u32", func(x, y uint32) uint32 { return max(x, y) }),
		op1("abs.s32", func(x uint32) uint32 { return uint32(max(s(x), -s(x))) }),
		op1("popc.b32", func(x uint32) uint32 { return uint32(bits.OnesCount32(x)) }),
		op1("clz.b32", func(x uint32) uint32 { return uint32(bits.LeadingZeros32(x)) }),
		op1("brev.b32", bits.Reverse32),
		op1("bfind.u32", func(x uint32) uint32 { return uint32(31 - bits.LeadingZeros32(x)) }),
		op2("shl.b32", func(x, y uint32) uint32 { return x << y }),
		op2("shr.u32", func(x, y uint32) uint32 { return x >> y }),
		op2("shr.s32", func(x, y uint32) uint32 { return uint32(s(x) >> y) }),
		op3("shf.l.wrap.b32", func(x, y, z uint32) uint32 { return uint32((uint64(y)<<32 | uint64(x)) << (z & 31) >> 32) }),
		op3("shf.r.clamp.b32", func(x, y, z uint32) uint32 { return uint32((uint64(y)<<32 | uint64(x)) >> min(z, 32)) }),
		op3("prmt.b32", func(x, y, z uint32) uint32 {
			var d uint32
			for i := range 4 {
				n := z >> (4 * i) & 15
				b := byte((uint64(y)<<32 | uint64(x)) >> (8 * (n & 7)))
				if n&8 != 0 {
					b = byte(int8(b) >> 7)
				}
				d |= uint32(b) << (8 * i)
			}
			return d
		}),
		{name: "lop3", body: "lop3.b32 %d, %x, %y, %z, 0xd8;", want: func(x, y, z uint32) uint32 {
			var d uint32
			for i := range 32 {
				d |= uint32(0xd8>>(x>>i&1<<2|y>>i&1<<1|z>>i&1)&1) << i
			}
			return d
		}},
		{name: "bfe.s32", body: "and.b32 %y, %y, 31; and.b32 %z, %z, 15; bfe.s32 %d, %x, %y, %z;", want: func(x, y, z uint32) uint32 {
			y, z = y&31, z&15
			if z == 0 {
				return 0
			}
			return uint32(int64(s(x)) >> y << (64 - z) >> (64 - z))
		}},
		{name: "bfi", body: "and.b32 %z, %z, 31; bfi.b32 %d, %x, %y, %z, 9;", want: func(x, y, z uint32) uint32 {
			m := uint32(511) << (z & 31)
			return y&^m | x<<(z&31)&m
		}},
		op3("dp4a.s32.s32", func(x, y, z uint32) uint32 {
			for i := range 4 {
				z += uint32(int32(int8(x>>(8*i))) * int32(int8(y>>(8*i))))
			}
			return z
		}),
		op3("dp4a.u32.s32", func(x, y, z uint32) uint32 {
			for i := range 4 {
				z += uint32(int32(uint8(x>>(8*i))) * int32(int8(y>>(8*i))))
			}
			return z
		}),
		{name: "add.cc", body: "add.cc.u32 %d, %x, %y; addc.u32 %d, %z, 0;", want: func(x, y, z uint32) uint32 {
			return z + uint32((uint64(x)+uint64(y))>>32)
		}},
		{name: "16 bits", body: "cvt.u16.u32 %h1, %x; cvt.u16.u32 %h2, %y; mul.lo.s16 %h3, %h1, %h2; max.s16 %h3, %h3, %h1; cvt.s32.s16 %d, %h3;",
			want: func(x, y, _ uint32) uint32 {
				return uint32(int32(max(int16(x)*int16(y), int16(x))))
			}},
		{name: "setp", body: "setp.lt.and.s32 %p, %x, %y, 1; setp.hi.u32 %q, %x, %z; selp.b32 %d, 1, 0, %p; @%q add.s32 %d, %d, 2;",
			want: func(x, y, z uint32) uint32 {
				return truth(s(x) < s(y)) + 2*truth(x > z)
			}},
		{name: "slct", body: "slct.b32.s32 %d, %x, %y, %z;", want: func(x, y, z uint32) uint32 {
			if s(z) >= 0 {
				return x
			}
			return y
		}},
		{name: "vector moves", body: "mov.b32 {%h1, %h2}, %x; mov.b32 %d, {%h2, %h1}; mov.b64 %zl, {%d, %y}; mov.b64 {%x, %d}, %zl; add.u32 %d, %d, %x;",
			want: func(x, y, _ uint32) uint32 {
				return bits.RotateLeft32(x, 16) + y
			}},
		{name: "mul.wide.s32", body: "mul.wide.s32 %dl, %x, %y;", wide: func(x, y, _ uint64) uint64 { return uint64(int64(int32(x)) * int64(int32(y))) }},
		{name: "mad.wide.u32", body: "mad.wide.u32 %dl, %x, %y, %zl;", wide: func(x, y, z uint64) uint64 { return uint64(uint32(x))*uint64(uint32(y)) + z }},
		{name: "mul.hi.u64", body: "mul.hi.u64 %dl, %xl, %yl;", wide: func(x, y, _ uint64) uint64 { h, _ := bits.Mul64(x, y); return h }},
		{name: "shr.s64", body: "shr.s64 %dl, %xl, %y;", wide: func(x, y, _ uint64) uint64 { return uint64(int64(x) >> uint32(y)) }},
		{name: "cvt.sat.s8.s32", body: "cvt.sat.s8.s32 %d, %x;", want: func(x, _, _ uint32) uint32 { return uint32(max(min(s(x), 127), -128)) }},
		{name: "cvt.u8", body: "cvt.u32.u8 %d, %x;", want: func(x, _, _ uint32) uint32 { return x & 255 }},
		{name: "cvt.s64.s8", body: "cvt.s64.s8 %dl, %xl;", wide: func(x, _, _ uint64) uint64 { return uint64(int64(int8(x))) }},
	}
}

func reals() []lane {
	d := func(f func(float64) float64) func(x, _, _ float32) float32 {
		return func(x, _, _ float32) float32 { return float32(f(float64(x))) }
	}
	unsigned := func(x float32) uint32 {
		switch {
		case x != x || x <= 0:
			return 0
		case x >= 1<<32:
			return math.MaxUint32
		}
		return uint32(x)
	}
	double := func(op string, f func(x, y, z float64) float64) lane {
		return lane{name: op, body: "mov.b64 %g1, %xl; mov.b64 %g2, %yl; mov.b64 %g3, %zl;\n" + op + ";\nmov.b64 %dl, %g4;",
			wide: func(x, y, z uint64) uint64 { return b64(f(f64(x), f64(y), f64(z))) }}
	}
	return []lane{
		float3("add.rn.f32", 2, 0, func(x, y, _ float32) float32 { return x + y }),
		float3("sub.f32", 2, 0, func(x, y, _ float32) float32 { return x - y }),
		float3("mul.rn.f32", 2, 0, func(x, y, _ float32) float32 { return x * y }),
		float3("mul.ftz.f32", 2, 0, func(x, y, _ float32) float32 { return flush(flush(x) * flush(y)) }),
		float3("add.sat.f32", 2, 0, func(x, y, _ float32) float32 {
			if v := x + y; v == v {
				return max(0, min(v, 1))
			}
			return 0
		}),
		float3("fma.rn.f32", 3, 0, fma32),
		float3("div.rn.f32", 2, 0, func(x, y, _ float32) float32 { return x / y }),
		float3("sqrt.rn.f32", 1, 0, d(math.Sqrt)),
		float3("rcp.rn.f32", 1, 0, func(x, _, _ float32) float32 { return 1 / x }),
		float3("min.f32", 2, 0, func(x, y, _ float32) float32 { return minF(x, y) }),
		float3("max.f32", 2, 0, func(x, y, _ float32) float32 { return -minF(-x, -y) }),
		float3("neg.f32", 1, 0, func(x, _, _ float32) float32 { return -x }),
		float3("ex2.approx.f32", 1, 2, d(math.Exp2)),
		float3("lg2.approx.f32", 1, 2, d(math.Log2)),
		float3("rsqrt.approx.f32", 1, 2, d(func(x float64) float64 { return 1 / math.Sqrt(x) })),
		float3("tanh.approx.f32", 1, 2, d(math.Tanh)),
		{name: "cvt.rzi.u32.f32", body: "mov.b32 %f1, %x; cvt.rzi.u32.f32 %d, %f1;", want: func(x, _, _ uint32) uint32 { return unsigned(f32(x)) }},
		{name: "cvt.rni.f32", body: "mov.b32 %f1, %x; cvt.rni.f32.f32 %f1, %f1; mov.b32 %d, %f1;",
			want: func(x, _, _ uint32) uint32 { return b32(float32(math.RoundToEven(float64(f32(x))))) }},
		{name: "cvt.rn.f32.s32", body: "cvt.rn.f32.s32 %f1, %x; mov.b32 %d, %f1;", want: func(x, _, _ uint32) uint32 { return b32(float32(int32(x))) }},
		{name: "cvt.rn.f32.u64", body: "cvt.rn.f32.u64 %f1, %xl; mov.b32 %d, %f1; cvt.u64.u32 %dl, %d;",
			wide: func(x, _, _ uint64) uint64 { return uint64(b32(float32(x))) }},
		{name: "cvt.rz.f32.f64", body: "mov.b64 %g1, %xl; cvt.rz.f32.f64 %f1, %g1; mov.b32 %d, %f1; cvt.u64.u32 %dl, %d;", wide: func(x, _, _ uint64) uint64 {
			v := f64(x)
			f := float32(v)
			if math.Abs(float64(f)) > math.Abs(v) {
				f = math.Nextafter32(f, 0)
			}
			return uint64(b32(f))
		}},
		{name: "setp.f32", body: "mov.b32 %f1, %x; mov.b32 %f2, %y; setp.lt.f32 %p, %f1, %f2; setp.geu.f32 %q, %f1, %f2; selp.u32 %d, 1, 0, %p; " +
			"@%q or.b32 %d, %d, 2;",
			want: func(x, y, _ uint32) uint32 { return truth(f32(x) < f32(y)) | truth(!(f32(x) < f32(y)))<<1 }},
		double("add.rn.f64 %g4, %g1, %g2", func(x, y, _ float64) float64 { return x + y }),
		double("fma.rn.f64 %g4, %g1, %g2, %g3", math.FMA),
		double("div.rn.f64 %g4, %g1, %g2", func(x, y, _ float64) float64 { return x / y }),
	}
}

func flush(x float32) float32 {
	if math.Float32bits(x)&0x7f800000 == 0 {
		return math.Float32frombits(math.Float32bits(x) & 0x80000000)
	}
	return x
}

// fma32 rounds once: the product is exact in float64, the sum rounded to odd there.
func fma32(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	if math.IsInf(s, 0) || s != s {
		return float32(s)
	}
	t := s - p
	if e := (p - (s - t)) + (c - t); e != 0 && math.Float64bits(s)&1 == 0 {
		if (e > 0) == (s > 0) {
			s = math.Float64frombits(math.Float64bits(s) + 1)
		} else {
			s = math.Float64frombits(math.Float64bits(s) - 1)
		}
	}
	return float32(s)
}

func samples(n int) []uint64 {
	rng := rand.New(rand.NewPCG(1, 2))
	edge := []uint64{0, 1, 31, 32, 33, 0x7fffffff, 0x80000000, 0xffffffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x3f800000, 0x00800000, 0x007fffff, 1 << 63,
		math.MaxInt64, math.MaxUint64,
		b64(1), b64(-0.5), b64(math.Inf(1)), b64(math.NaN()), b64(1e300), b64(1e-310), uint64(b32(-1.5)), uint64(b32(2.5)), 0x80000001}
	v := make([]uint64, n)
	for i := range v {
		switch rng.IntN(4) {
		case 0:
			v[i] = edge[rng.IntN(len(edge))]
		case 1:
			v[i] = uint64(b32(float32(rng.NormFloat64()))) | uint64(rng.Uint32())<<32
		case 2:
			v[i] = b64(rng.NormFloat64())
		default:
			v[i] = rng.Uint64()
		}
	}
	return v
}

func sameFloat(got, want uint32, ulp float64) bool {
	g, w := f32(got), f32(want)
	if g != g || w != w {
		return g != g && w != w
	}
	if g == w {
		return got == want || ulp > 0
	}
	unit := float64(math.Nextafter32(float32(math.Abs(float64(w))), math.MaxFloat32)) - math.Abs(float64(w))
	return math.Abs(float64(g)-float64(w)) <= ulp*unit
}

func testLanes(t *testing.T, lanes []lane, isFloat bool) {
	r := start(t, Config{})
	const n = 331
	in := samples(3 * n)
	src, dst := r.upload(longs(in...)), r.alloc(8*n)
	for _, c := range lanes {
		tail := "cvt.u64.u32 %dl, %d;"
		if c.wide != nil {
			tail = ""
		}
		f := r.kernel(fmt.Sprintf(lanePTX, c.body, tail))
		if code := r.run(f, dims{grid: 4, block: 96}, src, dst, n); code != 0 {
			why, _ := r.state.Refusal()
			t.Fatalf("%s: %d %s", c.name, code, why)
		}
		for i, got := range asLongs(r.download(dst, 8*n)) {
			x, y, z := in[3*i], in[3*i+1], in[3*i+2]
			var ok bool
			var want uint64
			if c.wide != nil {
				want = c.wide(x, y, z)
				ok = got == want || isFloat && math.IsNaN(f64(want)) && math.IsNaN(f64(got)) || isFloat && f32(uint32(want)) != f32(uint32(want)) &&
					f32(uint32(got)) != f32(uint32(got))
			} else {
				want = uint64(c.want(uint32(x), uint32(y), uint32(z)))
				ok = got == want || isFloat && sameFloat(uint32(got), uint32(want), c.ulp)
			}
			if !ok {
				t.Errorf("%s: lane %d of %x %x %x: %x, want %x", c.name, i, x, y, z, got, want)
				break
			}
		}
	}
}

func TestIntegers(t *testing.T) { testLanes(t, integers(), false) }
func TestFloats(t *testing.T)   { testLanes(t, reals(), true) }
