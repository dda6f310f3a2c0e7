// Package convtranspose holds the transposed convolution over dense NCHW
// float32 images: a GEMM of the weights with the pixels, whose rows are then
// added into the places that the window covers.
//
// Packed is read-only after Pack and may be shared. Run keeps nothing; its
// workspace is the caller's. Neighbours: conv (Window and Epilogue), gemm,
// pool, isa.
package convtranspose

import (
	"fmt"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
)

// Geometry is what the weights fix: C input and OC output channels in Group
// groups (0 means 1), and the window as ONNX's ConvTranspose gives it.
type Geometry struct {
	C, OC, Group int
	conv.Window
}

// Packed is a copy of the weights and the bias.
type Packed struct {
	g     Geometry
	level isa.Level
	w     []float32
	bias  []float32
}

// Pack copies the weights w, C×(OC/Group)×KH×KW, and the bias, OC values or
// nil.
func Pack(g Geometry, w, bias []float32) *Packed { return pack(isa.Current().Level, g, w, bias) }

func pack(level isa.Level, g Geometry, w, bias []float32) *Packed {
	g.Group = max(g.Group, 1)
	g.StrideH, g.StrideW = max(g.StrideH, 1), max(g.StrideW, 1)
	g.DilationH, g.DilationW = max(g.DilationH, 1), max(g.DilationW, 1)
	if g.C < 1 || g.OC < 1 || g.KH < 1 || g.KW < 1 || g.C%g.Group != 0 || g.OC%g.Group != 0 {
		panic(fmt.Sprintf("BUG: convtranspose: geometry %+v", g))
	}
	n := g.C * (g.OC / g.Group) * g.KH * g.KW
	if len(w) < n || (bias != nil && len(bias) < g.OC) {
		panic(fmt.Sprintf("BUG: convtranspose: %d weights of %d, %d biases of %d", len(w), n, len(bias), g.OC))
	}
	p := &Packed{g: g, level: level, w: append([]float32(nil), w[:n]...), bias: make([]float32, g.OC)}
	copy(p.bias, bias)
	return p
}

// Out is the size of the result over an h×w image without output padding.
func (p *Packed) Out(h, w int) (oh, ow int) {
	g := &p.g
	oh = (h-1)*g.StrideH + (g.KH-1)*g.DilationH + 1 - g.PadTop - g.PadBottom
	ow = (w-1)*g.StrideW + (g.KW-1)*g.DilationW + 1 - g.PadLeft - g.PadRight
	return max(oh, 0), max(ow, 0)
}

// Workspace is the number of floats that Run needs for h×w images.
func (p *Packed) Workspace(h, w int) int { return p.g.OC / p.g.Group * p.g.KH * p.g.KW * h * w }

// Run computes n images of oh×ow at y from n images of h×w at x. oh and ow may
// exceed Out by an output padding, whose pixels no input reaches but where the
// window still may; PadTop and PadLeft place the result. work has Workspace
// values. ep may be nil.
func (p *Packed) Run(y []float32, oh, ow int, x []float32, n, h, w int, work []float32, ep *conv.Epilogue, threads int) {
	g := &p.g
	in, out := n*g.C*h*w, n*g.OC*oh*ow
	if out == 0 {
		return
	}
	if len(x) < in || len(y) < out || len(work) < p.Workspace(h, w) || (ep != nil && ep.Residual != nil && len(ep.Residual) < out) {
		panic(fmt.Sprintf("BUG: convtranspose: x %d of %d, y %d of %d, work %d of %d",
			len(x), in, len(y), out, len(work), p.Workspace(h, w)))
	}
	if ep == nil {
		ep = &conv.Epilogue{}
	}
	cg, og, window, size := g.C/g.Group, g.OC/g.Group, g.KH*g.KW, h*w
	for img := range n {
		for gr := range g.Group {
			cols := gemm.Product{M: og * window, N: size, K: cg, LDA: og * window, LDB: size, LDC: size, TransA: true}
			if size > 0 {
				gemm.MatMul(&cols, p.w[gr*cg*og*window:], x[(img*g.C+gr*cg)*size:], work, nil, threads)
			}
			first := img*g.OC + gr*og
			planes := y[first*oh*ow:][:og*oh*ow]
			p.fold(planes, oh, ow, work, h, w, p.bias[gr*og:][:og], threads)
			if ep.Residual != nil {
				for i, r := range ep.Residual[first*oh*ow:][:len(planes)] {
					planes[i] += r
				}
			}
			p.activate(planes, ep, threads)
		}
	}
}
