package kernel

import (
	"fmt"
	"math"
	"testing"

	"github.com/aimass/aimass/cuda/kernels"
	"github.com/aimass/aimass/kernels/act"
)

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softplus64(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func clip64(x, lo, hi float64) float64 {
	if x < lo {
		x = lo
	}
	if x > hi {
		x = hi
	}
	return x
}

func elu64(x, a float64) float64 {
	if x < 0 {
		return a * math.Expm1(x)
	}
	return x
}

func only(f func(float64) float64) func(x, a, b float64) float64 {
	return func(x, _, _ float64) float64 { return f(x) }
}

func truth(v bool) float64 { return pick(v, 1.0, 0.0) }

// unaryWant is what the table's functions mean.
var unaryWant = map[string]func(x, a, b float64) float64{
	"relu":             only(func(x float64) float64 { return pick(x < 0, 0, x) }),
	"leaky_relu":       func(x, a, _ float64) float64 { return pick(x < 0, a*x, x) },
	"clip":             clip64,
	"hard_sigmoid":     func(x, a, b float64) float64 { return clip64(a*x+b, 0, 1) },
	"hard_swish":       only(func(x float64) float64 { return x * clip64(x/6+0.5, 0, 1) }),
	"sigmoid":          only(sigmoid64),
	"tanh":             only(math.Tanh),
	"silu":             func(x, a, _ float64) float64 { return x * sigmoid64(a*x) },
	"gelu":             only(func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }),
	"gelu_tanh":        only(func(x float64) float64 { return x * sigmoid64(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)) }),
	"elu":              func(x, a, _ float64) float64 { return elu64(x, a) },
	"selu":             func(x, a, b float64) float64 { return b * elu64(x, a) },
	"celu":             func(x, a, _ float64) float64 { return pick(x < 0, a*math.Expm1(x/a), x) },
	"softplus":         only(softplus64),
	"mish":             only(func(x float64) float64 { return x * math.Tanh(softplus64(x)) }),
	"softsign":         only(func(x float64) float64 { return x / (1 + math.Abs(x)) }),
	"thresholded_relu": func(x, a, _ float64) float64 { return pick(x > a, x, 0) },
	"neg":              only(func(x float64) float64 { return -x }),
	"abs":              only(math.Abs),
	"sqrt":             only(math.Sqrt),
	"rsqrt":            only(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	"reciprocal":       only(func(x float64) float64 { return 1 / x }),
	"square":           only(func(x float64) float64 { return x * x }),
	"exp":              only(math.Exp),
	"log":              only(math.Log),
	"erf":              only(math.Erf),
	"floor":            only(math.Floor),
	"ceil":             only(math.Ceil),
	"round":            only(math.RoundToEven),
	"sign":             only(func(x float64) float64 { return pick(x > 0, 1, pick(x < 0, -1, x)) }),
	"affine":           func(x, a, b float64) float64 { return a*x + b },
	"sin":              only(math.Sin),
	"cos":              only(math.Cos),
	"tan":              only(math.Tan),
	"asin":             only(math.Asin),
	"acos":             only(math.Acos),
	"atan":             only(math.Atan),
	"sinh":             only(math.Sinh),
	"cosh":             only(math.Cosh),
	"asinh":            only(math.Asinh),
	"acosh":            only(math.Acosh),
	"atanh":            only(math.Atanh),
	"is_nan":           only(func(x float64) float64 { return truth(x != x) }),
	"is_inf": func(x, a, b float64) float64 {
		return truth(a != 0 && math.IsInf(x, -1) || b != 0 && math.IsInf(x, 1))
	},
}

// unaryScale is what an error may be measured against besides the result: the terms whose
// difference the result is.
var unaryScale = map[string]func(x float64) float64{
	"sin": func(float64) float64 { return 1 }, "cos": func(float64) float64 { return 1 },
	"tan":    func(x float64) float64 { return math.Tan(x) * math.Tan(x) },
	"affine": math.Abs, "gelu": math.Abs, "gelu_tanh": math.Abs, "hard_sigmoid": math.Abs, "hard_swish": math.Abs, "mish": math.Abs,
	"acos": func(float64) float64 { return 1 },
}

var specials = []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, -0.5, 2.5, 1e-20, -1e-20, 1e-3, 20, -20, 88, -88, 100, -100, 1e5, -1e5,
	3e9, -7e20, 3e38, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 0.99999, 1.00001, 1.5, -1.5, 48039.5, 1e-38}

