package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/nhwc"
	"github.com/aimass/aimass/runtime/tensor"
)

// bytePair is a sum or product of two values in bytes; where whole is set, the second has one
// value for each channel of an image.
type bytePair struct {
	byteWork
	a, b, y byteTensor
	pair    nhwc.Pair
}

// matchPair takes the sum or product at work[i], nil where it is none of the region's.
func (r *byteRegion) matchPair(i int) bytePiece {
	p := &bytePair{byteWork: byteWork{nodes: []int{i}}}
	ok := false
	if n := r.f.node(i); n.Domain == "" {
		ok = r.floatPair(p, n)
	} else {
		ok = r.integerPair(p, n)
	}
	f := r.f
	if !ok || p.a.signed != p.b.signed || p.a.signed != p.y.signed || p.a.slot == p.b.slot {
		return nil
	}
	whole := f.shape(p.y.slot)
	if !f.shape(p.a.slot).Equal(whole) {
		if !p.pair.Product {
			return nil // the order of additions counts
		}
		p.a, p.b = p.b, p.a
	}
	p.pair.Whole = !f.shape(p.b.slot).Equal(whole)
	if !f.shape(p.a.slot).Equal(whole) || p.pair.Whole && (len(whole) != 4 || !f.shape(p.b.slot).Equal(tensor.Shape{whole[0], whole[1], 1, 1})) {
		return nil
	}
	p.pair.ZeroA, p.pair.ZeroB, p.pair.Zero, p.pair.Signed = p.a.zero, p.b.zero, p.y.zero, p.y.signed
	if r.f.node(i).Domain != "" {
		p.inUnits()
	} else {
		p.pair.ScaleA, p.pair.ScaleB, p.pair.Scale, p.pair.Factor = p.a.scale, p.b.scale, p.y.scale, 1
	}
	p.from, p.to = []int{p.a.slot, p.b.slot}, []int{p.y.slot}
	return p
}

// inUnits computes as QLinearAdd and QLinearMul do, in units of the result.
func (p *bytePair) inUnits() {
	q := &p.pair
	q.Scale, q.Zero = 1, 0
	if q.Product {
		q.ScaleA, q.ScaleB, q.Factor, q.Shift = 1, 1, p.a.scale*p.b.scale/p.y.scale, float32(p.y.zero)
		return
	}
	q.ScaleA, q.ScaleB, q.ZeroA, q.ZeroB = p.a.scale/p.y.scale, p.b.scale/p.y.scale, 0, 0
	q.Fixed = float32(p.y.zero) - (float32(q.ScaleA*float32(p.a.zero)) + float32(q.ScaleB*float32(p.b.zero)))
}

// floatPair reads Add or Mul of floats that come out of bytes and become bytes.
func (r *byteRegion) floatPair(p *bytePair, n *Node) bool {
	f := r.f
	var ok bool
	if p.a, _, ok = r.valued(n.In[0]); !ok {
		return false
	}
	if p.b, _, ok = r.valued(n.In[1]); !ok || !f.f32(n.Out[0]) {
		return false
	}
	at := n.Out[0]
	if k, ok := f.onlyUser(at); ok && f.node(k).OpName() == "Relu" && f.f32(f.node(k).Out[0]) {
		at, p.pair.Relu, p.nodes = f.node(k).Out[0], true, append(p.nodes, k)
	}
	y, k, ok := r.quantized(at)
	p.y, p.pair.Product, p.nodes = y, n.Op == "Mul", append(p.nodes, k)
	return ok
}

// integerPair reads QLinearAdd or QLinearMul.
func (r *byteRegion) integerPair(p *bytePair, n *Node) (ok bool) {
	f := r.f
	if p.a, ok = f.quantised(n, n.In[0], 1); !ok {
		return false
	}
	if p.b, ok = f.quantised(n, n.In[3], 4); !ok || f.constant(n.In[0]) != nil || f.constant(n.In[3]) != nil {
		return false
	}
	p.y, ok = f.quantised(n, n.Out[0], 6)
	p.pair.Product = n.Op == "QLinearMul"
	return ok
}

func (p *bytePair) lower(r *byteRegion, g *group) {
	a, b, to, s := p.a.slot, p.b.slot, p.y.slot, r.f.shape(p.y.slot)
	g.reads = []int{a, b}
	plain := !slices.ContainsFunc([]int{a, b, to}, func(slot int) bool { return r.nhwc[slot] })
	all := r.nhwc[a] && r.nhwc[b] && r.nhwc[to]
	if !p.pair.Whole && (plain || all) {
		g.writes = []int{to}
		total := s.Elements()
		g.run = func(e *Env) error {
			nhwc.Combine(e.bytes(to), e.bytes(a), e.bytes(b), 1, total, &p.pair, e.Threads)
			return nil
		}
		return
	}
	spots := s[2] * s[3]
	left := r.image(a, s[1], s[1], spots, g)
	right := r.image(b, s[1], s[1], r.f.shape(b)[2:].Elements(), g)
	at, done := r.result(to, s[1], spots, g)
	g.run = func(e *Env) error {
		for k := range s[0] {
			nhwc.Combine(at(e, k), left(e, k), right(e, k), spots, s[1], &p.pair, e.Threads)
			done(e, k)
		}
		return nil
	}
}
