package convtranspose

// foldGeneric is the specification: plane oc of y is its bias plus row
// (oc, a, b) of cols at each place that tap (a, b) reaches from pixel (i, j).
func (p *Packed) foldGeneric(y []float32, oh, ow int, cols []float32, h, w int, bias []float32) {
	g := &p.g
	for oc, v := range bias {
		plane := y[oc*oh*ow:][:oh*ow]
		for i := range plane {
			plane[i] = v
		}
		for a := range g.KH {
			for b := range g.KW {
				row := cols[((oc*g.KH+a)*g.KW+b)*h*w:]
				for i := range h {
					oy := i*g.StrideH - g.PadTop + a*g.DilationH
					if oy < 0 || oy >= oh {
						continue
					}
					for j := range w {
						if ox := j*g.StrideW - g.PadLeft + b*g.DilationW; ox >= 0 && ox < ow {
							plane[oy*ow+ox] += row[i*w+j]
						}
					}
				}
			}
		}
	}
}
