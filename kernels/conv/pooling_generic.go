package conv

import "math"

func poolGeneric(op PoolOp, y, x []float32, planes, h, w, oh, ow int, win Window) {
	for p := range planes {
		in := x[p*h*w : (p+1)*h*w]
		for r := range oh {
			for c := range ow {
				y[(p*oh+r)*ow+c] = poolOne(op, in, h, w, r*win.StrideH-win.PadTop, c*win.StrideW-win.PadLeft, win)
			}
		}
	}
}

// poolOne is one window whose corner is at row top and column left.
func poolOne(op PoolOp, in []float32, h, w, top, left int, win Window) float32 {
	best := float32(math.Inf(-1))
	var sum float64
	inside, counted := 0, 0
	for a := range win.KH {
		iy := top + a*win.DilationH
		for b := range win.KW {
			ix := left + b*win.DilationW
			if iy < h+win.PadBottom && ix < w+win.PadRight {
				counted++
			}
			if iy < 0 || ix < 0 || iy >= h || ix >= w {
				continue
			}
			v := in[iy*w+ix]
			best = max(best, v)
			sum += float64(v)
			inside++
		}
	}
	if op == MaxPool {
		return best
	}
	if op == AvgPool {
		counted = inside
	}
	if counted == 0 {
		return 0
	}
	return float32(sum / float64(counted))
}
