package lower

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/attention"
	"github.com/aimass/aimass/kernels/pool"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// attentionNode is a node of the standard's Attention being lowered.
type attentionNode struct {
	f             *fuser
	n             *Node
	nodes         []int
	reads, writes []int
	p             *attention.Params
	flat          bool
	fresh, past   int // keys of this run and of the cache
	q, k, v       head
	joins         []*cacheJoin
}

// cacheJoin lays a cache and what is new behind it out as [sequences, heads, keys, width].
type cacheJoin struct {
	past, to     int // slots; past −1 for none
	from         head
	heads, width int
}

// lowerAttention takes the standard's Attention in float32, with its caches. What it leaves to Eval: windows
// to the right or beside other lengths, scores as an output, and other precisions of the softmax.
func lowerAttention(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	a := n.Attrs
	if a.Int("right_window_size", -1) >= 0 || len(n.Out) > 3 && n.Out[3] >= 0 ||
		a.Int("softmax_precision", 1) > 1 || !f.f32(n.Out[0]) || (n.input(4) >= 0) != (n.input(5) >= 0) {
		return nil, false
	}
	for _, s := range n.In[:3] {
		if !f.f32(s) {
			return nil, false
		}
	}
	x := &attentionNode{f: f, n: n, nodes: []int{i}}
	if !x.geometry() || !x.caches() {
		return nil, false
	}
	bias, ok := x.mask()
	if !ok {
		return nil, false
	}
	return x.attentionNode(bias)
}

// geometry reads the operands, through transpositions that only this node reads.
func (x *attentionNode) geometry() bool {
	f, n := x.f, x.n
	sq, sk, sv := f.shape(n.In[0]), f.shape(n.In[1]), f.shape(n.In[2])
	x.p = &attention.Params{Blank: attention.BlankUnseen, Causal: n.Attrs.Int("is_causal", 0) != 0}
	p := x.p
	switch {
	case len(sq) == 4 && len(sk) == 4 && len(sv) == 4:
		p.Seqs, p.Heads, p.QLen, p.DK = sq[0], sq[1], sq[2], sq[3]
		p.KVHeads, x.fresh, p.DV = sk[1], sk[2], sv[3]
		x.q, x.k, x.v = headOf(f.g.OperandHead(n.In[0], &x.nodes)), headOf(f.g.OperandHead(n.In[1], &x.nodes)), headOf(f.g.OperandHead(n.In[2], &x.nodes))
	case len(sq) == 3 && len(sk) == 3 && len(sv) == 3:
		p.Heads, p.KVHeads = int(n.Attrs.Int("q_num_heads", 0)), int(n.Attrs.Int("kv_num_heads", 0))
		if p.Heads < 1 || p.KVHeads < 1 {
			return false
		}
		x.flat = true
		p.Seqs, p.QLen, p.DK, x.fresh, p.DV = sq[0], sq[1], sq[2]/p.Heads, sk[1], sv[2]/p.KVHeads
		rows := func(slot, width int) head {
			s := f.shape(slot)
			return head{slot: slot, strides: attention.Strides{Seq: s[1] * s[2], Token: s[2], Head: width}}
		}
		x.q, x.k, x.v = rows(n.In[0], p.DK), rows(n.In[1], p.DK), rows(n.In[2], p.DV)
	default:
		return false
	}
	if n.input(4) >= 0 {
		if !f.f32(n.In[4]) || !f.f32(n.In[5]) || len(f.shape(n.In[4])) != 4 || n.input(6) >= 0 {
			return false
		}
		x.past = f.shape(n.In[4])[2]
		if !f.shape(n.In[4]).Equal(tensor.Shape{p.Seqs, p.KVHeads, x.past, p.DK}) || !f.shape(n.In[5]).Equal(tensor.Shape{p.Seqs, p.KVHeads, x.past, p.DV}) {
			return false
		}
	}
	p.KLen = x.past + x.fresh
	p.Q, p.K, p.V = x.q.strides, x.k.strides, x.v.strides
	p.Scale = n.Attrs.Float("scale", float32(1/math.Sqrt(float64(p.DK))))
	p.Softcap = max(0, n.Attrs.Float("softcap", 0))
	if left := n.Attrs.Int("left_window_size", -1); left >= 0 {
		p.Window = int(min(left, math.MaxInt32)) + 1
	}
	return p.KVHeads > 0 && p.Heads%p.KVHeads == 0 && p.Seqs*p.QLen*p.DK*p.DV*p.KLen > 0
}

// caches plans what joins the cache and the new keys and values, where there is one or the node gives it.
func (x *attentionNode) caches() bool {
	f, n, p := x.f, x.n, x.p
	for k, h := range []*head{&x.k, &x.v} {
		to, past, width := -1, n.input(4+k), p.DK
		if len(n.Out) > 1+k {
			to = n.Out[1+k]
		}
		if k == 1 {
			width = p.DV
		}
		switch {
		case to >= 0 && !f.f32(to):
			return false
		case to < 0 && past < 0:
			continue
		case to < 0:
			to = f.scratch(tensor.Float32, p.Seqs*p.KVHeads*p.KLen*width)
		}
		x.joins = append(x.joins, &cacheJoin{past: past, to: to, from: *h, heads: p.KVHeads, width: width})
		x.reads, x.writes = append(x.reads, h.slot), append(x.writes, to)
		if past >= 0 {
			x.reads = append(x.reads, past)
		}
		*h = head{slot: to, strides: attention.Strides{Seq: p.KVHeads * p.KLen * width, Head: p.KLen * width, Token: width}}
	}
	p.K, p.V = x.k.strides, x.v.strides
	return true
}

