package move

// Resample makes the middle axis of y, outer×m×inner, from that of x, outer×n×inner:
// position o is the sum of weight[o·taps+k]·x[index[o·taps+k]] over k < taps.
func Resample(y, x []float32, outer, n, inner, taps int, index []int32, weight []float32) {
	m := len(index) / taps
	for o := range outer {
		src, dst := x[o*n*inner:(o+1)*n*inner], y[o*m*inner:(o+1)*m*inner]
		switch {
		case inner == 1 && taps == 1:
			for j, i := range index {
				dst[j] = src[i] * weight[j]
			}
		case inner == 1 && taps == 2:
			for j := range dst {
				dst[j] = src[index[2*j]]*weight[2*j] + src[index[2*j+1]]*weight[2*j+1]
			}
		default:
			rows(dst, src, inner, taps, index, weight)
		}
	}
}

func rows(dst, src []float32, inner, taps int, index []int32, weight []float32) {
	for j := range len(index) / taps {
		to := dst[j*inner : (j+1)*inner]
		at := func(k int) ([]float32, float32) {
			i := int(index[j*taps+k])
			return src[i*inner:][:len(to)], weight[j*taps+k]
		}
		first, w := at(0)
		if w == 1 {
			copy(to, first)
		} else {
			for i, v := range first {
				to[i] = v * w
			}
		}
		for k := 1; k < taps; k++ {
			row, w := at(k)
			if w == 0 {
				continue
			}
			for i, v := range row {
				to[i] += v * w
			}
		}
	}
}
