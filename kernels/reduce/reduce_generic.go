package reduce

import "math"

func axisGeneric(op Op, dst, x []float32, outer, n, inner int) {
	for o := range outer {
		for i := range inner {
			at := o*n*inner + i
			dst[o*inner+i] = fold(op, n, func(k int) float64 { return float64(x[at+k*inner]) })
		}
	}
}

// fold is the specification: it runs in float64 and rounds once.
func fold(op Op, n int, at func(int) float64) float32 {
	var s float64
	switch op {
	case Max:
		s = math.Inf(-1)
	case Min:
		s = math.Inf(1)
	case Prod:
		s = 1
	}
	for k := range n {
		v := at(k)
		switch op {
		case Sum, Mean:
			s += v
		case Max:
			s = max(s, v)
		case Min:
			s = min(s, v)
		case SumSquare, L2:
			s += v * v
		case L1:
			s += math.Abs(v)
		case Prod:
			s *= v
		}
	}
	switch op {
	case Mean:
		s /= float64(n)
	case L2:
		s = math.Sqrt(s)
	}
	return float32(s)
}

func runsGeneric(op Op, dst, src []float32, at []int64, n int) {
	for i, k := range at {
		y, x := dst[k:int(k)+n], src[i*n:(i+1)*n]
		for j, v := range x {
			switch op {
			case Max:
				y[j] = max(y[j], v)
			case Min:
				y[j] = min(y[j], v)
			case Prod:
				y[j] *= v
			default:
				y[j] += v
			}
		}
	}
}
