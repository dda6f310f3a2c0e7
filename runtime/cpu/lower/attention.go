package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/attention"
	"github.com/aimass/aimass/runtime/ops/ragged"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerSoftmax takes attention spelled out around a softmax, or the softmax alone.
func lowerSoftmax(f *fuser, i int) (*group, bool) {
	if g, ok := f.attention(i); ok {
		return g, true
	}
	return f.softmaxAlone(i)
}

// head is one operand of an attention: a slot and how its elements lie, from where on.
type head struct {
	slot    int
	strides attention.Strides
	from    int
}

// f32 are the operand's elements during a run.
func (h *head) f32(e *Env) []float32 { return e.f32(h.slot)[h.from:] }

// joined reads three operands where they lie if they are the columns of one product, split
// for this alone: neither the split nor what lays the parts out by heads is done then.
func (f *fuser) joined(nodes *[]int, heads ...*head) {
	split, claim := -1, []int(nil)
	for _, h := range heads {
		i, ok := f.maker[h.slot]
		if !ok || f.claimed[i] || f.node(i).OpName() != "Reshape" || len(f.users[h.slot]) != 1 || f.output[h.slot] {
			return
		}
		part := f.node(i).In[0]
		s, ok := f.maker[part]
		if !ok || f.claimed[s] || f.node(s).OpName() != "Split" || split >= 0 && s != split || len(f.users[part]) != 1 || f.output[part] {
			return
		}
		split, claim = s, append(claim, i)
	}
	n := f.node(split)
	x, rank := n.In[0], len(f.shape(n.In[0]))
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), rank)
	if err != nil || rank != 3 || axis != 2 || len(n.Out) != len(heads) || !f.f32(x) {
		return
	}
	total := f.shape(x)[2]
	starts := map[int]int{}
	for at, k := 0, 0; k < len(n.Out); k++ {
		if n.Out[k] < 0 || !f.f32(n.Out[k]) {
			return
		}
		starts[n.Out[k]] = at
		at += f.shape(n.Out[k])[2]
	}
	for k, h := range heads {
		// [batch, tokens, heads, width], of which a token's heads lie side by side.
		if s := f.shape(h.slot); len(s) != 4 || s[0] != f.shape(x)[0] || s[1] != f.shape(x)[1] || h.strides.Token != s[2]*s[3] {
			return
		}
		part := f.node(claim[k]).In[0]
		if _, ok := starts[part]; !ok {
			return
		}
	}
	for k, h := range heads {
		h.from = starts[f.node(claim[k]).In[0]]
		h.slot, h.strides.Token, h.strides.Seq = x, total, f.shape(x)[1]*total
	}
	*nodes = append(append(*nodes, claim...), split)
}

// attention matches softmax(scale·Q·Kᵀ + mask)·V on [batch, heads, tokens, width], where
// the operands may come out of transpositions, which are then not done at all.
func (f *fuser) attention(i int) (*group, bool) {
	n := f.node(i)
	probs := n.Out[0]
	if !f.f32(n.In[0]) || !f.f32(probs) || len(f.shape(probs)) != 4 || !lastAxis(n, 4) {
		return nil, false
	}
	s, ok := f.scores(n.In[0])
	if !ok {
		return nil, false
	}
	pv, ok := f.onlyUser(probs)
	if !ok || f.node(pv).OpName() != "MatMul" || f.node(pv).In[0] != probs {
		return nil, false
	}
	qk := f.node(s.product)
	shape := f.shape(probs)
	p := &attention.Params{Seqs: shape[0], Heads: shape[1], QLen: shape[2], KLen: shape[3], Scale: s.scale}
	nodes := append([]int{i, pv, s.product}, s.nodes...)
	q := f.operandHead(qk.In[0], []int64{0, 2, 1, 3}, &nodes)
	k, okK := f.keyHead(qk.In[1], &nodes)
	v := f.operandHead(f.node(pv).In[1], []int64{0, 2, 1, 3}, &nodes)
	if !okK || !f.f32(qk.In[0]) || !f.f32(f.node(pv).In[1]) || len(f.shape(qk.In[0])) != 4 || len(f.shape(f.node(pv).In[1])) != 4 {
		return nil, false
	}
	sq, sv := f.shape(qk.In[0]), f.shape(f.node(pv).In[1])
	p.DK, p.DV = sq[3], sv[3]
	if sq[0] != p.Seqs || sq[1] != p.Heads || sv[0] != p.Seqs || sv[1] != p.Heads || shape.Elements() == 0 || p.DK == 0 || p.DV == 0 {
		return nil, false
	}
	f.joined(&nodes, &q, &k, &v)
	p.Q, p.K, p.V = q.strides, k.strides, v.strides
	out := f.node(pv).Out[0]
	p.Out = attention.Strides{Seq: p.Heads * p.QLen * p.DV, Head: p.QLen * p.DV, Token: p.DV}
	if t, ok := f.onlyUser(out); ok && f.node(t).OpName() == "Transpose" && slices.Equal(f.node(t).Attrs.Ints("perm"), []int64{0, 2, 1, 3}) {
		nodes = append(nodes, t)
		out = f.node(t).Out[0]
		p.Out = attention.Strides{Seq: p.QLen * p.Heads * p.DV, Token: p.Heads * p.DV, Head: p.DV}
	}
	if !f.f32(out) {
		return nil, false
	}
	reads := []int{q.slot, k.slot, v.slot}
	mask := s.mask
	if mask >= 0 {
		reads = append(reads, mask)
		p.BiasSeq, p.BiasHead, p.BiasQuery, p.BiasKey = maskSteps(f.shape(mask), shape)
	}
	run := func(e *Env) error {
		c := *p
		c.Threads = e.Threads
		if mask >= 0 {
			c.Bias = e.f32(mask)
		}
		c.Run(e.f32(out), q.f32(e), k.f32(e), v.f32(e))
		return nil
	}
	return &group{nodes: nodes, reads: reads, writes: []int{out}, run: run}, true
}

