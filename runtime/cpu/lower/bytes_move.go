package lower

import (
	"math"

	"github.com/aimass/aimass/kernels/nhwc"
	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/tensor"
)

// byteMove joins images along their channels, or cuts one: each part is copied, through a table where
// its scale or zero point changes.
type byteMove struct {
	byteWork
	tables []*[256]byte // by part; nil: as it is
}

// matchMove takes the Concat or Split at work[i], nil where it is none of the region's.
func (r *byteRegion) matchMove(i int) bytePiece {
	f, n := r.f, r.f.node(i)
	join := n.Op == "Concat"
	if one := n.Out[0]; one < 0 || !f.pl.Info[one].Known || len(f.shape(one)) != 4 || n.In[0] < 0 {
		return nil
	}
	if axis, err := tensor.Axis(n.Attrs.Int("axis", 0), 4); err != nil || axis != 1 {
		return nil
	}
	p := &byteMove{byteWork: byteWork{nodes: []int{i}}}
	var in, out []byteTensor
	ins := n.In
	if !join {
		ins = n.In[:1] // the sizes are the results'
	}
	for _, slot := range ins {
		b, ok := r.operand(slot)
		if !ok {
			return nil
		}
		in, p.from = append(in, b), append(p.from, b.slot)
	}
	for _, slot := range n.Out {
		b, ok := r.product(slot, &p.nodes)
		if !ok {
			return nil
		}
		out, p.to = append(out, b), append(p.to, b.slot)
	}
	floats := f.pl.Info[n.In[0]].DType == tensor.Float32
	for _, a := range in {
		for _, b := range out {
			if a.signed != b.signed {
				return nil
			}
			if floats {
				p.tables = append(p.tables, requantized(a, b))
			} else {
				p.tables = append(p.tables, nil)
			}
		}
	}
	return p
}

// operand is an image in bytes, as it is or behind DequantizeLinear.
func (r *byteRegion) operand(slot int) (b byteTensor, ok bool) {
	f := r.f
	if slot < 0 || f.constant(slot) != nil {
		return b, false
	}
	if f.known(slot, tensor.Uint8, tensor.Int8) {
		b.slot, b.signed = slot, f.pl.Info[slot].DType == tensor.Int8
		return b, len(f.shape(slot)) == 4 && f.shape(slot).Elements() > 0
	}
	b, _, ok = r.dequantized(slot)
	return b, ok
}

// product is a result in bytes, as it is or behind QuantizeLinear, whose node it adds.
func (r *byteRegion) product(slot int, nodes *[]int) (b byteTensor, ok bool) {
	f := r.f
	if slot < 0 {
		return b, false
	}
	if f.known(slot, tensor.Uint8, tensor.Int8) {
		b.slot, b.signed = slot, f.pl.Info[slot].DType == tensor.Int8
		return b, f.shape(slot).Elements() > 0
	}
	b, k, ok := r.quantized(slot)
	*nodes = append(*nodes, k)
	return b, ok && f.f32(slot)
}

// requantized is what bytes of one scale and zero point are in another's, nil where they are equal.
func requantized(from, to byteTensor) *[256]byte {
	if from.scale == to.scale && from.zero == to.zero {
		return nil
	}
	var t [256]byte
	for k := range t {
		v, lo, hi := int32(k), 0.0, 255.0
		if from.signed {
			v, lo, hi = int32(int8(k)), -128, 127
		}
		x := float32(v-from.zero) * from.scale
		t[k] = byte(int32(min(max(math.RoundToEven(float64(x/to.scale))+float64(to.zero), lo), hi)))
	}
	return &t
}

func (p *byteMove) lower(r *byteRegion, g *group) {
	f := r.f
	g.reads = append(g.reads, p.from...)
	type end struct {
		channels int
		image    func(e *Env, k int) []byte
		done     func(e *Env, k int)
	}
	var in, out []end
	s := f.shape(p.from[0])
	spots := s[2] * s[3]
	for _, slot := range p.from {
		c := f.shape(slot)[1]
		in = append(in, end{c, r.image(slot, c, c, spots, g), nil})
	}
	for _, slot := range p.to {
		c := f.shape(slot)[1]
		at, done := r.result(slot, c, spots, g)
		out = append(out, end{c, at, done})
	}
	g.run = func(e *Env) error {
		for k := range s[0] {
			at := 0
			if len(out) == 1 {
				dst, whole := out[0].image(e, k), out[0].channels
				for i, part := range in {
					nhwc.Map(dst[at:], whole, part.image(e, k), part.channels, spots, part.channels, p.tables[i], e.Threads)
					at += part.channels
				}
				out[0].done(e, k)
				continue
			}
			src, whole := in[0].image(e, k), in[0].channels
			for i, part := range out {
				nhwc.Map(part.image(e, k), part.channels, src[at:], whole, spots, part.channels, p.tables[i], e.Threads)
				part.done(e, k)
				at += part.channels
			}
		}
		return nil
	}
}

// byteResize takes each place of a result from one of an image.
type byteResize struct {
	byteWork
	table *[256]byte
	rows  []int32
	cols  []int32
}

// matchResize takes the Resize at work[i] where it mixes no places.
func (r *byteRegion) matchResize(i int) bytePiece {
	f, n := r.f, r.f.node(i)
	a, ok := r.operand(n.In[0])
	if !ok {
		return nil
	}
	p := &byteResize{byteWork: byteWork{nodes: []int{i}, from: []int{a.slot}}}
	b, ok := r.product(n.Out[0], &p.nodes)
	if !ok || a.signed != b.signed || len(f.shape(b.slot)) != 4 {
		return nil
	}
	taps, ok := f.resizeTaps(n)
	if !ok {
		return nil
	}
	s := f.shape(a.slot)
	p.to, p.rows, p.cols = []int{b.slot}, still(s[2]).Index, still(s[3]).Index
	for _, t := range taps {
		if !alone(t) || t.Axis < 2 {
			return nil
		}
		if t.Axis == 2 {
			p.rows = t.Index
		} else {
			p.cols = t.Index
		}
	}
	if f.pl.Info[n.In[0]].DType == tensor.Float32 {
		p.table = requantized(a, b)
	}
	to := f.shape(b.slot)
	if to[0] != s[0] || to[1] != s[1] || to[2] != len(p.rows) || to[3] != len(p.cols) {
		return nil
	}
	return p
}

// alone reports that every element is one of the input's.
func alone(t nn.Taps) bool {
	for _, w := range t.Weight {
		if w != 1 {
			return false
		}
	}
	return t.N == 1
}

func (p *byteResize) lower(r *byteRegion, g *group) {
	from, to := r.f.shape(p.from[0]), r.f.shape(p.to[0])
	c, w := from[1], from[3]
	g.reads = p.from
	image := r.image(p.from[0], c, c, from[2]*w, g)
	at, done := r.result(p.to[0], c, to[2]*to[3], g)
	g.run = func(e *Env) error {
		for k := range from[0] {
			src, dst := image(e, k), at(e, k)
			row := len(p.cols) * c
			for y, sy := range p.rows {
				line := dst[y*row : (y+1)*row]
				if y > 0 && sy == p.rows[y-1] {
					copy(line, dst[(y-1)*row:])
					continue
				}
				for x, sx := range p.cols {
					copy(line[x*c:(x+1)*c], src[(int(sy)*w+int(sx))*c:])
				}
				if p.table != nil {
					nhwc.Map(line, row, line, row, 1, row, p.table, 1)
				}
			}
			done(e, k)
		}
		return nil
	}
}