func (b *bench) values(n int) []float32 {
	v := b.normal(n)
	for i := range v {
		v[i] *= pick(i%3 == 0, float32(8), float32(1))
		if n < 1000 && i >= n-len(specials) && i >= n/2 {
			v[i] = specials[(i+n)%len(specials)]
		}
	}
	return v
}

func (b *bench) unary(u kernels.Unary, x []float32, p, q float32) {
	n := len(x)
	var y = room[float32](b, n)
	if u.Bool {
		y = room[byte](b, n)
	}
	b.do(AppendUnary(nil, Unary{Name: u.Name, X: put(b, x), Y: y, N: int64(n), A: p, B: q}))
	var got []float32
	if u.Bool {
		got = convert[float32](get[byte](b, y, n))
	} else {
		got = get[float32](b, y, n)
	}
	want, scale := make([]float64, n), make([]float64, n)
	for i, v := range x {
		want[i] = unaryWant[u.Name](float64(v), float64(p), float64(q))
		if f := unaryScale[u.Name]; f != nil && !math.IsInf(float64(v), 0) && v == v && math.Abs(float64(v)) < 1e30 {
			scale[i] = f(float64(v))
		}
	}
	b.near(fmt.Sprintf("%s of %d", u.Name, n), got, want, scale, 1e-5)
}

func unaryChecks() []check {
	var all []check
	for _, u := range kernels.Unaries {
		p, q := float32(0.25), float32(0.75)
		if u.Name == "celu" || u.Name == "silu" {
			p = 1.5
		}
		all = append(all, check{"unary/" + u.Name, false, func(b *bench) {
			b.unary(u, append([]float32{}, specials...), p, q)
			if u.Bool {
				b.unary(u, append([]float32{}, specials...), 0, 1)
			}
			for _, n := range []int{1, 31, 33, 127, 129, 1043} {
				for b.shift = 0; b.shift <= 4; b.shift += 4 {
					b.unary(u, b.values(n), p, q)
				}
			}
		}}, check{"unary/big/" + u.Name, true, func(b *bench) { b.unary(u, b.values(1_000_003), p, q) }})
	}
	return all
}

// TestTables holds the table in cuda/kernels against what gives its functions a meaning.
func TestTables(t *testing.T) {
	for _, u := range kernels.Unaries {
		if unaryWant[u.Name] == nil {
			t.Errorf("no meaning in float64 for %s", u.Name)
		}
		if u.Func == act.None {
			continue
		}
		f := act.Act{Func: u.Func, A: 0.25, B: 0.75}
		for _, x := range []float32{-3, -0.1, 0.1, 0.3, 3} {
			want := float32(unaryWant[u.Name](float64(x), 0.25, 0.75))
			if got := f.Eval(x); got != want && math.Abs(float64(got-want)) > 1e-6*math.Abs(float64(want)) && got == got {
				t.Errorf("act.Func %d is not %s: %g and %g at %g", u.Func, u.Name, got, want, x)
			}
		}
	}
	for f := act.Func(1); int(f) < act.Count; f++ {
		if _, ok := UnaryName(f); !ok {
			t.Errorf("the table lacks act.Func %d", f)
		}
	}
	for _, f := range kernels.Binaries {
		if binaryWant[f.Name] == nil {
			t.Errorf("no meaning in float64 for %s", f.Name)
		}
	}
}

func nanMin(x, y float64) float64 { return pick(x != x || y != y, math.NaN(), min(x, y)) }

func nanMax(x, y float64) float64 { return pick(x != x || y != y, math.NaN(), max(x, y)) }

// binaryWant is what the table's functions mean for floats.
var binaryWant = map[string]func(x, y float64) float64{
	"add": func(x, y float64) float64 { return x + y }, "sub": func(x, y float64) float64 { return x - y },
	"mul": func(x, y float64) float64 { return x * y }, "div": func(x, y float64) float64 { return x / y },
	"min": nanMin, "max": nanMax, "fmod": math.Mod, "pow": math.Pow,
	"prelu": func(x, y float64) float64 { return pick(x < 0, x*y, x) },
	"eq":    func(x, y float64) float64 { return truth(x == y) }, "lt": func(x, y float64) float64 { return truth(x < y) },
	"le": func(x, y float64) float64 { return truth(x <= y) }, "gt": func(x, y float64) float64 { return truth(x > y) },
	"ge":  func(x, y float64) float64 { return truth(x >= y) },
	"mod": func(x, y float64) float64 { return x - y*math.Floor(x/y) },
	"and": func(x, y float64) float64 { return float64(int(x) & int(y)) },
	"or":  func(x, y float64) float64 { return float64(int(x) | int(y)) },
	"xor": func(x, y float64) float64 { return float64(int(x) ^ int(y)) },
}

