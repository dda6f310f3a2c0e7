package kernel

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/kernels/act"
)

// product is what a Gemm is tried with: g's extents, flags and functions, and which operands it has.
type product struct {
	g              Gemm
	bias, residual bool
	pad            int   // leading dimensions beyond contiguous
	shift          int64 // misalignment in bytes
	repeat         bool  // B is one for the inner batch
	eps            float64
}

func (p product) String() string {
	return fmt.Sprintf("%d×%d×%d batch %v transposed %v %v act %d pad %d shift %d", p.g.M, p.g.N, p.g.K, p.g.Batch, p.g.TransA, p.g.TransB, p.g.Act.Func, p.pad,
		p.shift)
}

// operand is a batch of matrices with strides.
type operand struct {
	v     []float32
	ld    int64
	outer int64
	inner int64
}

func (b *bench) operand(rows, cols, pad int, batch [2]int, repeat bool) operand {
	o := operand{ld: int64(cols + pad)}
	one := int64(rows) * o.ld
	o.inner, o.outer = one, one*int64(batch[1])
	n := o.outer * int64(batch[0])
	if repeat {
		o.inner, o.outer = 0, one
		n = one * int64(batch[0])
	}
	o.v = b.normal(int(n))
	return o
}

// poison sets what lies between rows to NaN: it must not even be multiplied by 0.
func (o operand) poison(cols int) operand {
	for i := range o.v {
		if i%int(o.ld) >= cols {
			o.v[i] = float32(math.NaN())
		}
	}
	return o
}

func (o operand) at(i, j, r, c int, trans bool) float64 {
	if trans {
		r, c = c, r
	}
	return float64(o.v[int64(i)*o.outer+int64(j)*o.inner+int64(r)*o.ld+int64(c)])
}

func pick[T any](c bool, a, b T) T {
	if c {
		return a
	}
	return b
}

// product runs p and compares every element, those between rows too.
func (b *bench) product(p product) {
	g := p.g
	b.shift = p.shift
	batch := [2]int{max(g.Batch[0], 1), max(g.Batch[1], 1)}
	ra, ca := pick(g.TransA, g.K, g.M), pick(g.TransA, g.M, g.K)
	rb, cb := pick(g.TransB, g.N, g.K), pick(g.TransB, g.K, g.N)
	oa, ob := b.operand(ra, ca, p.pad, batch, false).poison(ca), b.operand(rb, cb, p.pad, batch, p.repeat).poison(cb)
	oc := b.operand(g.M, g.N, p.pad, batch, false)
	g.LDA, g.LDB, g.LDC = oa.ld, ob.ld, oc.ld
	g.StrideA, g.StrideB, g.StrideC = [2]int64{oa.outer, oa.inner}, [2]int64{ob.outer, ob.inner}, [2]int64{oc.outer, oc.inner}
	bias := b.normal(pick(g.BiasRow, g.M, g.N))
	var halfC []uint16
	switch {
	case g.Precision == F16:
		g.A, g.B = put(b, halves(oa.v)), put(b, halves(ob.v))
	default:
		g.A, g.B = put(b, oa.v), put(b, ob.v)
	}
	if g.HalfC {
		halfC = halves(oc.v)
		g.C = put(b, halfC)
	} else {
		g.C = put(b, oc.v)
	}
	if p.bias {
		g.Bias = put(b, bias)
	}
	if p.residual {
		g.Residual = g.C
		if g.Act.Func == act.None { // residual of its own, not in place
			g.Residual = pick(g.HalfC, put(b, halfC), put(b, oc.v))
		}
	}
	if n := g.Workspace(); n > 0 {
		shift := b.shift
		b.shift = 0
		g.Scratch = room[byte](b, int(n))
		b.shift = shift
	}
	b.do(AppendGemm(nil, g))
	var got []float32
	if g.HalfC {
		got = floats(get[uint16](b, g.C, len(oc.v)))
	} else {
		got = get[float32](b, g.C, len(oc.v))
	}
	want, scale := make([]float64, len(oc.v)), make([]float64, len(oc.v))
	for i := range oc.v {
		want[i] = float64(oc.v[i]) // what lies between rows stays
	}
	for i := range batch[0] {
		for j := range batch[1] {
			for r := range g.M {
				for c := range g.N {
					var sum, sumAbs float64
					for k := range g.K {
						v := oa.at(i, j, r, k, g.TransA) * ob.at(i, j, k, c, g.TransB)
						sum += v
						sumAbs += math.Abs(v)
					}
					at := int64(i)*oc.outer + int64(j)*oc.inner + int64(r)*oc.ld + int64(c)
					want[at], scale[at] = p.finish(sum, sumAbs, float64(bias[pick(g.BiasRow, r, c)]), float64(oc.v[at]))
				}
			}
		}
	}
	b.near(p.String(), got, want, scale, p.eps)
}

