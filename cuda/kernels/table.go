// Package kernels holds the CUDA sources and the table from which the pointwise ones are
// generated (go generate writes *_gen.cu and act_gen.cuh beside this file).
//
// Neighbours: cuda/ptx holds what the sources compile to; cuda/kernel launches it. A
// function of one element is added here, in one line, and nowhere else; its meaning in
// float64 stands in kernels/act or in the tests of cuda/kernel.
// Everything is read-only and safe for concurrent use.
package kernels

import "github.com/aimass/aimass/kernels/act"

//go:generate go run ./generate

// Unary is a function of one float32 x with the parameters a and b. Its kernel is
// "unary_" + Name.
type Unary struct {
	Name string
	// Func is the number under which epilogues and act.Act know the function; act.None
	// when they do not.
	Func act.Func
	Expr string // CUDA C++
	// Heavy functions take one element a thread: four copies of them would only cost
	// registers and bytes of PTX.
	Heavy bool
	// Bool functions give a byte 0 or 1.
	Bool bool
}

// Epilogue reports whether tile stores can apply the function.
func (u *Unary) Epilogue() bool { return EpilogueFunc(u.Func) }

// EpilogueFunc reports whether tile stores can apply f (act.None: leave alone). The list is
// short because each product's kernel carries it.
func EpilogueFunc(f act.Func) bool { return f <= act.GeluTanh }

// Unaries are all functions of one element.
var Unaries = []Unary{
	{Name: "relu", Func: act.Relu, Expr: "x < 0.f ? 0.f : x"},
	{Name: "leaky_relu", Func: act.LeakyRelu, Expr: "x < 0.f ? a * x : x"},
	{Name: "clip", Func: act.Clip, Expr: "clip(x, a, b)"},
	{Name: "hard_sigmoid", Func: act.HardSigmoid, Expr: "clip(fmaf(a, x, b), 0.f, 1.f)"},
	{Name: "hard_swish", Func: act.HardSwish, Expr: "x * clip(fmaf(x, 1.f / 6.f, 0.5f), 0.f, 1.f)"},
	{Name: "sigmoid", Func: act.Sigmoid, Expr: "sigmoid(x)"},
	{Name: "tanh", Func: act.Tanh, Expr: "tanhf(x)"},
	{Name: "silu", Func: act.Silu, Expr: "x * sigmoid(a * x)"},
	{Name: "gelu", Func: act.Gelu, Expr: "0.5f * x * erfcf(-0.707106781f * x)", Heavy: true},
	{Name: "gelu_tanh", Func: act.GeluTanh, Expr: "x * sigmoid(1.59576912f * fmaf(0.044715f * x * x, x, x))"},
	{Name: "elu", Func: act.Elu, Expr: "x < 0.f ? a * expm1f(x) : x", Heavy: true},
	{Name: "selu", Func: act.Selu, Expr: "b * (x < 0.f ? a * expm1f(x) : x)", Heavy: true},
	{Name: "celu", Func: act.Celu, Expr: "x < 0.f ? a * expm1f(x / a) : x", Heavy: true},
	{Name: "softplus", Func: act.Softplus, Expr: "softplus(x)", Heavy: true},
	{Name: "mish", Func: act.Mish, Expr: "x * tanhf(softplus(x))", Heavy: true},
	{Name: "softsign", Func: act.Softsign, Expr: "x / (1.f + fabsf(x))"},
	{Name: "thresholded_relu", Func: act.ThresholdedRelu, Expr: "x > a ? x : 0.f"},
	{Name: "neg", Func: act.Neg, Expr: "-x"},
	{Name: "abs", Func: act.Abs, Expr: "fabsf(x)"},
	{Name: "sqrt", Func: act.Sqrt, Expr: "sqrtf(x)"},
	{Name: "rsqrt", Func: act.Rsqrt, Expr: "1.f / sqrtf(x)"},
	{Name: "reciprocal", Func: act.Reciprocal, Expr: "1.f / x"},
	{Name: "square", Func: act.Square, Expr: "x * x"},
	{Name: "exp", Func: act.Exp, Expr: "expf(x)"},
	{Name: "log", Func: act.Log, Expr: "logf(x)", Heavy: true},
	{Name: "erf", Func: act.Erf, Expr: "erff(x)", Heavy: true},
	{Name: "floor", Func: act.Floor, Expr: "floorf(x)"},
	{Name: "ceil", Func: act.Ceil, Expr: "ceilf(x)"},
	{Name: "round", Func: act.Round, Expr: "rintf(x)"},
	{Name: "sign", Func: act.Sign, Expr: "x > 0.f ? 1.f : x < 0.f ? -1.f : x"},
	{Name: "affine", Func: act.Affine, Expr: "fmaf(a, x, b)"},
	{Name: "sin", Expr: "sine(x, 0)", Heavy: true},
	{Name: "cos", Expr: "sine(x, 1)", Heavy: true},
	{Name: "tan", Expr: "tangent(x)", Heavy: true},
	{Name: "asin", Expr: "asinf(x)", Heavy: true},
	{Name: "acos", Expr: "acosf(x)", Heavy: true},
	{Name: "atan", Expr: "atanf(x)", Heavy: true},
	{Name: "sinh", Expr: "sinhf(x)", Heavy: true},
	{Name: "cosh", Expr: "coshf(x)", Heavy: true},
	{Name: "asinh", Expr: "asinhf(x)", Heavy: true},
	{Name: "acosh", Expr: "acoshf(x)", Heavy: true},
	{Name: "atanh", Expr: "atanhf(x)", Heavy: true},
	{Name: "is_nan", Expr: "x != x", Bool: true},
	// a and b say whether −∞ and +∞ count.
	{Name: "is_inf", Expr: "(a != 0.f && x == -INFINITY) || (b != 0.f && x == INFINITY)", Bool: true},
}

