package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/transpose"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

// fewSpots is the size of a result's plane up to which a convolution is done as a product
// of its patches with the weights: a tile along the plane would stay mostly empty.
const fewSpots = 8

// convolving is a convolution that has been matched.
type convolving struct {
	f            *fuser
	node         *Node
	geo          conv.Geometry
	win          sliding
	src          padded
	batch, c, oc int
	cut          func(w []float32) []float32 // of the weights those that are used; nil: all
	bias         []float32
	aff          *channelwise
	ep           *epilogue
	nodes        []int // all that the step stands for but those of ep
}

// spots is the number of places of the result's plane.
func (c *convolving) spots() int { return c.win.oh * c.win.ow }

// product does a convolution with few places as a GEMM.
func (c *convolving) product() (*group, bool) {
	spots := c.spots()
	if spots > fewSpots {
		return nil, false
	}
	k := c.c * c.win.KH * c.win.KW
	w := c.f.constant(c.node.In[1])
	bias := c.aff.bias(c.bias, c.ep.bias)
	form := fmt.Sprintf("conv as gemm %p %d %+v", c.node.Node, len(c.aff.nodes), c.geo)
	packed := c.f.pl.Packed.get(w, form, func(src *tensor.Tensor) (any, int64) {
		p := gemm.PackB(k, c.oc, c.weights(src), k, true)
		return p, int64(p.Bytes())
	}).(*gemm.PackedB)
	image := c.c * c.src.h * c.src.w
	direct := k == image && spots == 1 && c.win.PadTop+c.win.PadLeft == 0 && c.win.DilationH+c.win.DilationW == 2
	pointwise := k*spots == image && c.win.PadTop+c.win.PadLeft == 0 && c.win.KH*c.win.KW*c.win.StrideH*c.win.StrideW == 1
	g := &group{nodes: append(c.nodes, c.ep.nodes...), reads: append([]int{c.src.slot}, c.ep.reads...), writes: []int{c.ep.out}}
	cols, sums, added := -1, -1, -1
	if !direct {
		cols = c.f.scratch(tensor.Float32, c.batch*spots*k)
		g.writes = append(g.writes, cols)
	}
	if spots > 1 {
		sums = c.f.scratch(tensor.Float32, c.batch*spots*c.oc)
		g.writes = append(g.writes, sums)
	}
	if spots > 1 && c.ep.residual >= 0 {
		added = c.f.scratch(tensor.Float32, c.batch*spots*c.oc)
		g.writes = append(g.writes, added)
	}
	dst, src, res, fn, win := c.ep.out, c.src, c.ep.residual, c.ep.act, c.win
	batch, channels, oc := c.batch, c.c, c.oc
	g.run = func(e *Env) error {
		a, y := e.f32(src.slot), e.f32(dst)
		if cols >= 0 {
			x := a
			a = e.f32(cols)
			for b := range batch {
				if pointwise {
					transpose.Words(a[b*image:], channels, x[b*image:], spots, channels, spots, 1)
				} else {
					move.Columns(a[b*spots*k:], x[b*image:], &win.Window, channels, src.h, src.w, win.oh, win.ow)
				}
			}
		}
		e.gemm = gemm.Epilogue{Bias: bias, Act: fn}
		if res >= 0 {
			e.gemm.Residual, e.gemm.LDR = e.f32(res), oc
		}
		if added >= 0 { // by places, as the product's rows lie
			r := e.f32(added)
			for b := range batch {
				transpose.Words(r[b*spots*oc:], oc, e.f32(res)[b*spots*oc:], spots, oc, spots, 1)
			}
			e.gemm.Residual = r
		}
		if sums < 0 {
			gemm.Gemm(batch, a, k, packed, y, oc, &e.gemm, e.Threads)
			return nil
		}
		s := e.f32(sums)
		gemm.Gemm(batch*spots, a, k, packed, s, oc, &e.gemm, e.Threads)
		for b := range batch {
			transpose.Words(y[b*spots*oc:], spots, s[b*spots*oc:], oc, spots, oc, 1)
		}
		return nil
	}
	return g, true
}