// finish is the epilogue in float64.
func (p product) finish(sum, sumAbs, bias, residual float64) (v, scale float64) {
	alpha := float64(p.g.alpha())
	sum, sumAbs = sum*alpha, sumAbs*math.Abs(alpha)
	if p.bias {
		sum += bias
		sumAbs += math.Abs(bias)
	}
	if p.residual && p.g.ResidualFirst {
		sum += residual
		sumAbs += math.Abs(residual)
	}
	sum = evaluate(p.g.Act, sum)
	if p.residual && !p.g.ResidualFirst {
		sum += residual
		sumAbs += math.Abs(residual)
	}
	return sum, sumAbs
}

// evaluate is act.Act in float64 as far as epilogues know it.
func evaluate(f act.Act, x float64) float64 {
	if f.Func == act.None {
		return x
	}
	name, _ := UnaryName(f.Func)
	return unaryWant[name](x, float64(f.A), float64(f.B))
}

func gemmChecks() []check {
	var all []check
	add := func(kind string, big bool, p product) {
		if p.eps == 0 {
			p.eps = 1e-5
		}
		all = append(all, check{fmt.Sprintf("gemm/%s/%v", kind, p), big, func(b *bench) { b.product(p) }})
	}
	silu := Epilogue{Act: act.Act{Func: act.Silu, A: 1}}
	gelu := Epilogue{Act: act.Act{Func: act.Gelu}, ResidualFirst: true, Alpha: -0.5}
	for _, nt := range []bool{false, true} {
		// Tiles of 64, those of 128 by a batch of 108.
		for i, s := range [][3]int{{17, 1, 1}, {31, 33, 7}, {33, 129, 65}, {65, 63, 17}, {129, 127, 33}} {
			p := product{g: Gemm{M: s[0], N: s[1], K: s[2], TransB: nt}, bias: i%2 == 0, residual: i%3 == 1, pad: i % 2 * 3, shift: int64(i % 3 * 4)}
			if i > 2 {
				p.g.Epilogue = pick(i == 3, silu, gelu)
				p.residual = true
				p.g.BiasRow = i == 4
			}
			add("tile", false, p)
		}
		add("tile", false, product{g: Gemm{M: 31, N: 33, K: 20, TransB: nt, Batch: [2]int{12, 9}, Epilogue: gelu}, bias: true, residual: true})
		add("tile", true, product{g: Gemm{M: 129, N: 131, K: 33, TransB: nt, Batch: [2]int{3, 9}}, repeat: true, pad: 1, shift: 4})
		add("tile", true, product{g: Gemm{M: 128, N: 132, K: 24, TransB: nt, Batch: [2]int{6, 9}, Epilogue: silu}, residual: true})
		add("split", false, product{g: Gemm{M: 33, N: 31, K: 1027, TransB: nt, Batch: [2]int{2, 1}, Epilogue: gelu}, bias: true, residual: true, pad: 1})
		add("split", false, product{g: Gemm{M: 32, N: 36, K: 516, TransB: nt, Epilogue: Epilogue{BiasRow: true}}, bias: true})
		add("transposed", false, product{g: Gemm{M: 31, N: 33, K: 37, TransA: true, TransB: nt, Batch: [2]int{2, 3}}, repeat: true, pad: 1})
		for i, s := range [][3]int{{1, 1, 1}, {1, 129, 31}, {1, 260, 1028}, {3, 127, 33}, {4, 132, 516}, {5, 33, 129}, {16, 129, 65}, {16, 132, 520}} {
			p := product{g: Gemm{M: s[0], N: s[1], K: s[2], TransB: nt}, bias: i%2 == 0, residual: i%3 == 1, pad: i % 2 * 3, shift: int64(pick(i == 3 || i == 6, 4, 0))}
			if i == 2 || i == 7 {
				p.pad, p.g.Epilogue, p.residual = 0, gelu, true
			}
			add("rows", false, p)
		}
		for _, m := range []int{1, 4, 16} { // nothing aligned, and everything
			add("rows", false, product{g: Gemm{M: m, N: 127, K: 277, TransB: nt}, shift: 4})
			add("rows", false, product{g: Gemm{M: m, N: 128, K: 448, TransB: nt}})
		}
		add("tile", false, product{g: Gemm{M: 32, N: 36, K: 24, TransB: nt, Batch: [2]int{12, 9}}})
		add("tile", false, product{g: Gemm{M: 33, N: 31, K: 23, TransB: nt, Batch: [2]int{12, 9}}, shift: 4})
		add("tile", false, product{g: Gemm{M: 64, N: 64, K: 48, TransB: nt}})
		add("tile", false, product{g: Gemm{M: 20, N: 64, K: 20, TransB: nt}})
		add("tile", false, product{g: Gemm{M: 20, N: 64, K: 28, TransB: nt}})
		// Rows that end within the 16 bytes that are read at once.
		for _, k := range []int{4, 7, 11, 12, 27} {
			add("tile", false, product{g: Gemm{M: 40, N: 100, K: k, TransB: nt}, pad: 3})
			add("tile", false, product{g: Gemm{M: 40, N: 100, K: k, TransB: nt, Batch: [2]int{12, 9}}, pad: 3})
		}
		add("tile", false, product{g: Gemm{M: 33, N: 35, K: 35, TransB: nt}, pad: 1})
		add("tile", false, product{g: Gemm{M: 33, N: 35, K: 35, TransB: nt, Batch: [2]int{12, 9}}, pad: 1})
		for _, m := range []int{1, 2, 3, 4, 6, 9, 13, 16} { // each unrolled copy meets each end
			for _, k := range []int{73, 81, 93, 97, 264} {
				add("rows", false, product{g: Gemm{M: m, N: 128, K: k, TransB: nt}, bias: true, residual: k == 81})
				for n := 125; n <= 127; n++ {
					add("rows", false, product{g: Gemm{M: m, N: n, K: k, TransB: nt}, shift: 4})
				}
			}
		}
		add("rows", false, product{g: Gemm{M: 2, N: 130, K: 70, TransB: nt, Batch: [2]int{2, 3}, Epilogue: silu}, repeat: true, bias: true, residual: true})
	}
	for f := act.None; EpilogueFunc(f); f++ {
		add("split", false, product{g: Gemm{M: 17, N: 5, K: 1024, Epilogue: Epilogue{Act: act.Act{Func: f, A: 0.25, B: 0.5}, Alpha: 0.1}}, residual: true})
	}
	add("split", false, product{g: Gemm{M: 472, N: 480, K: 512}})
	add("empty", false, product{g: Gemm{M: 17, N: 5, K: 0}, bias: true})
	add("many", true, product{g: Gemm{M: 1, N: 1, K: 1, TransB: true, Batch: [2]int{1, maxGrid + 2}}, residual: true})
	for f := act.Relu; EpilogueFunc(f); f++ {
		add("epilogue", false, product{g: Gemm{M: 33, N: 7, K: 3, Epilogue: Epilogue{Act: act.Act{Func: f, A: 0.25, B: 0.5}, Alpha: 9}}})
	}
	all = append(all, check{"gemm/overflow", false, func(b *bench) {
		a := []float32{3e38, 3e38, -1, float32(math.NaN()), float32(math.Inf(1)), 1}
		y := room[float32](b, 3)
		b.do(AppendGemm(nil, Gemm{M: 3, N: 1, K: 2, A: put(b, a), B: put(b, []float32{1, 1}), C: y}))
		b.near("overflow", get[float32](b, y, 3), []float64{math.Inf(1), math.NaN(), math.Inf(1)}, nil, 1e-5)
	}})
	return all
}

