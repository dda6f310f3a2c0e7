// Package conv holds the kernels over dense NCHW images of float32: convolution
// in one, two and three dimensions, and pooling. Convolutions whose channels fill
// vectors are done faster in the blocked layout (kernels/nchwc); here are those
// of few or odd channels, and those in groups.
//
// A one-dimensional tensor N×C×L is an image of height 1, an image a volume of one plane. Weights are packed
// once at load (Pack); a Packed value is read-only and may be shared by any
// number of calls. No function keeps a slice after it returns; destinations
// must not overlap sources, the residual excepted, which may be the
// destination. Slices that are too short panic before anything is computed.
//
// Neighbours: act (functions of the epilogue), pool (threads), isa.
package conv

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// Window is how a kernel of KH×KW slides over an image. Zero strides and
// dilations mean 1. Negative pads are not taken.
type Window struct {
	KH, KW                               int
	StrideH, StrideW                     int
	DilationH, DilationW                 int
	PadTop, PadLeft, PadBottom, PadRight int
}

// Norm is the window with zero strides and dilations replaced by 1.
func (w Window) Norm() Window {
	w.StrideH, w.StrideW = max(w.StrideH, 1), max(w.StrideW, 1)
	w.DilationH, w.DilationW = max(w.DilationH, 1), max(w.DilationW, 1)
	return w
}

// Out is the height and width of the result over an h×w image, 0 if the kernel
// does not fit.
func (w Window) Out(h, width int) (oh, ow int) {
	w = w.Norm()
	oh = outSize(h+w.PadTop+w.PadBottom, (w.KH-1)*w.DilationH+1, w.StrideH)
	ow = outSize(width+w.PadLeft+w.PadRight, (w.KW-1)*w.DilationW+1, w.StrideW)
	return oh, ow
}

func outSize(padded, span, stride int) int {
	if padded < span {
		return 0
	}
	return (padded-span)/stride + 1
}

// Depth is how a kernel of K planes slides over the planes of a volume. The zero
// Depth is that of images; zero strides and dilations mean 1.
type Depth struct {
	K, Stride, Dilation, Before, After int
}

// Norm is the depth with zeros replaced by what they stand for.
func (d Depth) Norm() Depth {
	d.K, d.Stride, d.Dilation = max(d.K, 1), max(d.Stride, 1), max(d.Dilation, 1)
	return d
}

// Out is the number of planes of the result over n planes.
func (d Depth) Out(n int) int {
	d = d.Norm()
	return outSize(n+d.Before+d.After, (d.K-1)*d.Dilation+1, d.Stride)
}

// flat reports that planes don't meet: each is an image of its own.
func (d Depth) flat() bool { return d.K == 1 && d.Stride == 1 && d.Before+d.After == 0 }

// Geometry is what the weights fix: C input channels, OC output channels in
// Group groups (0 means 1), and the window.
type Geometry struct {
	C, OC, Group int
	Depth        Depth
	Window
}

// Packed is a set of weights laid out for one way of convolving.
type Packed struct {
	g      Geometry
	level  isa.Level
	method method
	data   []float32
	bias   []float32
}

// Geometry gives the geometry that the weights were packed for, with zeros
// replaced by what they stand for.
func (p *Packed) Geometry() Geometry { return p.g }

// Bytes is the size of the packed copy.
func (p *Packed) Bytes() int { return 4 * (len(p.data) + len(p.bias)) }

// Method names the way of convolving that was chosen, for inspection.
func (p *Packed) Method() string { return p.method.String() }

// method is a way of convolving.
type method uint8

const (
	plain     method = iota // the generic loops
	rows                    // output channels by columns, the inputs read where they lie
	depthwise               // one input and one output channel a group
)

func (m method) String() string {
	return [...]string{"plain", "rows", "depthwise"}[m]
}

// Pack copies the weights w, OC×(C/Group)×K×KH×KW, K that of the depth, and the bias, OC values or
// nil.
func Pack(g Geometry, w, bias []float32) *Packed { return pack(isa.Current().Level, g, w, bias) }

// PackGeneric is Pack for the portable loops, whatever the machine has.
func PackGeneric(g Geometry, w, bias []float32) *Packed { return pack(isa.Generic, g, w, bias) }

func pack(level isa.Level, g Geometry, w, bias []float32) *Packed {
	g.Window, g.Depth = g.Window.Norm(), g.Depth.Norm()
	g.Group = max(g.Group, 1)
	if g.C < 1 || g.OC < 1 || g.KH < 1 || g.KW < 1 || g.C%g.Group != 0 || g.OC%g.Group != 0 ||
		min(g.PadTop, g.PadLeft, g.PadBottom, g.PadRight, g.Depth.Before, g.Depth.After) < 0 {
		panic(fmt.Sprintf("BUG: conv: geometry %+v", g))
	}
	n := g.OC * (g.C / g.Group) * g.Depth.K * g.KH * g.KW
	if len(w) < n || (bias != nil && len(bias) < g.OC) {
		panic(fmt.Sprintf("BUG: conv: %d weights of %d, %d biases of %d", len(w), n, len(bias), g.OC))
	}
	p := &Packed{g: g, level: level}
	p.bias = make([]float32, g.OC)
	copy(p.bias, bias)
	if level != isa.Generic {
		p.packNative(w[:n])
		return p
	}
	p.data = append([]float32(nil), w[:n]...)
	return p
}

// Epilogue is what happens to a convolution before it is stored:
// y = act(conv + bias + residual). The bias was packed.
type Epilogue struct {
	// Residual is dense like y, or nil.
	Residual []float32
	Act      act.Act
}

// Run convolves n images of h×w at x into y, dense n×OC×oh×ow. ep may be nil.
func (p *Packed) Run(y, x []float32, n, h, w int, ep *Epilogue, threads int) {
	p.RunVolumes(y, x, n, 1, h, w, ep, threads)
}

// RunVolumes convolves n volumes of d planes of h×w at x into y, dense
// n×OC×od×oh×ow.
func (p *Packed) RunVolumes(y, x []float32, n, d, h, w int, ep *Epilogue, threads int) {
	oh, ow := p.g.Out(h, w)
	in, out := n*p.g.C*d*h*w, n*p.g.OC*p.g.Depth.Out(d)*oh*ow
	if out == 0 {
		return
	}
	if len(x) < in || len(y) < out || (ep != nil && ep.Residual != nil && len(ep.Residual) < out) {
		panic(fmt.Sprintf("BUG: conv: x has %d values of %d, y %d of %d", len(x), in, len(y), out))
	}
	if p.method == depthwise && d > 1 {
		panic("BUG: conv: volumes with weights that were packed for images")
	}
	if p.level != isa.Generic {
		p.runNative(y, x, n, d, h, w, ep, threads)
		return
	}
	p.runGeneric(y, x, n, d, h, w, ep, threads)
}
