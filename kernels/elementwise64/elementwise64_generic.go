package elementwise64

import (
	"math"

	"github.com/aimass/aimass/kernels/elementwise"
)

func (o Op) of(a, b float64) float64 {
	switch o {
	case Add:
		return a + b
	case Sub:
		return a - b
	case Mul:
		return a * b
	case Div:
		return a / b
	case Max:
		return max(a, b)
	case Min:
		return min(a, b)
	case Neg:
		return -a
	case Abs:
		return math.Abs(a)
	case Sqrt:
		return math.Sqrt(a)
	case Reciprocal:
		return 1 / a
	case Exp:
		return exp(a)
	case Log:
		return log(a)
	case Sigmoid:
		return 1 / (1 + exp(-a))
	}
	return math.Tanh(a)
}

// exp is math.Exp, which on amd64 gives +Inf for results beyond 2^1023.
func exp(a float64) float64 {
	if a > 709 {
		return math.Exp(a-1) * math.E
	}
	return math.Exp(a)
}

// log is math.Log, which on amd64 takes subnormal numbers for larger ones.
func log(a float64) float64 {
	if a > 0 && a < 0x1p-1022 {
		return math.Log(a*0x1p54) - 54*math.Ln2
	}
	return math.Log(a)
}

func (p *Program) runGeneric(dst []float64, rows, cols int, inputs [][]float64) {
	var reg [maxRegs]float64
	for r := range rows {
		for c := range cols {
			for i, l := range p.layouts {
				reg[i] = inputs[i][[...]int{elementwise.Full: r*cols + c, elementwise.Row: c, elementwise.Col: r, elementwise.Scalar: 0}[l]]
			}
			var v float64
			for _, s := range p.steps {
				v = s.Op.of(reg[s.X], reg[s.Y])
				reg[s.Dst] = v
			}
			dst[r*cols+c] = v
		}
	}
}

func (o FoldOp) join(a, v float64) float64 {
	switch o {
	case Sum:
		return a + v
	case SumSquare:
		return a + v*v
	case SumAbs:
		return a + math.Abs(v)
	case Greatest:
		return max(a, v)
	}
	return min(a, v)
}

func foldGeneric(op FoldOp, dst, x []float64, outer, n, inner int) {
	first := [...]float64{Greatest: math.Inf(-1), Least: math.Inf(1)}[op]
	for o := range outer {
		to := dst[o*inner : (o+1)*inner]
		for j := range to {
			to[j] = first
		}
		for k := range n {
			row := x[(o*n+k)*inner:]
			for j := range to {
				to[j] = op.join(to[j], row[j])
			}
		}
	}
}
