package elementwise

import "github.com/aimass/aimass/kernels/act"

func unaryGeneric(dst, x []float32, f act.Act) {
	for i, v := range x {
		dst[i] = f.Eval(v)
	}
}

func binaryGeneric(f *form, dst, x, y []float32) {
	for r := range f.rows {
		for c := range f.cols {
			i := r*f.cols + c
			a, b := x[i], y[r*f.yr+c*f.ys]
			if f.swap {
				a, b = b, a
			}
			dst[i] = f.op.eval(a, b)
		}
	}
}

// eval is the specification of the functions of two values.
func (op Op) eval(a, b float32) float32 {
	switch op {
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
	}
	panic("BUG: elementwise: unknown operation")
}

func (p *Program) runGeneric(dst []float32, rows, cols int, inputs [][]float32) {
	var reg [maxRegs]float32
	for r := range rows {
		for c := range cols {
			for i, in := range inputs {
				at := [...]int{Full: r*cols + c, Row: c, Col: r, Scalar: 0}[p.layouts[i]]
				reg[i] = in[at]
			}
			for _, s := range p.steps {
				if s.Unary {
					reg[s.Dst] = s.Act.Eval(reg[s.X])
				} else {
					reg[s.Dst] = s.Op.eval(reg[s.X], reg[s.Y])
				}
			}
			dst[r*cols+c] = reg[p.out]
		}
	}
}
