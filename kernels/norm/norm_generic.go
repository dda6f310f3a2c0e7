package norm

import "math"

func (p *Rows) runGeneric(dst, x []float32) {
	for r := range p.Rows {
		at := r * p.Cols
		s := func(c int) float32 {
			v := x[at+c]
			if p.Residual != nil {
				v += p.Residual[at+c]
			}
			if p.Bias != nil {
				v += p.Bias[c]
			}
			return v
		}
		mean, scale := moments(p.Cols, s, p.RMS, p.Epsilon)
		for c := range p.Cols {
			v := s(c)
			out := (float64(v) - mean) * scale
			if p.Gamma != nil {
				out *= float64(p.Gamma[c])
			}
			if p.Beta != nil {
				out += float64(p.Beta[c])
			}
			if p.Sum != nil {
				p.Sum[at+c] = v
			}
			dst[at+c] = float32(out)
		}
	}
}

// moments gives what is subtracted and what is multiplied. The variance is
// taken in a second pass around the mean, so a large mean costs no digits.
func moments(n int, at func(int) float32, rms bool, epsilon float32) (mean, scale float64) {
	if !rms {
		for i := range n {
			mean += float64(at(i))
		}
		mean /= float64(n)
	}
	var sq float64
	for i := range n {
		d := float64(at(i)) - mean
		sq += d * d
	}
	return mean, 1 / math.Sqrt(sq/float64(n)+float64(epsilon))
}

func instanceGeneric(dst, x []float32, outer, channels, inner int, gamma, beta []float32, epsilon float32) {
	for p := range outer * channels {
		plane, out := x[p*inner:(p+1)*inner], dst[p*inner:(p+1)*inner]
		mean, scale := moments(inner, func(i int) float32 { return plane[i] }, false, epsilon)
		c := p % channels
		for i, v := range plane {
			out[i] = float32((float64(v)-mean)*scale*float64(gamma[c]) + float64(beta[c]))
		}
	}
}

func affineGeneric(dst, x []float32, outer, channels, inner int, scale, shift []float32) {
	for p := range outer * channels {
		c := p % channels
		for i := p * inner; i < (p+1)*inner; i++ {
			dst[i] = x[i]*scale[c] + shift[c]
		}
	}
}