func tensorChecks() []check {
	var all []check
	gelu := Epilogue{Act: act.Act{Func: act.Gelu}, Alpha: 0.25}
	for _, nt := range []bool{false, true} {
		for _, half := range []bool{false, true} {
			for i, s := range [][3]int{{1, 1, 1}, {33, 31, 7}, {127, 65, 33}, {129, 64, 48}, {64, 129, 127}, {40, 72, 1040}} {
				p := product{g: Gemm{M: s[0], N: s[1], K: s[2], TransB: nt, Precision: pick(half, F16, TF32)}, eps: pick(half, 1e-5, 1e-3),
					bias: i%2 == 0, residual: i%2 == 1, pad: pick(i == 2, 3, pick(i >= 3, 8, 0)), shift: int64(pick(i == 4, 4, 0))}
				if i == 3 || i == 5 {
					p.g.Epilogue, p.residual = gelu, true
				}
				if half && i%2 == 1 {
					p.g.HalfC, p.eps = true, 1e-2
				}
				if s[2]%8 == 0 && s[1]%8 != 0 && !nt {
					p.pad = 7
				}
				all = append(all, check{fmt.Sprintf("tensor/%v/%v", half, p), false, func(b *bench) { b.product(p) }})
			}
		}
		for _, precision := range []Precision{TF32, F16} {
			p := product{g: Gemm{M: 33, N: 47, K: 47, TransB: nt, Precision: precision}, eps: 1e-3, pad: 1}
			all = append(all, check{fmt.Sprintf("tensor/ends/%d/%v", precision, p), false, func(b *bench) { b.product(p) }})
		}
		p := product{g: Gemm{M: 17, N: 24, K: 40, TransB: nt, Precision: F16, Batch: [2]int{2, 3}}, eps: 1e-5, repeat: true}
		all = append(all, check{"tensor/batch/" + p.String(), false, func(b *bench) { b.product(p) }})
	}
	return all
}