// Binary is a function of two elements x and y of one of the Types. Its kernels are
// "binary_" + Name + "_" + type, which takes any strides, and for float32 also "linear_" + Name, for
// operands that are contiguous or one element.
type Binary struct {
	Name  string
	Types []string
	Expr  string
	Heavy bool
	Bool  bool // gives a byte 0 or 1
}

var (
	numbers  = []string{"f32", "i32", "i64"}
	integers = []string{"i32", "i64"}
)

// Binaries are all functions of two elements. Division and remainder of integers by zero give 0; the
// caller that wants an error looks at the divisor itself. Overflow wraps.
var Binaries = []Binary{
	{Name: "add", Types: numbers, Expr: "x + y"},
	{Name: "sub", Types: numbers, Expr: "x - y"},
	{Name: "mul", Types: numbers, Expr: "x * y"},
	{Name: "div", Types: numbers, Expr: "quotient(x, y)"},
	{Name: "min", Types: numbers, Expr: "least(x, y)"},
	{Name: "max", Types: numbers, Expr: "largest(x, y)"},
	{Name: "fmod", Types: numbers, Expr: "remainder_of(x, y)", Heavy: true}, // the dividend's sign
	{Name: "mod", Types: integers, Expr: "floor_mod(x, y)"},                 // the divisor's sign
	{Name: "pow", Types: []string{"f32"}, Expr: "powf(x, y)", Heavy: true},
	{Name: "prelu", Types: []string{"f32"}, Expr: "x < 0.f ? x * y : x"},
	{Name: "eq", Types: []string{"f32", "i32", "i64", "u8"}, Expr: "x == y", Bool: true},
	{Name: "lt", Types: numbers, Expr: "x < y", Bool: true},
	{Name: "le", Types: numbers, Expr: "x <= y", Bool: true},
	{Name: "gt", Types: numbers, Expr: "x > y", Bool: true},
	{Name: "ge", Types: numbers, Expr: "x >= y", Bool: true},
	{Name: "and", Types: []string{"u8"}, Expr: "x & y"},
	{Name: "or", Types: []string{"u8"}, Expr: "x | y"},
	{Name: "xor", Types: []string{"u8"}, Expr: "x ^ y"},
}

// Types maps the short names of element types to CUDA's.
var Types = map[string]string{
	"f32": "float", "f16": "__half", "f64": "double", "i64": "i64", "i32": "int", "u8": "uint8_t", "i8": "int8_t", "bool": "bool",
}

// Cast is a conversion; its kernel is "cast_" + From + "_" + To. A bool is read as u8.
type Cast struct{ From, To string }

// Casts are all conversions.
func Casts() []Cast {
	var all []Cast
	for _, from := range []string{"f32", "f16", "i32", "i64", "u8", "i8"} {
		for _, to := range []string{"f32", "f16", "i32", "i64", "u8", "i8", "bool"} {
			if from != to {
				all = append(all, Cast{from, to})
			}
		}
	}
	return append(all, Cast{"f32", "f64"}, Cast{"f64", "f32"})
}
