// Package convtranspose holds the transposed convolution over float32 images and
// volumes. Places of the result that are a stride apart see the same taps of the
// window, so each such phase is a convolution of its own with some of the weights, done by
// kernels/conv or, over blocked images, by kernels/nchwc; then the phases are woven into
// the result. Nothing is added up twice, and bias and function happen in the store.
//
// Packed is read-only after Pack and may be shared. Run keeps nothing; its
// workspace is the caller's. Neighbours: conv (windows, epilogues), nchwc, pool, isa.
package convtranspose

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/nchwc"
)

// Axis is how the window slides along one axis, as ONNX's ConvTranspose gives it. Extra is
// the output padding: places behind the last which the window may still reach.
type Axis struct{ K, Stride, Dilation, Before, After, Extra int }

func (a Axis) norm() Axis {
	a.K, a.Stride, a.Dilation = max(a.K, 1), max(a.Stride, 1), max(a.Dilation, 1)
	return a
}

// Out is the extent of the result over n places.
func (a Axis) Out(n int) int {
	a = a.norm()
	return max(0, (n-1)*a.Stride+a.beyond()+1)
}

// beyond is what a result over one place has behind its first.
func (a Axis) beyond() int { return (a.K-1)*a.Dilation - a.Before - a.After + a.Extra }

// Geometry is what the weights fix: C input and OC output channels in Group
// groups (0 means 1), and the axes: planes, rows, columns.
type Geometry struct {
	C, OC, Group int
	Axes         [3]Axis
}

// Out is the extents of the result over volumes of these extents.
func (g *Geometry) Out(in [3]int) (out [3]int) {
	for k := range out {
		out[k] = g.Axes[k].Out(in[k])
	}
	return out
}

// Packed are the convolutions of a geometry's phases.
type Packed struct {
	g       Geometry
	level   isa.Level
	width   int // of the places of the result: channels of a block, 1 for dense images
	phases  []phase
	blocked bool
}

// phase is the convolution that makes every stride-th place of the result from at on.
type phase struct {
	at     [3]int
	geo    conv.Geometry
	dense  *conv.Packed
	blocks *nchwc.Packed
}

// Pack packs the weights w, C×(OC/Group)×K…, and the bias, OC values or nil, for dense
// volumes.
func Pack(g Geometry, w, bias []float32) *Packed {
	return pack(isa.Current().Level, g, w, bias, false)
}

// PackBlocked is Pack for images in the blocked layout of kernels/nchwc; TakesBlocked
// must hold.
func PackBlocked(g Geometry, w, bias []float32) *Packed {
	return pack(isa.Current().Level, g, w, bias, true)
}

// TakesBlocked reports that a geometry can be computed in the blocked layout.
func TakesBlocked(g Geometry) bool {
	return g.Axes[0] == (Axis{}) && g.Group <= 1 && g.C >= nchwc.Width()
}

func pack(level isa.Level, g Geometry, w, bias []float32, blocked bool) *Packed {
	g.Group = max(g.Group, 1)
	taps := 1
	for k := range g.Axes {
		a := g.Axes[k].norm()
		if min(a.Before, a.After, a.Extra) < 0 {
			panic(fmt.Sprintf("BUG: convtranspose: geometry %+v", g))
		}
		g.Axes[k] = a
		taps *= a.K
	}
	if g.C < 1 || g.OC < 1 || g.C%g.Group != 0 || g.OC%g.Group != 0 {
		panic(fmt.Sprintf("BUG: convtranspose: geometry %+v", g))
	}
	if n := g.C * (g.OC / g.Group) * taps; len(w) < n || bias != nil && len(bias) < g.OC {
		panic(fmt.Sprintf("BUG: convtranspose: %d weights of %d, %d biases of %d", len(w), n, len(bias), g.OC))
	}
	p := &Packed{g: g, level: level, width: 1, blocked: blocked}
	if blocked {
		p.width = nchwc.Width()
	}
	for z := range g.Axes[0].Stride {
		for y := range g.Axes[1].Stride {
			for x := range g.Axes[2].Stride {
				p.phases = append(p.phases, p.phase([3]int{z, y, x}, w, bias))
			}
		}
	}
	return p
}

// Bytes is the size of the packed copy.
func (p *Packed) Bytes() int {
	n := 0
	for i := range p.phases {
		if f := &p.phases[i]; p.blocked {
			n += f.blocks.Bytes()
		} else {
			n += f.dense.Bytes()
		}
	}
	return n
}

