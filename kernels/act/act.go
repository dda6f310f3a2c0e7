// Package act names the pointwise functions of one float32 that the kernels
// can apply: in the tile store of a GEMM or convolution, or over a whole
// tensor (kernels/elementwise). Eval here is their specification; the vector
// forms in kernels/isa/vmath.h follow it.
//
// Neighbours: gemm, conv, quant and elementwise take an Act. Everything is
// safe for concurrent use.
package act

import "math"

// Func names a function. The numbers are shared with kernels/isa/vmath.h.
type Func uint8

// The functions. A and B are the fields of Act.
const (
	None            Func = iota // x
	Relu                        // max(x, 0), NaN stays
	LeakyRelu                   // x < 0 ? A·x : x
	Clip                        // min(max(x, A), B), NaN stays
	HardSigmoid                 // max(0, min(1, A·x + B))
	HardSwish                   // x · max(0, min(1, x/6 + 1/2))
	Sigmoid                     // 1 / (1 + e^-x)
	Tanh                        // tanh x
	Silu                        // x · sigmoid(A·x); A is 1 for SiLU, 1.702 for the quick GELU
	Gelu                        // x/2 · (1 + erf(x/√2))
	GeluTanh                    // x/2 · (1 + tanh(√(2/π)·(x + 0.044715 x³)))
	Elu                         // x < 0 ? A·(e^x − 1) : x
	Selu                        // B · (x < 0 ? A·(e^x − 1) : x)
	Celu                        // max(0, x) + min(0, A·(e^(x/A) − 1))
	Softplus                    // ln(1 + e^x)
	Mish                        // x · tanh(softplus(x))
	Softsign                    // x / (1 + |x|)
	ThresholdedRelu             // x > A ? x : 0
	Neg                         // −x
	Abs                         // |x|
	Sqrt                        // √x, NaN below 0
	Rsqrt                       // 1/√x
	Reciprocal                  // 1/x
	Square                      // x·x
	Exp                         // e^x
	Log                         // ln x, −Inf at 0, NaN below
	Erf                         // erf x
	Floor                       // ⌊x⌋
	Ceil                        // ⌈x⌉
	Round                       // to the nearest integer, halves to even
	Sign                        // −1, 0 or 1; NaN stays
	Affine                      // A·x + B
	count
)

// Count is the number of functions: valid Funcs are below it.
const Count = int(count)

// Act is a function with its parameters. The zero Act changes nothing.
type Act struct {
	Func Func
	A, B float32
}

// Eval computes the function in float64 and rounds once.
func (f Act) Eval(x float32) float32 {
	switch f.Func {
	case None:
		return x
	case Relu:
		if x < 0 {
			return 0
		}
		return x
	case Clip:
		return clip(x, f.A, f.B)
	}
	return float32(f.eval64(float64(x)))
}

func clip(x, lo, hi float32) float32 {
	if x < lo {
		x = lo
	}
	if x > hi {
		x = hi
	}
	return x
}

func (f Act) eval64(x float64) float64 {
	a, b := float64(f.A), float64(f.B)
	switch f.Func {
	case LeakyRelu:
		if x < 0 {
			return a * x
		}
		return x
	case HardSigmoid:
		return clip64(a*x+b, 0, 1)
	case HardSwish:
		return x * clip64(x/6+0.5, 0, 1)
	case Sigmoid:
		return sigmoid(x)
	case Tanh:
		return math.Tanh(x)
	case Silu:
		return x * sigmoid(a*x)
	case Gelu:
		return 0.5 * x * math.Erfc(-x/math.Sqrt2)
	case GeluTanh:
		return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
	case Elu:
		return elu(x, a)
	case Selu:
		return b * elu(x, a)
	case Celu:
		return math.Max(0, x) + math.Min(0, a*math.Expm1(x/a))
	case Softplus:
		return softplus(x)
	case Mish:
		return x * math.Tanh(softplus(x))
	case Softsign:
		return x / (1 + math.Abs(x))
	case ThresholdedRelu:
		if x > a {
			return x
		}
		return 0
	}
	return f.arith64(x, a, b)
}

func (f Act) arith64(x, a, b float64) float64 {
	switch f.Func {
	case Neg:
		return -x
	case Abs:
		return math.Abs(x)
	case Sqrt:
		return math.Sqrt(x)
	case Rsqrt:
		return 1 / math.Sqrt(x)
	case Reciprocal:
		return 1 / x
	case Square:
		return x * x
	case Exp:
		return math.Exp(x)
	case Log:
		return math.Log(x)
	case Erf:
		return math.Erf(x)
	case Floor:
		return math.Floor(x)
	case Ceil:
		return math.Ceil(x)
	case Round:
		return math.RoundToEven(x)
	case Sign:
		if x > 0 {
			return 1
		}
		if x < 0 {
			return -1
		}
		return x
	case Affine:
		return a*x + b
	}
	panic("BUG: act: unknown function")
}

func clip64(x, lo, hi float64) float64 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func elu(x, a float64) float64 {
	if x < 0 {
		return a * math.Expm1(x)
	}
	return x
}

func softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// Apply evaluates f over x in place.
func (f Act) Apply(x []float32) {
	if f.Func == None {
		return
	}
	for i, v := range x {
		x[i] = f.Eval(v)
	}
}
