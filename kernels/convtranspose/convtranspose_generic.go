package convtranspose

// weaveGeneric is the specification.
func (p *Packed) weaveGeneric(dst, src []float32, w *weave) {
	a := &p.g.Axes
	for c := range w.planes {
		for z := 0; z < w.in[0] && z*a[0].Stride+w.at[0] < w.out[0]; z++ {
			for y := 0; y < w.in[1] && y*a[1].Stride+w.at[1] < w.out[1]; y++ {
				from := ((c*w.in[0]+z)*w.in[1] + y) * w.in[2]
				to := ((c*w.out[0]+z*a[0].Stride+w.at[0])*w.out[1]+y*a[1].Stride+w.at[1])*w.out[2] + w.at[2]
				for x := 0; x < w.in[2] && x*a[2].Stride+w.at[2] < w.out[2]; x++ {
					copy(dst[(to+x*a[2].Stride)*p.width:][:p.width], src[(from+x)*p.width:])
				}
			}
		}
	}
}
