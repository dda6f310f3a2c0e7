package schedule

// addScaled adds a·x to y; both have one length.
func addScaled(y, x []float64, a float64) {
	x = x[:len(y)]
	for i := range y {
		y[i] += a * x[i]
	}
}

// convolveAdd adds q·(v ∗ b) to dst, as far as dst reaches. Four taps of b go
// over v at once, so that v and dst are read once for four multiplications.
func convolveAdd(dst, v, b []float64, q float64) {
	s := 0
	for ; s+4 <= len(b); s += 4 {
		if s >= len(dst) {
			return
		}
		convolve4(dst[s:], v, q*b[s], q*b[s+1], q*b[s+2], q*b[s+3])
	}
	for ; s < len(b) && s < len(dst); s++ {
		if b[s] != 0 {
			m := min(len(v), len(dst)-s)
			addScaled(dst[s:s+m], v[:m], q*b[s])
		}
	}
}

// convolve4 adds v ∗ [b0 b1 b2 b3] to dst, as far as dst reaches.
func convolve4(dst, v []float64, b0, b1, b2, b3 float64) {
	m := min(len(v), len(dst))
	var v1, v2, v3 float64
	d := dst[:m]
	w := v[:m]
	for k, v0 := range w {
		d[k] += b0*v0 + b1*v1 + (b2*v2 + b3*v3)
		v3, v2, v1 = v2, v1, v0
	}
	if m < len(v) {
		return
	}
	rest := [3]float64{b1*v1 + b2*v2 + b3*v3, b2*v1 + b3*v2, b3 * v1}
	for k := 0; k < 3 && m+k < len(dst); k++ {
		dst[m+k] += rest[k]
	}
}

// correlateAdd adds Σ_s b[s]·g[v+s] to dst[v] for all v; g must reach
// len(dst)+len(b)−1.
func correlateAdd(dst, g, b []float64) {
	s := 0
	for ; s+4 <= len(b); s += 4 {
		correlate4(dst, g[s:s+len(dst)+3], b[s], b[s+1], b[s+2], b[s+3])
	}
	for ; s < len(b); s++ {
		if b[s] != 0 {
			addScaled(dst, g[s:s+len(dst)], b[s])
		}
	}
}

func correlate4(dst, g []float64, b0, b1, b2, b3 float64) {
	g0, g1, g2 := g[0], g[1], g[2]
	g = g[3:]
	g = g[:len(dst)]
	for k, g3 := range g {
		dst[k] += b0*g0 + b1*g1 + (b2*g2 + b3*g3)
		g0, g1, g2 = g1, g2, g3
	}
}

// dot returns Σ x·y over the shorter of the two.
func dot(x, y []float64) float64 {
	n := min(len(x), len(y))
	x, y = x[:n], y[:n]
	var a, b, c, d float64
	for len(x) >= 4 && len(y) >= 4 {
		a += x[0] * y[0]
		b += x[1] * y[1]
		c += x[2] * y[2]
		d += x[3] * y[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		a += v * y[i]
	}
	return a + b + (c + d)
}
