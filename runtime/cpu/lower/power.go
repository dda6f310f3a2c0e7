package lower

// maxPower is the greatest exponent for which a chain of products is quicker than a power.
const maxPower = 8

// wholePower sets dst[i] to x[i] to the power of n, 1 to maxPower.
func wholePower[T float32 | float64](dst, x []T, n int) {
	dst = dst[:len(x)]
	switch n {
	case 1:
		copy(dst, x)
	case 2:
		for i, v := range x {
			dst[i] = v * v
		}
	case 3:
		for i, v := range x {
			dst[i] = v * v * v
		}
	default:
		for i, v := range x {
			p := v
			for range n - 1 {
				p *= v
			}
			dst[i] = p
		}
	}
}

// lowerPower takes powers by one small whole number.
func lowerPower(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	exponent, ok := f.scalar(n.In[1])
	wide := f.f64(x) && f.f64(out)
	if v := f.constF64(n.In[1]); wide && len(v) == 1 {
		exponent, ok = float32(v[0]), float64(float32(v[0])) == v[0]
	}
	whole := int(exponent)
	if !ok || !wide && !(f.f32(x) && f.f32(out)) || float32(whole) != exponent || whole < 1 || whole > maxPower || !f.shape(out).Equal(f.shape(x)) {
		return nil, false
	}
	run := func(e *Env) error {
		if wide {
			wholePower(e.f64(out), e.f64(x), whole)
		} else {
			wholePower(e.f32(out), e.f32(x), whole)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}, run: run}, true
}