// halves rounds to fp16 in place and gives the bits.
func halves(v []float32) []uint16 {
	out := make([]uint16, len(v))
	for i, x := range v {
		x = float32(math.RoundToEven(float64(x)*64) / 64)
		v[i] = x
		out[i] = half(x)
	}
	return out
}

// half gives the bits of a float32 that fp16 holds exactly as a normal number, zero or NaN.
func half(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	switch {
	case x == 0:
		return sign
	case x != x:
		return 0x7e00
	}
	return sign | uint16((bits>>23&255)-112)<<10 | uint16(bits>>13&0x3ff)
}

func floats(v []uint16) []float32 {
	out := make([]float32, len(v))
	for i, h := range v {
		e, m := int(h>>10&31), float64(h&0x3ff)
		x := math.Ldexp(m+1024, e-25)
		switch {
		case e == 0:
			x = math.Ldexp(m, -24)
		case e == 31:
			x = pick(m == 0, math.Inf(1), math.NaN())
		}
		out[i] = float32(pick(h&0x8000 != 0, -x, x))
	}
	return out
}

func byteChecks() []check {
	type shape struct {
		m, n, k      int
		ua, ub       bool
		za, zb       int // 0 none, 1 one, 2 each
		out          ByteOutput
		shift, given bool
	}
	var all []check
	for _, s := range []shape{
		{1, 1, 1, false, false, 0, 0, OutputInt32, false, false},
		{3, 33, 31, true, false, 1, 0, OutputFloat, false, false},
		{4, 9, 129, true, true, 1, 1, OutputByte, true, false},
		{16, 33, 132, false, true, 0, 2, OutputInt32, false, true},
		{2, 9, 40, false, false, 0, 0, OutputInt32, false, false},
		{6, 9, 43, false, false, 0, 0, OutputInt32, false, false},
		{7, 9, 48, true, false, 0, 0, OutputInt32, false, false},
		{8, 9, 42, false, false, 0, 0, OutputInt32, false, false},
		{65, 63, 331, false, false, 0, 0, OutputInt32, true, false},
		{3, 9, 41, false, false, 0, 0, OutputInt32, true, false},
		{5, 31, 256, true, false, 2, 2, OutputFloat, false, false},
		{17, 33, 31, true, true, 1, 1, OutputInt32, false, false},
		{129, 65, 128, true, false, 1, 0, OutputFloat, false, true},
		{31, 129, 208, false, false, 0, 0, OutputByte, false, false},
		{65, 63, 127, true, true, 2, 2, OutputFloat, true, false},
		{33, 31, 64, false, true, 1, 1, OutputByte, false, false},
	} {
		all = append(all, check{fmt.Sprintf("bytes/%+v", s), false, func(b *bench) {
			if s.shift {
				b.shift = 1
			}
			raw := func(unsigned bool, n int) ([]byte, []int) {
				v := b.integers(n, pick(unsigned, 0, -128), pick(unsigned, 255, 127))
				return asBytes(convert[uint8](convert[int8](v))), v
			}
			a, va := raw(s.ua, s.m*s.k)
			w, vw := raw(s.ub, s.n*s.k)
			g := GemmInt8{M: s.m, N: s.n, K: s.k, A: put(b, a), B: put(b, w), UnsignedA: s.ua, UnsignedB: s.ub, UnsignedC: s.ua,
				Output: s.out, ZeroRow: s.za == 2, ZeroCol: s.zb == 2, Act: act.Act{Func: act.LeakyRelu, A: 0.5}}
			zeros := func(kind, n int, unsigned bool) (p cuda.Ptr, v []int) {
				v = make([]int, n)
				if kind == 0 {
					return 0, v
				}
				raw, each := raw(unsigned, pick(kind == 2, n, 1))
				for i := range v {
					v[i] = each[i%len(each)]
				}
				return put(b, raw), v
			}
			var za, zb []int
			g.ZeroA, za = zeros(s.za, s.m, s.ua)
			g.ZeroB, zb = zeros(s.zb, s.n, s.ub)
			b.shift = 0
			bias, scaleB := b.normal(s.n), make([]float32, s.n)
			for i := range scaleB {
				scaleB[i] = 0.001 * float32(i%7+1)
			}
			const scaleA, scaleC, zeroC = 0.02, 0.37, 3
			if s.out != OutputInt32 {
				g.ScaleA, g.ScaleB, g.ScaleCol, g.Bias = put(b, []float32{scaleA}), put(b, scaleB), true, put(b, bias)
				g.ScaleC, g.ZeroC = put(b, []float32{scaleC}), put(b, []byte{zeroC})
			}
			if s.given {
				g.SumsB = room[int32](b, s.n)
				b.do(AppendByteSums(nil, g.B, g.SumsB, s.n, s.k, int64(s.k), s.ub))
			}
			if n := g.Workspace(); n > 0 {
				g.Scratch = room[byte](b, int(n))
			}
			g.C = pick(s.out == OutputByte, room[byte](b, s.m*s.n), room[int32](b, s.m*s.n))
			b.do(AppendGemmInt8(nil, g))
			sums, real := make([]int32, s.m*s.n), make([]float64, s.m*s.n)
			for r := range s.m {
				for c := range s.n {
					sum := 0
					for k := range s.k {
						sum += (va[r*s.k+k] - za[r]) * (vw[c*s.k+k] - zb[c])
					}
					at := r*s.n + c
					sums[at] = int32(sum)
					v := float64(sum)*float64(float32(scaleA))*float64(scaleB[c]) + float64(bias[c])
					real[at] = pick(v < 0, v*0.5, v)
				}
			}
			switch s.out {
			case OutputInt32:
				equal(b, "sums", get[int32](b, g.C, len(sums)), sums)
			case OutputFloat:
				b.near("floats", get[float32](b, g.C, len(real)), real, nil, 1e-4)
			case OutputByte:
				got := get[byte](b, g.C, len(real))
				for i, v := range real {
					lo := pick(s.ua, 0.0, -128.0)
					exact := v/float64(float32(scaleC)) + zeroC
					w := min(max(math.RoundToEven(exact-zeroC)+zeroC, lo), lo+255)
					g := pick(s.ua, float64(got[i]), float64(int8(got[i])))
					if g != w && !(math.Abs(g-w) == 1 && math.Abs(math.Abs(exact-math.Trunc(exact))-0.5) < 1e-3) {
						b.fail("bytes: element %d is %v, want %v (%v)", i, g, w, exact)
					}
				}
			}
		}})
	}
	return all
}
