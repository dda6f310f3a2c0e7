package softmax

import "math"

func rowsGeneric(y []float32, ldy int, x []float32, ldx, rows, cols int, scale float32, log bool) {
	for r := range rows {
		one(y[r*ldy:], x[r*ldx:], cols, 1, scale, log)
	}
}

func middleGeneric(y, x []float32, outer, n, inner int, log bool) {
	for o := range outer {
		for i := range inner {
			at := o*n*inner + i
			one(y[at:], x[at:], n, inner, 1, log)
		}
	}
}

// one is the specification: n values at stride step.
func one(y, x []float32, n, step int, scale float32, log bool) {
	top := float32(math.Inf(-1))
	for i := range n {
		top = max(top, scale*x[i*step])
	}
	var sum float64
	for i := range n {
		sum += math.Exp(float64(scale*x[i*step] - top))
	}
	logSum := math.Log(sum)
	for i := range n {
		d := float64(scale*x[i*step] - top)
		if log {
			y[i*step] = float32(d - logSum)
		} else {
			y[i*step] = float32(math.Exp(d) / sum)
		}
	}
}
