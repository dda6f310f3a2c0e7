package conv

import "github.com/aimass/aimass/kernels/pool"

// runGeneric is the specification: the sum over the window, in float32, for
// one output plane at a time.
func (p *Packed) runGeneric(y, x []float32, n, d, h, w int, ep *Epilogue, threads int) {
	g := p.g
	oh, ow := g.Out(h, w)
	od := g.Depth.Out(d)
	pool.Run(n*g.OC*od, threads, func(t int) {
		img, oc, oz := t/od/g.OC, t/od%g.OC, t%od
		cg := g.C / g.Group
		first := oc / (g.OC / g.Group) * cg
		out := y[t*oh*ow : (t+1)*oh*ow]
		for i := range out {
			out[i] = p.bias[oc]
		}
		for c := range cg {
			for a := range g.Depth.K {
				iz := oz*g.Depth.Stride - g.Depth.Before + a*g.Depth.Dilation
				if iz < 0 || iz >= d {
					continue
				}
				in := x[((img*g.C+first+c)*d+iz)*h*w:][:h*w]
				k := p.data[((oc*cg+c)*g.Depth.K+a)*g.KH*g.KW:][:g.KH*g.KW]
				addPlane(out, in, k, g.Window, h, w, oh, ow)
			}
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
