package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/kernels/transpose"
	"github.com/aimass/aimass/runtime/tensor"
)

// byteRegion lowers what quantised networks do with images of bytes, in both forms: operators on floats
// that come out of DequantizeLinear and go into QuantizeLinear, and operators of bytes. Images
// between two pieces of the region keep their channels together (NHWC), in the slot that
// otherwise holds them as ONNX has it: the sizes are equal.
type byteRegion struct {
	f         *fuser
	pieces    []bytePiece
	functions byteFunctions
	taken     map[int]bool // nodes that a piece stands for
	nhwc      map[int]bool // slots whose channels are kept together
	readers   map[int][]*byteWork
}

// bytePiece becomes one step.
type bytePiece interface {
	work() *byteWork
	lower(r *byteRegion, g *group)
}

// byteWork is what the region knows of a piece.
type byteWork struct {
	nodes    []int
	from, to []int // slots of bytes
	fours    bool  // the piece reads channels that lie together where they are a multiple of four
}

func (w *byteWork) work() *byteWork { return w }

// byteTensor is a value in bytes with one scale and zero point.
type byteTensor struct {
	slot   int
	scale  float32
	zero   int32
	signed bool
}

// all matches, decides how images lie, and lowers.
func (r *byteRegion) all(add func(*group)) {
	f := r.f
	r.functions.find(f)
	for i, n := range f.pl.Work {
		if f.claimed[i] || r.taken[i] || r.functions.node[i] {
			continue
		}
		var p bytePiece
		switch n.OpName() {
		case "Conv", "QLinearConv":
			p = r.matchConv(i)
		case "Add", "Mul", "com.microsoft.QLinearAdd", "com.microsoft.QLinearMul":
			p = r.matchPair(i)
		case "Concat", "Split":
			p = r.matchMove(i)
		case "Resize":
			p = r.matchResize(i)
		}
		r.take(p)
	}
	r.takeFunctions()
	if len(r.pieces) == 0 {
		return
	}
	groups := make([]*group, len(r.pieces))
	for k, p := range r.pieces {
		groups[k] = &group{nodes: p.work().nodes}
	}
	r.takeSources(groups)
	for _, p := range r.pieces {
		for _, slot := range p.work().from {
			r.readers[slot] = append(r.readers[slot], p.work())
		}
	}
	exits := r.exits()
	for _, p := range r.pieces {
		for _, slot := range p.work().to {
			r.nhwc[slot] = r.ours(slot)
		}
	}
	r.entries(add)
	for k, p := range r.pieces {
		p.lower(r, groups[k])
		add(groups[k])
	}
	for _, e := range exits {
		r.lowerExit(e, add)
	}
}

// take adds a piece, if it is one.
func (r *byteRegion) take(p bytePiece) {
	if p == nil {
		return
	}
	r.pieces = append(r.pieces, p)
	for _, k := range p.work().nodes {
		r.taken[k] = true
	}
}

// takeSources gives DequantizeLinear nodes that convolutions alone read to the last of them.
func (r *byteRegion) takeSources(groups []*group) {
	f := r.f
	for i, n := range f.pl.Work {
		if n.OpName() != "DequantizeLinear" || f.claimed[i] || r.taken[i] || n.Out[0] < 0 || f.output[n.Out[0]] {
			continue
		}
		users := f.users[n.Out[0]]
		if len(users) == 0 || slices.ContainsFunc(users, func(u int) bool { return !r.taken[u] }) {
			continue
		}
		last := slices.Max(users)
		for _, g := range groups {
			if slices.Contains(g.nodes, last) {
				g.nodes = append(g.nodes, i)
				r.taken[i] = true
				break
			}
		}
	}
}

// ours reports that nobody but the region reads a slot of bytes, and all as it is.
func (r *byteRegion) ours(slot int) bool {
	if r.f.output[slot] || len(r.f.users[slot]) == 0 || len(r.f.shape(slot)) != 4 {
		return false
	}
	for _, p := range r.readers[slot] {
		if p.fours && r.f.shape(slot)[1]%4 != 0 {
			return false
		}
	}
	for _, u := range r.f.users[slot] {
		if !r.taken[u] {
			return false
		}
	}
	return true
}

// exits takes DequantizeLinear where floats are made of an image of bytes that a piece
// writes, for what is outside of the region.
func (r *byteRegion) exits() (nodes []int) {
	f := r.f
	for _, p := range r.pieces {
		for _, slot := range p.work().to {
			if len(f.shape(slot)) != 4 {
				continue
			}
			for _, u := range f.users[slot] {
				n := f.node(u)
				if r.taken[u] || f.claimed[u] || n.OpName() != "DequantizeLinear" || !f.f32(n.Out[0]) {
					continue
				}
				if _, _, ok := f.perTensor(n); ok {
					r.taken[u] = true
					nodes = append(nodes, u)
				}
			}
		}
	}
	return nodes
}

// lowerExit makes floats in ONNX's order.
func (r *byteRegion) lowerExit(i int, add func(*group)) {
	f, n := r.f, r.f.node(i)
	scale, zero, _ := f.perTensor(n)
	x, y, s := n.In[0], n.Out[0], f.shape(n.In[0])
	g := &group{nodes: []int{i}, reads: []int{x}, writes: []int{y}}
	channels, spots, signed := s[1], s[2]*s[3], f.pl.Info[x].DType == tensor.Int8
	size := channels * spots
	plain := r.plain(x, channels, spots, g)
	g.run = func(e *Env) error {
		for k := range s[0] {
			quant.Dequantize(e.f32(y)[k*size:(k+1)*size], plain(e, k), scale, zero, signed, e.Threads)
		}
		return nil
	}
	add(g)
}

