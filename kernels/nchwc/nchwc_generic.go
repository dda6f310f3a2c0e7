package nchwc

import (
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
)

// runGeneric is the specification: what conv does with the dense images.
func (p *Packed) runGeneric(y, x []float32, n, d, h, w int, ep *Epilogue, threads int) {
	g := p.g
	oh, ow := g.Out(h, w)
	size, places := d*h*w, g.Depth.Out(d)*oh*ow
	dense := x
	if !p.Dense() {
		dense = make([]float32, n*g.C*size)
		moveGeneric(dense, x, n, g.C, size, false)
	}
	out := make([]float32, n*g.OC*places)
	e := conv.Epilogue{}
	var res []float32
	if ep != nil {
		e.Act = ep.Act
		if ep.Residual != nil {
			res = make([]float32, len(out))
			moveGeneric(res, ep.Residual, n, g.OC, places, false)
		}
		if !ep.After {
			e.Residual = res
		}
	}
	conv.PackGeneric(g, p.data, p.bias).RunVolumes(out, dense, n, d, h, w, &e, threads)
	if res != nil && ep.After {
		for i := range out {
			out[i] += res[i]
		}
	}
	moveGeneric(y, out, n, g.OC, places, true)
}

func poolGeneric(op conv.PoolOp, y, x []float32, planes, h, w, oh, ow int, win conv.Window) {
	c := planes * width(isa.Generic)
	dense, out := make([]float32, c*h*w), make([]float32, c*oh*ow)
	moveGeneric(dense, x, 1, c, h*w, false)
	conv.Pool(op, out, dense, c, h, w, oh, ow, win, 1)
	moveGeneric(y, out, 1, c, oh*ow, true)
}

func moveGeneric(dst, src []float32, n, c, size int, block bool) {
	wd := width(isa.Generic)
	all := blocks(c, wd) * wd
	for img := range n {
		for ch := range all {
			for i := range size {
				at := (img*all+ch/wd*wd)*size + i*wd + ch%wd
				switch from := (img*c+ch)*size + i; {
				case !block && ch < c:
					dst[from] = src[at]
				case block && ch < c:
					dst[at] = src[from]
				case block:
					dst[at] = 0
				}
			}
		}
	}
}