// integerWant is that for integers, in int64; the caller cuts to the width.
func integerWant(name string, x, y int64) int64 {
	flag := func(c bool) int64 { return pick(c, int64(1), 0) }
	switch name {
	case "add":
		return x + y
	case "sub":
		return x - y
	case "mul":
		return x * y
	case "div":
		return pick(y == 0, 0, x/pick(y == 0, 1, y))
	case "min":
		return min(x, y)
	case "max":
		return max(x, y)
	case "fmod":
		return pick(y == 0, 0, x%pick(y == 0, 1, y))
	case "mod":
		if y == 0 {
			return 0
		}
		r := x % y
		return pick(r != 0 && (r < 0) != (y < 0), r+y, r)
	case "eq":
		return flag(x == y)
	case "lt":
		return flag(x < y)
	case "le":
		return flag(x <= y)
	case "gt":
		return flag(x > y)
	case "ge":
		return flag(x >= y)
	case "and":
		return x & y
	case "or":
		return x | y
	case "xor":
		return x ^ y
	}
	panic("BUG: no meaning for " + name)
}

// broadcast is a pair of shapes that is tried.
type broadcast struct{ x, y, z []int }

var broadcasts = []broadcast{
	{[]int{31}, []int{31}, []int{31}},
	{[]int{129}, []int{129}, []int{129}},
	{[]int{1043}, []int{1}, []int{1043}},
	{[]int{1}, []int{3, 11}, []int{3, 11}},
	{[]int{31, 33}, []int{33}, []int{31, 33}},
	{[]int{5, 1, 7}, []int{1, 3, 7}, []int{5, 3, 7}},
	{[]int{3, 1, 5, 1}, []int{2, 1, 4}, []int{3, 2, 5, 4}},
	{[]int{2, 1, 3, 1, 2, 1}, []int{1, 3, 1, 2, 1, 5}, []int{2, 3, 3, 2, 2, 5}},
}

func count(dims []int) int {
	n, _ := elements(dims...)
	return int(n)
}

// index gives the place in a tensor with strides of element i of a contiguous dims.
func index(i int, dims []int, strides []int64) int {
	at := 0
	for k := len(dims) - 1; k >= 0; k-- {
		at += i % dims[k] * int(strides[k])
		i /= dims[k]
	}
	return at
}

func (b *bench) binaryFloat(f kernels.Binary, s broadcast) {
	x, y := b.values(count(s.x)), b.values(count(s.y))
	for i := range y {
		if i%5 == 0 {
			y[i] = x[i%len(x)]
		}
		if f.Name == "pow" && y[i] == y[i] && i%2 == 0 {
			y[i] = float32(math.Round(float64(y[i])))
		}
	}
	n := count(s.z)
	sx, _ := BroadcastStrides(s.x, s.z)
	sy, _ := BroadcastStrides(s.y, s.z)
	z := pick(f.Bool, room[byte](b, n), room[float32](b, n))
	b.do(AppendBinary(nil, Binary{Name: f.Name, DType: "f32", X: put(b, x), Y: put(b, y), Z: z, Dims: s.z, StridesX: sx, StridesY: sy}))
	var got []float32
	if f.Bool {
		got = convert[float32](get[byte](b, z, n))
	} else {
		got = get[float32](b, z, n)
	}
	want, scale := make([]float64, n), make([]float64, n)
	for i := range want {
		u, v := float64(x[index(i, s.z, sx)]), float64(y[index(i, s.z, sy)])
		want[i] = binaryWant[f.Name](u, v)
		if (f.Name == "add" || f.Name == "sub") && !math.IsInf(want[i], 0) {
			scale[i] = math.Abs(u)
		}
	}
	b.near(fmt.Sprintf("%s %v", f.Name, s), got, want, scale, 1e-5)
}

func binaryInteger[T int32 | int64 | uint8](b *bench, f kernels.Binary, dtype string, s broadcast) {
	fill := func(n int) []T {
		v := make([]T, n)
		for i := range v {
			v[i] = T(b.rng.IntN(41)) - 20
			if f.Name == "and" || f.Name == "or" || f.Name == "xor" {
				v[i] = T(b.rng.IntN(2))
			} else if dtype != "u8" && i%7 == 3 {
				v[i] = T(b.rng.Uint64())
			}
		}
		return v
	}
	x, y := fill(count(s.x)), fill(count(s.y))
	n := count(s.z)
	sx, _ := BroadcastStrides(s.x, s.z)
	sy, _ := BroadcastStrides(s.y, s.z)
	z := pick(f.Bool, room[byte](b, n), room[T](b, n))
	b.do(AppendBinary(nil, Binary{Name: f.Name, DType: dtype, X: put(b, x), Y: put(b, y), Z: z, Dims: s.z, StridesX: sx, StridesY: sy}))
	want, bools := make([]T, n), make([]byte, n)
	for i := range want {
		v := integerWant(f.Name, int64(x[index(i, s.z, sx)]), int64(y[index(i, s.z, sy)]))
		want[i], bools[i] = T(v), byte(v)
	}
	if f.Bool {
		equal(b, f.Name, get[byte](b, z, n), bools)
	} else {
		equal(b, f.Name, get[T](b, z, n), want)
	}
}

