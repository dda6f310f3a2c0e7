package conv

import "github.com/aimass/aimass/kernels/pool"

// runGeneric is the specification: the sum over the window, in float32, for
// one output plane at a time.
func (p *Packed) runGeneric(y, x []float32, n, h, w int, ep *Epilogue, threads int) {
	g := p.g
	oh, ow := g.Out(h, w)
	pool.Run(n*g.OC, threads, func(t int) {
		img, oc := t/g.OC, t%g.OC
		cg := g.C / g.Group
		first := oc / (g.OC / g.Group) * cg
		out := y[t*oh*ow : (t+1)*oh*ow]
		for i := range out {
			out[i] = p.bias[oc]
		}
		for c := range cg {
			in := x[(img*g.C+first+c)*h*w:][:h*w]
			k := p.data[(oc*cg+c)*g.KH*g.KW:][:g.KH*g.KW]
			addPlane(out, in, k, g.Window, h, w, oh, ow)
		}
		if ep == nil {
			return
		}
		if ep.Residual != nil {
			for i := range out {
				out[i] += ep.Residual[t*oh*ow+i]
			}
		}
		ep.Act.Apply(out)
	})
}

// addPlane adds the convolution of one plane with one kernel to out.
func addPlane(out, in, k []float32, win Window, h, w, oh, ow int) {
	for r := range oh {
		for c := range ow {
			var s float32
			for a := range win.KH {
				iy := r*win.StrideH - win.PadTop + a*win.DilationH
				if iy < 0 || iy >= h {
					continue
				}
				for b := range win.KW {
					ix := c*win.StrideW - win.PadLeft + b*win.DilationW
					if ix >= 0 && ix < w {
						s += in[iy*w+ix] * k[a*win.KW+b]
					}
				}
			}
			out[r*ow+c] += s
		}
	}
}
