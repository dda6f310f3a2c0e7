package lower

import (
	"github.com/aimass/aimass/kernels/attention"
	"github.com/aimass/aimass/runtime/match"
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

// headOf is an operand as match found it.
func headOf(h match.Head) head { return head{slot: h.Slot, strides: strides(h)} }

// strides are a head's as the kernel takes them.
func strides(h match.Head) attention.Strides {
	return attention.Strides{Seq: h.Seq, Head: h.Head, Token: h.Token}
}

// attention takes softmax(scale·Q·Kᵀ + mask)·V.
func (f *fuser) attention(i int) (*group, bool) {
	a, ok := f.g.Attention(i)
	if !ok {
		return nil, false
	}
	nodes, q, k, v, out := a.Nodes, headOf(a.Q), headOf(a.K), headOf(a.V), a.Out.Slot
	f.joined(&nodes, &q, &k, &v)
	p := &attention.Params{Seqs: a.Seqs, Heads: a.Heads, KVHeads: a.KVHeads, QLen: a.Queries, KLen: a.Keys, DK: a.WidthQK, DV: a.WidthV, Scale: a.Scale, Softcap: a.Softcap,
		Q: q.strides, K: k.strides, V: v.strides, Out: strides(a.Out),
		BiasSeq: a.MaskStep[0], BiasHead: a.MaskStep[1], BiasQuery: a.MaskStep[2], BiasKey: a.MaskStep[3]}
	if a.NoNaN {
		p.Blank = attention.BlankNaN
	}
	reads, writes := []int{q.slot, k.slot, v.slot}, []int{out}
	bias := f.biasOf(a.Mask, a.Where, &reads, &writes)
	run := func(e *Env) error {
		c := *p
		c.Threads = e.Threads
		c.Bias = bias(e)
		c.Run(e.f32(out), q.f32(e), k.f32(e), v.f32(e))
		return nil
	}
	return &group{nodes: nodes, reads: reads, writes: writes, run: run}, true
}

// biasOf is what a mask, −1 for none, adds to the scores during a run.
func (f *fuser) biasOf(mask int, where match.Choice, reads, writes *[]int) func(e *Env) []float32 {
	if mask < 0 {
		return func(*Env) []float32 { return nil }
	}
	*reads = append(*reads, mask)
	if !where.Bools {
		return func(e *Env) []float32 { return e.f32(mask) }
	}
	to := f.scratch(tensor.Float32, f.shape(mask).Elements())
	*writes = append(*writes, to)
	return func(e *Env) []float32 {
		bias := e.f32(to)
		for i, yes := range tensor.Data[bool](e.Tensor(mask)) {
			bias[i] = where.No
			if yes {
				bias[i] = where.Yes
			}
		}
		return bias
	}
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
	q, v := headOf(f.g.OperandHead(n.In[0], &nodes)), headOf(f.g.OperandHead(n.In[2], &nodes))
	scale := n.Attrs.Float("scale", 1)
	key, ok := f.g.KeyHead(n.In[1], &scale, &nodes)
	k := headOf(key)
	sq, sv, out := f.shape(n.In[0]), f.shape(n.In[2]), n.Out[0]
	if !ok || !f.pl.Info[positions].Known || f.pl.Info[positions].DType != tensor.Int64 || f.pl.Place[positions].Kind == OnHeap || sq.Elements() == 0 || sv[3] == 0 {
		return nil, false
	}
	f.joined(&nodes, &q, &k, &v)
	p := &attention.Params{Heads: sq[1], DK: sq[3], DV: sv[3], Scale: scale, Q: q.strides, K: k.strides, V: v.strides}
	if n.Attrs.Int("blank", 0) != 0 {
		p.Blank = attention.BlankNaN
	}
	p.Out = attention.Strides{Head: sq[2] * p.DV, Token: p.DV}
	if t, rows, ok := f.g.BackToRows(out); ok {
		nodes, out = append(nodes, t), rows
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
