// Package nchwc holds the kernels over images in the blocked layout NCHWc:
// convolution, pooling, and the change to and from dense NCHW.
//
// A blocked image of C channels is ⌈C/W⌉ planes of H×W places of Width()
// floats, one for each channel of the block, so that a vector holds what one
// place has in the channels of a block. Convolutions then broadcast input
// values and keep weights in vectors: nothing is packed, odd widths waste
// nothing, and bias, residual and function happen before the one store. The
// channels that fill up a last block hold finite values that mean nothing:
// convolutions give them weights of 0, and a function may change them.
//
// Weights are packed once at load (Pack); a Packed value is read-only and may be
// shared by any number of calls. No function keeps a slice after it returns;
// destinations must not overlap sources, the residual excepted, which may be
// the destination. Slices that are too short panic before anything is computed.
//
// Neighbours: conv (windows, geometries, and the same work on dense images),
// act, pool (threads), isa.
package nchwc

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
)

// Width is the number of channels of a block: those of a vector.
func Width() int { return width(isa.Current().Level) }

func width(level isa.Level) int {
	if level == isa.AVX512 {
		return 16
	}
	return 8
}

// Blocks is the number of blocks that c channels fill.
func Blocks(c int) int { return blocks(c, Width()) }

func blocks(c, width int) int { return (c + width - 1) / width }

// Packed is a set of weights laid out for one way of convolving.
type Packed struct {
	g      conv.Geometry
	level  isa.Level
	width  int
	method method
	data   []float32
	bias   []float32
}

// Geometry gives the geometry that the weights were packed for.
func (p *Packed) Geometry() conv.Geometry { return p.g }

// Bytes is the size of the packed copy.
func (p *Packed) Bytes() int { return 4 * (len(p.data) + len(p.bias)) }

// Method names the way of convolving that was chosen, for inspection.
func (p *Packed) Method() string { return p.method.String() }

// Dense reports that the input is dense NCHW, as it is where its channels fill
// less than a block. The result is always blocked.
func (p *Packed) Dense() bool { return p.method == narrow }

// method is a way of convolving.
type method uint8

const (
	direct    method = iota // by its definition
	narrow                  // the same over a dense image of few channels
	depthwise               // one output channel for each input channel
	winograd                // F(2×2, 3×3)
)

func (m method) String() string {
	return [...]string{"direct", "narrow", "depthwise", "winograd"}[m]
}

// Takes reports that there are kernels for a geometry: one group, or as many as
// there are input and output channels. Of volumes, only those that TakesVolumes reports.
func Takes(g conv.Geometry) bool {
	if g.Depth.Norm() != (conv.Depth{K: 1, Stride: 1, Dilation: 1}) {
		return TakesVolumes(g)
	}
	return g.Group <= 1 || g.Group == g.C && g.Group == g.OC
}

// TakesVolumes reports that there are kernels for a geometry over volumes: those whose planes
// are convolved as Winograd's products.
func TakesVolumes(g conv.Geometry) bool {
	g.Window = g.Window.Norm()
	return g.Group <= 1 && choose(g, Width()) == winograd
}

// Pack copies the weights w, OC×(C/Group)×K×KH×KW, K that of the depth, and the bias, OC values or
// nil.
func Pack(g conv.Geometry, w, bias []float32) *Packed { return pack(isa.Current().Level, g, w, bias) }

func pack(level isa.Level, g conv.Geometry, w, bias []float32) *Packed {
	g.Window, g.Depth = g.Window.Norm(), g.Depth.Norm()
	g.Group = max(g.Group, 1)
	n := g.OC * (g.C / g.Group) * g.Depth.K * g.KH * g.KW
	if g.C < 1 || g.OC < 1 || g.KH < 1 || g.KW < 1 || !Takes(g) || len(w) < n || bias != nil && len(bias) < g.OC ||
		min(g.PadTop, g.PadLeft, g.PadBottom, g.PadRight, g.Depth.Before, g.Depth.After) < 0 {
		panic(fmt.Sprintf("BUG: nchwc: geometry %+v with %d weights, %d biases", g, len(w), len(bias)))
	}
	p := &Packed{g: g, level: level, width: width(level)}
	p.method = choose(g, p.width)
	p.bias = isa.Alloc(blocks(g.OC, p.width) * p.width)
	copy(p.bias, bias)
	switch {
	case level == isa.Generic:
		p.data = append([]float32(nil), w[:n]...)
	case p.method == depthwise:
		p.packDepthwise(w)
	case p.method == winograd:
		p.packWinograd(w)
	default:
		p.packDirect(w)
	}
	return p
}

