package move

// Rotate turns pairs of x's elements by the angles of which cos and sin are given, element i and i+len(cos)
// or neighbours if interleaved, and copies what is behind.
func Rotate(dst, x, cos, sin []float32, interleaved bool) {
	n := len(cos)
	sin = sin[:n]
	if interleaved {
		for i := range n {
			u, v := x[2*i], x[2*i+1]
			dst[2*i], dst[2*i+1] = u*cos[i]-v*sin[i], u*sin[i]+v*cos[i]
		}
	} else {
		lo, hi, toLo, toHi := x[:n], x[n:2*n], dst[:n], dst[n:2*n]
		for i, c := range cos {
			u, v, s := lo[i], hi[i], sin[i]
			toLo[i], toHi[i] = u*c-v*s, u*s+v*c
		}
	}
	copy(dst[2*n:], x[2*n:])
}