func binaryChecks() []check {
	var all []check
	for _, f := range kernels.Binaries {
		for _, dtype := range f.Types {
			all = append(all, check{"binary/" + f.Name + "/" + dtype, false, func(b *bench) {
				for i, s := range broadcasts {
					switch dtype {
					case "f32":
						b.shift = int64(i % 2 * 4)
						b.binaryFloat(f, s)
					case "i32":
						binaryInteger[int32](b, f, dtype, s)
					case "i64":
						binaryInteger[int64](b, f, dtype, s)
					default:
						binaryInteger[uint8](b, f, dtype, s)
					}
				}
				if dtype == "f32" {
					for b.shift = 0; b.shift <= 4; b.shift += 4 {
						for _, s := range broadcasts[:4] {
							b.binaryFloat(f, s)
						}
					}
				}
			}})
			if dtype == "f32" {
				all = append(all, check{"binary/big/" + f.Name, true, func(b *bench) {
					b.binaryFloat(f, broadcast{[]int{1_000_003}, []int{1_000_003}, []int{1_000_003}})
				}})
			}
		}
	}
	for _, size := range []int{1, 4, 8} {
		all = append(all, check{fmt.Sprintf("where/%d", size), false, func(b *bench) {
			for _, s := range broadcasts {
				where(b, size, s)
			}
		}})
	}
	return all
}

func where(b *bench, size int, s broadcast) {
	n := count(s.z)
	cond := convert[uint8](b.integers(count(s.y), 0, 1))
	x, y := convert[uint8](b.integers(count(s.x)*size, 0, 255)), convert[uint8](b.integers(n*size, 0, 255))
	sc, _ := BroadcastStrides(s.y, s.z)
	sx, _ := BroadcastStrides(s.x, s.z)
	z := room[byte](b, n*size)
	b.do(AppendWhere(nil, Where{Size: size, C: put(b, cond), X: put(b, x), Y: put(b, y), Z: z, Dims: s.z, StridesC: sc, StridesX: sx, StridesY: dense(s.z)}))
	want := make([]byte, 0, n*size)
	for i := range n {
		if cond[index(i, s.z, sc)] != 0 {
			at := index(i, s.z, sx) * size
			want = append(want, x[at:at+size]...)
		} else {
			want = append(want, y[i*size:(i+1)*size]...)
		}
	}
	equal(b, "where", get[byte](b, z, n*size), want)
}

func castChecks() []check {
	var all []check
	for _, c := range kernels.Casts() {
		all = append(all, check{"cast/" + c.From + "/" + c.To, false, func(b *bench) {
			for _, n := range []int{1, 31, 257} {
				b.cast(c, n)
			}
		}})
	}
	return all
}

// cast tries values that both types hold, and whose fractions are cut.
func (b *bench) cast(c kernels.Cast, n int) {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(b.rng.IntN(256)-128) + pick(c.From == "f32" || c.From == "f16" || c.From == "f64", 0.25*float64(b.rng.IntN(4)), 0)
		if c.From == "u8" || c.To == "u8" {
			v[i] = math.Abs(v[i])
		}
		if i%4 == 0 {
			v[i] = 0
		}
		if c.To == "i8" && v[i] < -127 || v[i] > 127 && (c.To == "i8" || c.From == "i8") {
			v[i] = -127
		}
		if c.To == "i8" && c.From == "u8" || c.To == "u8" && c.From == "i8" {
			v[i] = float64(b.rng.IntN(128))
		}
	}
	x := b.encode(c.From, v)
	y := room[byte](b, n*int(sizes[c.To]))
	b.do(AppendCast(nil, c.From, c.To, x, y, int64(n)))
	want := make([]float64, n)
	for i := range v {
		switch c.To {
		case "f32", "f16", "f64":
			want[i] = v[i]
		case "bool":
			want[i] = truth(v[i] != 0)
		default:
			want[i] = math.Trunc(v[i])
		}
	}
	equal(b, "cast", b.decode(c.To, y, n), want)
}