// mask gives what attn_mask adds to the scores.
func (x *attentionNode) mask() (func(e *Env) []float32, bool) {
	f, p, slot := x.f, x.p, x.n.input(3)
	if slot < 0 {
		return f.biasOf(-1, match.Choice{}, nil, nil), true
	}
	s := f.shape(slot)
	full := tensor.Shape{p.Seqs, p.Heads, p.QLen, p.KLen}
	if len(s) < 1 || len(s) > 4 || s.Elements() == 0 || s[len(s)-1] != p.KLen && s[len(s)-1] != 1 || s[len(s)-1] == 1 && p.KLen != 1 {
		return nil, false // a shorter mask hides the keys behind it
	}
	for k, d := range s {
		if d != 1 && d != full[4-len(s)+k] {
			return nil, false
		}
	}
	choice := match.Choice{}
	if !f.f32(slot) {
		if !f.known(slot, tensor.Bool) {
			return nil, false
		}
		choice = match.Choice{Bools: true, No: float32(math.Inf(-1))}
	}
	st := spread(s, full)
	p.BiasSeq, p.BiasHead, p.BiasQuery, p.BiasKey = st[0], st[1], st[2], st[3]
	return f.biasOf(slot, choice, &x.reads, &x.writes), true
}

// attentionNode makes the step.
func (x *attentionNode) attentionNode(bias func(e *Env) []float32) (*group, bool) {
	f, p := x.f, x.p
	out := x.n.Out[0]
	p.Out = attention.Strides{Seq: p.Heads * p.QLen * p.DV, Head: p.QLen * p.DV, Token: p.DV}
	if x.flat {
		p.Out = attention.Strides{Seq: p.Heads * p.QLen * p.DV, Token: p.Heads * p.DV, Head: p.DV}
	} else if t, rows, ok := f.g.BackToRows(out); ok && f.f32(rows) {
		x.nodes, out = append(x.nodes, t), rows
		p.Out = attention.Strides{Seq: p.Heads * p.QLen * p.DV, Token: p.Heads * p.DV, Head: p.DV}
	}
	lens := x.n.input(6)
	if lens >= 0 {
		if !f.known(lens, tensor.Int64) || f.shape(lens).Elements() != p.Seqs {
			return nil, false
		}
		x.reads = append(x.reads, lens)
	} else if p.Causal || p.Window > 0 {
		if !p.Causal && p.QLen != x.fresh {
			return nil, false // the kernel counts a window from the last keys
		}
		// Queries stand behind the cache, whatever keys are new; the kernel has them end where keys do.
		if p.QLen > x.fresh {
			return nil, false
		}
		p.KLen = x.past + p.QLen
	}
	x.reads, x.writes = append(x.reads, x.q.slot, x.k.slot, x.v.slot), append(x.writes, out)
	q, k, v := x.q, x.k, x.v
	run := func(e *Env) error {
		for _, j := range x.joins {
			j.run(e, p.Seqs, x.past, x.fresh)
		}
		c := *p
		c.Threads, c.Bias = e.Threads, bias(e)
		if lens < 0 {
			c.Run(e.f32(out), q.f32(e), k.f32(e), v.f32(e))
			return nil
		}
		return perSequence(&c, tensor.Data[int64](e.Tensor(lens)), e.f32(out), q.f32(e), k.f32(e), v.f32(e))
	}
	return &group{nodes: x.nodes, reads: x.reads, writes: x.writes, run: run}, true
}

// run copies the cache and what is new.
func (j *cacheJoin) run(e *Env, seqs, past, fresh int) {
	all := past + fresh
	dst, src, st := e.f32(j.to), j.from.f32(e), j.from.strides
	if past > 0 {
		pool.CopyRows(e.bytes(j.to), all*j.width*4, e.bytes(j.past), past*j.width*4, past*j.width*4, seqs*j.heads, e.Threads)
	}
	for s := range seqs {
		for h := range j.heads {
			to := dst[((s*j.heads+h)*all+past)*j.width:]
			from := src[s*st.Seq+h*st.Head:]
			if st.Token == j.width {
				copy(to[:fresh*j.width], from)
				continue
			}
			for t := range fresh {
				copy(to[t*j.width:(t+1)*j.width], from[t*st.Token:])
			}
		}
	}
}

// perSequence runs an attention of which each sequence has a number of keys of its own, behind which its
// queries end.
func perSequence(c *attention.Params, keys []int64, out, q, k, v []float32) error {
	seqs, all, bias := c.Seqs, int64(c.KLen), c.Bias
	c.Seqs = 1
	for s := range seqs {
		n := keys[s]
		if n < 0 || n > all {
			return fmt.Errorf("nonpad_kv_seqlen: %d is outside of 0 to %d", n, all)
		}
		c.KLen = int(n)
		if bias != nil {
			c.Bias = bias[s*c.BiasSeq:]
		}
		c.Run(out[s*c.Out.Seq:], q[s*c.Q.Seq:], k[s*c.K.Seq:], v[s*c.V.Seq:])
	}
	return nil
}