// lowerSegmentAttention runs the attention of sequences that lie one behind the other, with
// the operands' transpositions left out as in attention.
func lowerSegmentAttention(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	positions := n.In[3]
	for _, s := range n.In[:3] {
		if !f.f32(s) || len(f.shape(s)) != 4 {
			return nil, false
		}
	}
	nodes := []int{i}
	q := f.operandHead(n.In[0], []int64{0, 2, 1, 3}, &nodes)
	k, ok := f.keyHead(n.In[1], &nodes)
	v := f.operandHead(n.In[2], []int64{0, 2, 1, 3}, &nodes)
	sq, sv, out := f.shape(n.In[0]), f.shape(n.In[2]), n.Out[0]
	if !ok || !f.pl.Info[positions].Known || f.pl.Info[positions].DType != tensor.Int64 || f.pl.Place[positions].Kind == OnHeap || sq.Elements() == 0 || sv[3] == 0 {
		return nil, false
	}
	f.joined(&nodes, &q, &k, &v)
	p := &attention.Params{Heads: sq[1], DK: sq[3], DV: sv[3], Scale: n.Attrs.Float("scale", 1), Q: q.strides, K: k.strides, V: v.strides}
	p.Out = attention.Strides{Head: sq[2] * p.DV, Token: p.DV}
	if t, ok := f.onlyUser(out); ok && f.node(t).OpName() == "Transpose" && slices.Equal(f.node(t).Attrs.Ints("perm"), []int64{0, 2, 1, 3}) {
		nodes = append(nodes, t)
		out = f.node(t).Out[0]
		p.Out = attention.Strides{Token: p.Heads * p.DV, Head: p.DV}
	}
	if !f.f32(out) {
		return nil, false
	}
	reads, mask := []int{q.slot, k.slot, v.slot, positions}, -1
	if len(n.In) > 4 && n.In[4] >= 0 {
		mask = n.In[4]
		if !f.f32(mask) {
			return nil, false
		}
		reads = append(reads, mask)
	}
	run := func(e *Env) error {
		c := *p
		c.Threads = e.Threads
		e.starts = ragged.Starts(e.starts[:0], tensor.Data[int64](e.Tensor(positions)))
		if mask < 0 {
			c.Starts, c.Seqs = e.starts, len(e.starts)-1
			c.Run(e.f32(out), q.f32(e), k.f32(e), v.f32(e))
			return nil
		}
		// The kernel steps through a mask by equal steps a sequence, which these have not.
		c.Seqs, c.BiasKey = 1, 1
		for s := range e.starts[:len(e.starts)-1] {
			from, to := int(e.starts[s]), int(e.starts[s+1])
			c.QLen, c.KLen, c.Bias = to-from, to-from, e.f32(mask)[from:to]
			c.Run(e.f32(out)[from*c.Out.Token:], q.f32(e)[from*c.Q.Token:], k.f32(e)[from*c.K.Token:], v.f32(e)[from*c.V.Token:])
		}
		return nil
	}
	return &group{nodes: nodes, reads: reads, writes: []int{out}, run: run}, true
}

