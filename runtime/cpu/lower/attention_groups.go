package lower

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/attention"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

// groupQuery is a node of com.microsoft's GroupQueryAttention being lowered: a cache into which each
// sequence writes behind what it has, and heads of queries that share those of keys and values.
type groupQuery struct {
	q, k, v          head
	p                *attention.Params
	pasts            [2]int // slots of the caches that come in, −1 for none
	rooms            [2]int // and of those that go out
	old, keys, total int    // room of the former, of the latter, keys of the longest sequence
	lens             int    // slot
	cos, sin, ids    int    // slots, −1 without rotation
	pairs, positions int
	turned           int // slot of the queries that have been turned
	interleaved      bool
	bias             int       // slot of what is added to the scores, −1 for none
	biasStep         [4]int    // of it by sequence, head, query and key
	sinks            int       // slot of a score for each head that has no value, −1 for none
	rest             []float32 // the same where it is 0 for all
}

// lowerGroupQuery takes GroupQueryAttention in float32 where the length of the longest sequence follows
// from the shapes.
func lowerGroupQuery(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	a := n.Attrs
	if !f.f32(n.In[0]) || !f.f32(n.Out[0]) || f.constant(n.input(6)) == nil || !f.known(n.input(5), tensor.Int32) || len(f.shape(n.In[0])) != 3 {
		return nil, false
	}
	x := &groupQuery{lens: n.In[5], cos: -1, sin: -1, ids: -1, interleaved: a.Int("rotary_interleaved", 0) != 0, bias: n.input(10), sinks: n.input(11)}
	if !x.operands(f, n) || !x.caches(f, n) || a.Int("do_rotary", 0) != 0 && !x.rotation(f, n) || !x.bounds(f, n) {
		return nil, false
	}
	reads, writes := []int{x.q.slot, x.k.slot, x.v.slot, x.lens}, []int{n.Out[0], x.rooms[0], x.rooms[1]}
	for _, s := range []int{x.pasts[0], x.pasts[1], x.cos, x.sin, x.ids, x.bias, x.sinks} {
		if s >= 0 {
			reads = append(reads, s)
		}
	}
	if x.cos >= 0 {
		x.turned = f.scratch(tensor.Float32, x.p.Seqs*x.p.QLen*x.p.Heads*x.p.DK)
		writes = append(writes, x.turned)
	}
	out := n.Out[0]
	return &group{nodes: []int{i}, reads: reads, writes: writes, run: func(e *Env) error { return x.run(e, out) }}, true
}

// operands reads queries, keys and values: rows of their own, or all in the rows of the first.
func (x *groupQuery) operands(f *fuser, n *Node) bool {
	heads, groups := int(n.Attrs.Int("num_heads", 0)), int(n.Attrs.Int("kv_num_heads", 0))
	s := f.shape(n.In[0])
	if heads < 1 || groups < 1 || heads%groups != 0 {
		return false
	}
	batch, queries, parts := s[0], s[1], heads
	packed := n.input(1) < 0
	if packed {
		parts += 2 * groups
	}
	size := s[2] / parts
	if size < 1 || size*parts != s[2] || batch*queries == 0 {
		return false
	}
	rows := func(slot, from, width int) head {
		return head{slot: slot, from: from, strides: attention.Strides{Seq: queries * width, Token: width, Head: size}}
	}
	x.q = rows(n.In[0], 0, s[2])
	if packed {
		x.k, x.v = rows(n.In[0], heads*size, s[2]), rows(n.In[0], (heads+groups)*size, s[2])
	} else {
		for k, h := range []*head{&x.k, &x.v} {
			if slot := n.input(1 + k); !f.f32(slot) || !f.shape(slot).Equal(tensor.Shape{batch, queries, groups * size}) {
				return false
			}
			*h = rows(n.In[1+k], 0, groups*size)
		}
	}
	scale := n.Attrs.Float("scale", 0)
	if scale == 0 {
		scale = float32(1 / math.Sqrt(float64(size)))
	}
	x.p = &attention.Params{Seqs: batch, Heads: heads, KVHeads: groups, QLen: queries, DK: size, DV: size, Causal: true, Scale: scale, Q: x.q.strides,
		Out: attention.Strides{Seq: queries * heads * size, Token: heads * size, Head: size}}
	return f.shape(n.Out[0]).Equal(tensor.Shape{batch, queries, heads * size})
}

func (x *groupQuery) caches(f *fuser, n *Node) bool {
	p := x.p
	total, err := tensor.Int64s(f.constant(n.In[6]))
	if err != nil || len(total) != 1 || f.shape(x.lens).Elements() != p.Seqs {
		return false
	}
	if past := n.input(3); past >= 0 && f.f32(past) && len(f.shape(past)) == 4 {
		x.old = f.shape(past)[2]
	}
	x.total = int(total[0])
	x.keys = max(x.old, x.total)
	if x.total < 1 || x.total > x.old+p.QLen {
		return false
	}
	for k := range x.rooms {
		x.pasts[k], x.rooms[k] = n.input(3+k), -1
		if s := x.pasts[k]; s >= 0 && (!f.f32(s) || !f.shape(s).Equal(tensor.Shape{p.Seqs, p.KVHeads, x.old, p.DK})) || s < 0 && x.old > 0 {
			return false
		}
		if len(n.Out) > 1+k {
			x.rooms[k] = n.Out[1+k]
		}
		if x.rooms[k] < 0 {
			x.rooms[k] = f.scratch(tensor.Float32, p.Seqs*p.KVHeads*x.keys*p.DK)
		} else if !f.f32(x.rooms[k]) || !f.shape(x.rooms[k]).Equal(tensor.Shape{p.Seqs, p.KVHeads, x.keys, p.DK}) {
			return false
		}
	}
	p.K = attention.Strides{Seq: p.KVHeads * x.keys * p.DK, Head: x.keys * p.DK, Token: p.DK}
	p.V = p.K
	return true
}