func choose(g conv.Geometry, width int) method {
	switch {
	case g.Group > 1:
		return depthwise
	case g.C < width:
		return narrow
	case g.KH == 3 && g.KW == 3 && g.StrideH == 1 && g.StrideW == 1 && g.DilationH == 1 && g.DilationW == 1:
		return winograd
	}
	return direct
}

// Epilogue is what happens to a convolution before it is stored:
// y = act(conv + bias + residual), or act(conv + bias) + residual with After.
type Epilogue struct {
	// Residual is blocked like y, or nil.
	Residual []float32
	After    bool
	Act      act.Act
}

// Run convolves n images of h×w at x, blocked or dense (Dense), into y, n
// blocked images of oh×ow. ep may be nil.
func (p *Packed) Run(y, x []float32, n, h, w int, ep *Epilogue, threads int) {
	p.RunVolumes(y, x, n, 1, h, w, ep, threads)
}

// RunVolumes convolves n blocked volumes of d planes; more than one need TakesVolumes.
func (p *Packed) RunVolumes(y, x []float32, n, d, h, w int, ep *Epilogue, threads int) {
	oh, ow := p.g.Out(h, w)
	in, out := n*p.channels()*d*h*w, n*len(p.bias)*p.g.Depth.Out(d)*oh*ow
	if d > 1 && p.method != winograd {
		panic(fmt.Sprintf("BUG: nchwc: volumes with weights packed as %v", p.method))
	}
	if out == 0 {
		return
	}
	if len(x) < in || len(y) < out || ep != nil && ep.Residual != nil && len(ep.Residual) < out {
		panic(fmt.Sprintf("BUG: nchwc: x has %d values of %d, y %d of %d", len(x), in, len(y), out))
	}
	if p.level == isa.Generic {
		p.runGeneric(y, x, n, d, h, w, ep, threads)
		return
	}
	p.runNative(y, x, n, d, h, w, ep, threads)
}

// channels are those of the input with what fills up the last block.
func (p *Packed) channels() int {
	if p.Dense() {
		return p.g.C
	}
	return blocks(p.g.C, p.width) * p.width
}

// Pool reduces windows of blocked planes (images × blocks) as conv.Pool does
// those of dense ones.
func Pool(op conv.PoolOp, y, x []float32, planes, h, w, oh, ow int, win conv.Window, threads int) {
	pooling(isa.Current().Level, op, y, x, planes, h, w, oh, ow, win, threads)
}

func pooling(level isa.Level, op conv.PoolOp, y, x []float32, planes, h, w, oh, ow int, win conv.Window, threads int) {
	win = win.Norm()
	wd := width(level)
	if planes*oh*ow == 0 {
		return
	}
	if len(x) < planes*h*w*wd || len(y) < planes*oh*ow*wd || win.KH < 1 || win.KW < 1 {
		panic(fmt.Sprintf("BUG: nchwc: pool %d planes of %d×%d to %d×%d: x %d, y %d", planes, h, w, oh, ow, len(x), len(y)))
	}
	if level == isa.Generic {
		poolGeneric(op, y, x, planes, h, w, oh, ow, win)
		return
	}
	poolNative(level, op, y, x, planes, h, w, oh, ow, win, threads)
}

// Block writes n dense images of c channels of size places as blocked ones; the
// channels that fill up the last block become 0. Unblock does the reverse.
func Block(dst, src []float32, n, c, size, threads int) {
	move(isa.Current().Level, dst, src, n, c, size, threads, true)
}

// Unblock writes n blocked images of c channels of size places as dense ones.
func Unblock(dst, src []float32, n, c, size, threads int) {
	move(isa.Current().Level, dst, src, n, c, size, threads, false)
}

func move(level isa.Level, dst, src []float32, n, c, size, threads int, block bool) {
	wd := width(level)
	dense, blocked := n*c*size, n*blocks(c, wd)*wd*size
	from, to := blocked, dense
	if block {
		from, to = dense, blocked
	}
	if dense == 0 {
		return
	}
	if len(src) < from || len(dst) < to {
		panic(fmt.Sprintf("BUG: nchwc: move %d×%d×%d: src has %d values of %d, dst %d of %d", n, c, size, len(src), from, len(dst), to))
	}
	if level == isa.Generic {
		moveGeneric(dst, src, n, c, size, block)
		return
	}
	moveNative(level, dst, src, n, c, size, threads, block)
}