// lastAxis reports that a softmax runs over the last of rank axes.
func lastAxis(n *Node, rank int) bool {
	def := int64(-1)
	if n.Opset < 13 {
		def = 1
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", def), rank)
	return err == nil && axis == rank-1
}

// scoring is what stands between the product of Q and K and the softmax.
type scoring struct {
	product int
	nodes   []int
	scale   float32
	mask    int // slot, −1 for none
}

// scores walks back from the softmax's input to the product.
func (f *fuser) scores(slot int) (scoring, bool) {
	s := scoring{scale: 1, mask: -1}
	for {
		i, ok := f.maker[slot]
		if !ok || f.claimed[i] || len(f.users[slot]) != 1 || f.output[slot] {
			return s, false
		}
		n := f.node(i)
		switch n.OpName() {
		case "MatMul":
			s.product = i
			return s, f.f32(n.In[0]) && f.f32(n.In[1])
		case "Add":
			if s.mask >= 0 || s.scale != 1 {
				return s, false
			}
			main, other := n.In[0], n.In[1]
			if _, made := f.maker[main]; !made || !f.shape(main).Equal(f.shape(n.Out[0])) {
				main, other = other, main
			}
			if !f.f32(main) || !f.f32(other) || !f.shape(main).Equal(f.shape(n.Out[0])) {
				return s, false
			}
			s.mask, slot = other, main
		case "Mul", "Div":
			v, ok := f.scalar(n.In[1])
			main := n.In[0]
			if !ok && n.Op == "Mul" {
				v, ok = f.scalar(n.In[0])
				main = n.In[1]
			}
			if !ok || v == 0 {
				return s, false
			}
			if n.Op == "Div" {
				v = 1 / v
			}
			s.scale *= v
			slot = main
		default:
			return s, false
		}
		s.nodes = append(s.nodes, i)
	}
}

// operandHead is an operand as [batch, heads, tokens, width]: read through the
// transposition that made it so, if only this reads it, else as it lies.
func (f *fuser) operandHead(slot int, perm []int64, nodes *[]int) head {
	s := f.shape(slot)
	if i, ok := f.maker[slot]; ok && len(s) == 4 && !f.claimed[i] && len(f.users[slot]) == 1 && !f.output[slot] {
		if n := f.node(i); n.OpName() == "Transpose" && slices.Equal(n.Attrs.Ints("perm"), perm) && f.f32(n.In[0]) {
			*nodes = append(*nodes, i)
			src := f.shape(n.In[0]) // batch, tokens, heads, width
			return head{slot: n.In[0], strides: attention.Strides{Seq: src[1] * src[2] * src[3], Token: src[2] * src[3], Head: src[3]}}
		}
	}
	if len(s) != 4 {
		return head{slot: slot}
	}
	return head{slot: slot, strides: attention.Strides{Seq: s[1] * s[2] * s[3], Head: s[2] * s[3], Token: s[3]}}
}

// keyHead is K, which the product reads as [batch, heads, width, tokens]: it must come
// out of a transposition of something whose last axis is the width.
func (f *fuser) keyHead(slot int, nodes *[]int) (head, bool) {
	i, ok := f.maker[slot]
	if !ok || f.claimed[i] || len(f.users[slot]) != 1 || f.output[slot] || len(f.shape(slot)) != 4 {
		return head{}, false
	}
	n := f.node(i)
	if n.OpName() != "Transpose" || !f.f32(n.In[0]) {
		return head{}, false
	}
	switch perm := n.Attrs.Ints("perm"); {
	case slices.Equal(perm, []int64{0, 2, 3, 1}):
		*nodes = append(*nodes, i)
		s := f.shape(n.In[0]) // batch, tokens, heads, width
		return head{slot: n.In[0], strides: attention.Strides{Seq: s[1] * s[2] * s[3], Token: s[2] * s[3], Head: s[3]}}, true
	case slices.Equal(perm, []int64{0, 1, 3, 2}):
		*nodes = append(*nodes, i)
		return f.operandHead(n.In[0], []int64{0, 2, 1, 3}, nodes), true
	}
	return head{}, false
}

// maskSteps are the steps of a mask that broadcasts to [batch, heads, queries, keys].
func maskSteps(mask, full tensor.Shape) (seq, hd, query, key int) {
	st := mask.Strides()
	step := func(axis int) int {
		k := axis - (len(full) - len(mask))
		if k < 0 || mask[k] == 1 {
			return 0
		}
		return st[k]
	}
	return step(0), step(1), step(2), step(3)
}
