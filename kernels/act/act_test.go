package act

import (
	"math"
	"testing"
)

func TestEval(t *testing.T) {
	f := func(a Act, x, want float64) {
		t.Helper()
		got := float64(a.Eval(float32(x)))
		if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-6*math.Max(1, math.Abs(want)) {
			t.Fatalf("%v(%g) = %g, want %g", a, x, got, want)
		}
	}
	nan := math.NaN()
	f(Act{Func: Relu}, -1, 0)
	f(Act{Func: Relu}, nan, nan)
	f(Act{Func: LeakyRelu, A: 0.1}, -2, -0.2)
	f(Act{Func: Clip, A: -1, B: 6}, 9, 6)
	f(Act{Func: Clip, A: -1, B: 6}, nan, nan)
	f(Act{Func: HardSigmoid, A: 0.2, B: 0.5}, 1, 0.7)
	f(Act{Func: HardSwish}, -1, -1.0/3)
	f(Act{Func: Sigmoid}, 0, 0.5)
	f(Act{Func: Tanh}, 0.5, 0.46211715726)
	f(Act{Func: Silu, A: 1}, 1, 0.73105857863)
	f(Act{Func: Gelu}, 1, 0.84134474607)
	f(Act{Func: GeluTanh}, 1, 0.84119199)
	f(Act{Func: Elu, A: 2}, -1, -1.26424111766)
	f(Act{Func: Selu, A: 1.6732632, B: 1.050701}, -1, -1.1113307)
	f(Act{Func: Celu, A: 2}, -1, -0.78693868057)
	f(Act{Func: Softplus}, 1, 1.31326168752)
	f(Act{Func: Mish}, 1, 0.86509838827)
	f(Act{Func: Softsign}, -1, -0.5)
	f(Act{Func: ThresholdedRelu, A: 1}, 1, 0)
	f(Act{Func: ThresholdedRelu, A: 1}, 1.5, 1.5)
	f(Act{Func: Rsqrt}, 4, 0.5)
	f(Act{Func: Reciprocal}, 4, 0.25)
	f(Act{Func: Square}, -3, 9)
	f(Act{Func: Log}, math.E, 1)
	f(Act{Func: Log}, -1, nan)
	f(Act{Func: Erf}, 0.5, 0.52049987781)
	f(Act{Func: Round}, 2.5, 2)
	f(Act{Func: Sign}, -0.1, -1)
	f(Act{Func: Affine, A: 2, B: 1}, 3, 7)
}

func TestAllFunctions(t *testing.T) {
	for f := range Func(Count) {
		x := []float32{-1.5, 0, 2}
		Act{Func: f, A: 1, B: 1}.Apply(x) // panics for a function without an arm
	}
}