// entries lowers QuantizeLinear where floats come into the region.
func (r *byteRegion) entries(add func(*group)) {
	f := r.f
	for slot := range r.readers {
		i, ok := f.maker[slot]
		if !ok || r.nhwc[slot] || r.taken[i] || f.claimed[i] || !r.ours(slot) {
			continue
		}
		n := f.node(i)
		if n.OpName() != "QuantizeLinear" || !f.f32(n.In[0]) || n.Attrs.Int("precision", 0) > 1 {
			continue
		}
		scale, zero, ok := f.perTensor(n)
		if !ok {
			continue
		}
		r.nhwc[slot] = true
		s := f.shape(slot)
		images, channels, spots := s[0], s[1], s[2]*s[3]
		x, scratch, signed := n.In[0], f.scratch(f.pl.Info[slot].DType, s.Elements()), f.pl.Info[slot].DType == tensor.Int8
		add(&group{nodes: []int{i}, reads: []int{x}, writes: []int{slot, scratch}, run: func(e *Env) error {
			quant.Quantize(e.bytes(scratch), e.f32(x), scale, zero, signed, e.Threads)
			dst, src, size := e.bytes(slot), e.bytes(scratch), channels*spots
			for k := range images {
				transpose.Bytes(dst[k*size:(k+1)*size], channels, src[k*size:], spots, channels, spots, e.Threads)
			}
			return nil
		}})
	}
}

// dequantized reads what DequantizeLinear makes of an image of bytes with one scale.
func (r *byteRegion) dequantized(slot int) (b byteTensor, node int, ok bool) {
	b, node, ok = r.valued(slot)
	return b, node, ok && len(r.f.shape(b.slot)) == 4
}

// valued is dequantized for any shape.
func (r *byteRegion) valued(slot int) (b byteTensor, node int, ok bool) {
	f := r.f
	node, ok = f.maker[slot]
	if !ok {
		return
	}
	n := f.node(node)
	if n.OpName() != "DequantizeLinear" || f.claimed[node] || !f.known(n.In[0], tensor.Uint8, tensor.Int8) || f.constant(n.In[0]) != nil || f.shape(n.In[0]).Elements() == 0 {
		return b, 0, false
	}
	b.slot, b.signed = n.In[0], f.pl.Info[n.In[0]].DType == tensor.Int8
	b.scale, b.zero, ok = f.perTensor(n)
	return b, node, ok
}

// quantized is the QuantizeLinear that alone reads a slot.
func (r *byteRegion) quantized(slot int) (q byteTensor, node int, ok bool) {
	f := r.f
	node, ok = f.onlyUser(slot)
	if !ok || r.taken[node] {
		return q, 0, false
	}
	n := f.node(node)
	if n.OpName() != "QuantizeLinear" || n.In[0] != slot || !f.known(n.Out[0], tensor.Uint8, tensor.Int8) || n.Attrs.Int("precision", 0) > 1 {
		return q, 0, false
	}
	q.slot, q.signed = n.Out[0], f.pl.Info[n.Out[0]].DType == tensor.Int8
	q.scale, q.zero, ok = f.perTensor(n)
	return q, node, ok
}

// image4 is an image in bytes with a constant scale and zero point at inputs at and at+1.
func (r *byteRegion) image4(n *Node, slot, at int) (b byteTensor, ok bool) {
	b, ok = r.f.quantised(n, slot, at)
	return b, ok && len(r.f.shape(slot)) == 4 && r.f.constant(slot) == nil
}

// image reads image k of a slot with its channels together, run bytes from one place to the next.
func (r *byteRegion) image(slot, channels, run, spots int, g *group) func(e *Env, k int) []byte {
	size := channels * spots
	if r.nhwc[slot] || spots == 1 && run == channels {
		return func(e *Env, k int) []byte { return e.bytes(slot)[k*size : (k+1)*size] }
	}
	turned := r.f.scratch(r.f.pl.Info[slot].DType, run*spots)
	g.writes = append(g.writes, turned)
	return func(e *Env, k int) []byte {
		transpose.Bytes(e.bytes(turned), run, e.bytes(slot)[k*size:(k+1)*size], spots, channels, spots, e.Threads)
		return e.bytes(turned)
	}
}

// plain reads image k of a slot in ONNX's order.
func (r *byteRegion) plain(slot, channels, spots int, g *group) func(e *Env, k int) []byte {
	size := channels * spots
	if !r.nhwc[slot] || spots == 1 {
		return func(e *Env, k int) []byte { return e.bytes(slot)[k*size : (k+1)*size] }
	}
	turned := r.f.scratch(r.f.pl.Info[slot].DType, size)
	g.writes = append(g.writes, turned)
	return func(e *Env, k int) []byte {
		transpose.Bytes(e.bytes(turned), spots, e.bytes(slot)[k*size:(k+1)*size], channels, spots, channels, e.Threads)
		return e.bytes(turned)
	}
}

// result is where image k of a slot is written with its channels together; done brings it
// into the slot's order.
func (r *byteRegion) result(slot, channels, spots int, g *group) (at func(e *Env, k int) []byte, done func(e *Env, k int)) {
	size := channels * spots
	g.writes = append(g.writes, slot)
	if r.nhwc[slot] || spots == 1 {
		return func(e *Env, k int) []byte { return e.bytes(slot)[k*size : (k+1)*size] }, func(*Env, int) {}
	}
	stage := r.f.scratch(r.f.pl.Info[slot].DType, size)
	g.writes = append(g.writes, stage)
	return func(e *Env, _ int) []byte { return e.bytes(stage) }, func(e *Env, k int) {
		transpose.Bytes(e.bytes(slot)[k*size:(k+1)*size], spots, e.bytes(stage), channels, spots, channels, e.Threads)
	}
}