func (x *groupQuery) rotation(f *fuser, n *Node) bool {
	x.cos, x.sin, x.ids = n.input(7), n.input(8), n.input(9)
	if !f.f32(x.cos) || !f.f32(x.sin) || len(f.shape(x.cos)) != 2 || !f.shape(x.cos).Equal(f.shape(x.sin)) {
		return false
	}
	x.positions, x.pairs = f.shape(x.cos)[0], f.shape(x.cos)[1]
	return 2*x.pairs <= x.p.DK && (x.ids < 0 || f.known(x.ids, tensor.Int64) && f.shape(x.ids).Elements() == x.p.Seqs*x.p.QLen)
}

// bounds reads what the scores are bounded by and what is added to them.
func (x *groupQuery) bounds(f *fuser, n *Node) bool {
	p, a := x.p, n.Attrs
	p.Softcap, p.Window = max(0, a.Float("softcap", 0)), max(0, int(a.Int("local_window_size", -1)))
	if x.bias >= 0 {
		s, full := f.shape(x.bias), tensor.Shape{p.Seqs, p.Heads, p.QLen, x.keys}
		if !f.f32(x.bias) || len(s) != 4 || s[0] != 1 && s[0] != full[0] || s[1] != 1 && s[1] != full[1] || s[2] != full[2] || s[3] != full[3] {
			return false
		}
		st := spread(s, full)
		x.biasStep = [4]int{st[0], st[1], st[2], st[3]}
		p.BiasHead, p.BiasQuery, p.BiasKey = st[1], st[2], st[3]
	}
	if x.sinks >= 0 {
		return f.f32(x.sinks) && f.shape(x.sinks).Elements() == p.Heads
	}
	if a.Int("smooth_softmax", 0) == 1 {
		x.rest = make([]float32, p.Heads)
	}
	return true
}

func (x *groupQuery) run(e *Env, out int) error {
	p := *x.p
	p.Threads, p.Seqs, p.Sinks = e.Threads, 1, x.rest
	if x.sinks >= 0 {
		p.Sinks = e.f32(x.sinks)
	}
	q, from, k, v := x.q.f32(e), x.q.strides, e.f32(x.rooms[0]), e.f32(x.rooms[1])
	if x.cos >= 0 {
		q, from = e.f32(x.turned), p.Out
		p.Q = from
	}
	for b := range x.p.Seqs {
		n := int(tensor.Data[int32](e.Tensor(x.lens))[b]) + 1
		start := n - p.QLen
		if p.QLen == x.total {
			start = 0 // the first run: what is new fills up on the right
		}
		if n < 1 || n > x.total || start < 0 || start > x.old {
			return fmt.Errorf("seqlens_k[%d] is %d, with total_sequence_length %d, %d queries and room for %d", b, n-1, x.total, p.QLen, x.old)
		}
		x.store(e, 0, b, start, &x.k)
		x.store(e, 1, b, start, &x.v)
		if x.cos >= 0 {
			if err := x.turn(e, b, start, n, q, k); err != nil {
				return err
			}
		}
		p.KLen = start + p.QLen
		if x.bias >= 0 {
			p.Bias = e.f32(x.bias)[b*x.biasStep[0]:]
		}
		p.Run(e.f32(out)[b*p.Out.Seq:], q[b*from.Seq:], k[b*p.K.Seq:], v[b*p.V.Seq:])
	}
	return nil
}

// store writes what a sequence has in a cache, what is new, and zeros.
func (x *groupQuery) store(e *Env, which, b, start int, h *head) {
	size, src := x.p.DK, h.f32(e)
	for g := range x.p.KVHeads {
		i := b*x.p.KVHeads + g
		room := e.f32(x.rooms[which])[i*x.keys*size:][:x.keys*size]
		if start > 0 {
			copy(room[:start*size], e.f32(x.pasts[which])[i*x.old*size:])
		}
		for t := range x.p.QLen {
			copy(room[(start+t)*size:][:size], src[b*h.strides.Seq+t*h.strides.Token+g*h.strides.Head:])
		}
		clear(room[(start+x.p.QLen)*size:])
	}
}

// turn turns a sequence's queries, into a place of their own, and its new keys, in the cache.
func (x *groupQuery) turn(e *Env, b, start, n int, turned, k []float32) error {
	p, src := x.p, x.q.f32(e)
	cos, sin := e.f32(x.cos), e.f32(x.sin)
	for t := range p.QLen {
		at := int64(start + t)
		switch {
		case x.ids >= 0:
			at = tensor.Data[int64](e.Tensor(x.ids))[b*p.QLen+t]
		case start+t >= n:
			at = 0 // padding: its answer counts for nothing, but its position must exist
		}
		if at < 0 || at >= int64(x.positions) {
			return fmt.Errorf("position %d is outside of the %d of the caches", at, x.positions)
		}
		c, s := cos[int(at)*x.pairs:][:x.pairs], sin[int(at)*x.pairs:][:x.pairs]
		for h := range p.Heads {
			to := turned[b*p.Out.Seq+t*p.Out.Token+h*p.DK:][:p.DK]
			move.Rotate(to, src[b*x.q.strides.Seq+t*x.q.strides.Token+h*p.DK:][:p.DK], c, s, x.interleaved)
		}
		for g := range p.KVHeads {
			row := k[b*p.K.Seq+g*p.K.Head+(start+t)*p.DK:][:p.DK]
			move.Rotate(row, row, c, s, x.interleaved)
		}
	}
	return nil
}