// taps are the taps of an axis that reach the places r, r+Stride, … of the result, as a
// convolution: place q of the phase is a sum over offsets q−Before, q−Before+Dilation, ….
// list has for each of them the tap of the window, −1 for none: then the weight is 0.
func (a Axis) taps(r int) (list []int, d conv.Depth) {
	d = conv.Depth{K: 1, Stride: 1, Dilation: 1}
	first := 0 // the lowest offset
	for t := a.K - 1; t >= 0; t-- {
		reach := r + a.Before - t*a.Dilation
		if reach%a.Stride != 0 {
			continue
		}
		offset := reach / a.Stride
		if len(list) == 0 {
			first = offset
		} else if len(list) == 1 {
			d.Dilation = offset - first
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		list = []int{-1}
	}
	for ; first > 0; first -= d.Dilation { // padding that cuts off the beginning
		list = append([]int{-1}, list...)
	}
	d.K, d.Before = len(list), -first
	// How many places the phase has more than the input.
	more := floorDiv(a.beyond()-r, a.Stride)
	d.After = max(0, more+(d.K-1)*d.Dilation-d.Before)
	return list, d
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

// phase packs the convolution of one phase.
func (p *Packed) phase(at [3]int, w, bias []float32) phase {
	g := &p.g
	var list [3][]int
	var d [3]conv.Depth
	for k := range at {
		list[k], d[k] = g.Axes[k].taps(at[k])
	}
	cg, og := g.C/g.Group, g.OC/g.Group
	kh, kw := g.Axes[1].K, g.Axes[2].K
	window := g.Axes[0].K * kh * kw
	weights := make([]float32, 0, g.OC*cg*len(list[0])*len(list[1])*len(list[2]))
	for oc := range g.OC {
		for c := range cg {
			from := w[((oc/og*cg+c)*og+oc%og)*window:][:window]
			for _, a := range list[0] {
				for _, b := range list[1] {
					for _, t := range list[2] {
						v := float32(0)
						if min(a, b, t) >= 0 {
							v = from[(a*kh+b)*kw+t]
						}
						weights = append(weights, v)
					}
				}
			}
		}
	}
	f := phase{at: at, geo: conv.Geometry{C: g.C, OC: g.OC, Group: g.Group, Depth: d[0], Window: conv.Window{
		KH: d[1].K, DilationH: d[1].Dilation, PadTop: d[1].Before, PadBottom: d[1].After,
		KW: d[2].K, DilationW: d[2].Dilation, PadLeft: d[2].Before, PadRight: d[2].After}}}
	switch {
	case p.blocked:
		f.blocks = nchwc.Pack(f.geo, weights, bias)
	case p.level == isa.Generic:
		f.dense = conv.PackGeneric(f.geo, weights, bias)
	default:
		f.dense = conv.Pack(f.geo, weights, bias)
	}
	return f
}

// channels are those of the result with what fills up the last block.
func (p *Packed) channels() int { return (p.g.OC + p.width - 1) / p.width * p.width }

// out is the extents of the phase's result.
func (f *phase) out(in [3]int) (out [3]int) {
	out[0] = f.geo.Depth.Out(in[0])
	out[1], out[2] = f.geo.Window.Out(in[1], in[2])
	return out
}

// Workspace is the number of floats that Run needs for volumes of these extents.
func (p *Packed) Workspace(in [3]int) int {
	n := 0
	for i := range p.phases {
		o := p.phases[i].out(in)
		n = max(n, p.channels()*o[0]*o[1]*o[2])
	}
	return n
}

// Run computes n volumes at y, of the extents that Geometry.Out gives, from n volumes at x
// of extents in: planes, rows, columns. y is blocked if x is. work has Workspace values.
func (p *Packed) Run(y, x []float32, n int, in [3]int, work []float32, fn act.Act, threads int) {
	g := &p.g
	out := g.Out(in)
	size, places := in[0]*in[1]*in[2], out[0]*out[1]*out[2]
	from, to := g.C, p.channels()
	if p.blocked {
		from = (g.C + p.width - 1) / p.width * p.width
	}
	if n*places == 0 {
		return
	}
	if len(x) < n*from*size || len(y) < n*to*places || len(work) < p.Workspace(in) {
		panic(fmt.Sprintf("BUG: convtranspose: x %d of %d, y %d of %d, work %d of %d",
			len(x), n*from*size, len(y), n*to*places, len(work), p.Workspace(in)))
	}
	dense, blocks := conv.Epilogue{Act: fn}, nchwc.Epilogue{Act: fn}
	for img := range n {
		src, dst := x[img*from*size:][:from*size], y[img*to*places:][:to*places]
		for i := range p.phases {
			f := &p.phases[i]
			if p.blocked {
				f.blocks.Run(work, src, 1, in[1], in[2], &blocks, threads)
			} else {
				f.dense.RunVolumes(work, src, 1, in[0], in[1], in[2], &dense, threads)
			}
			p.weave(dst, work, &weave{planes: to / p.width, at: f.at, in: f.out(in), out: out}, threads)
		}
	}
}

// weave is where a phase's places go: those of planes volumes of extents in, to every
// stride-th place from at on of ones of extents out; what does not fit is left out.
type weave struct {
	planes      int
	at, in, out [3]int
}
