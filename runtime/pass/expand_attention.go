package pass

import (
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// attending is an attention being written: queries, keys and values as [batch, heads, tokens,
// size] in float32, and which inputs of the node hold what.
type attending struct {
	*expansion
	dtype      tensor.DType // of the outputs
	q, k, v    *graph.Value
	qk, width  int // of a head of queries and keys, and of values
	heads      int
	mask, bias int            // inputs, −1 for none
	parts      []*graph.Value // of a bias of all projections
}

// attentionOfWeights is Attention: one product gives queries, keys and values.
func attentionOfWeights(x *expansion) {
	y := x.add(x.op("MatMul", 13, nil, x.real(0), x.real(1)), x.real(2))
	a := &attending{expansion: x, dtype: x.e.of(x.in(0)).dtype, mask: 3, bias: 5}
	a.fromProduct(y, x.n.Attrs.Ints("qkv_hidden_sizes"), 4)
}

// attentionOfBytes is QAttention, which multiplies bytes.
func attentionOfBytes(x *expansion) {
	x.need(x.in(2) != nil)
	x.rank(3, 0, 1)
	y := x.add(x.integerProduct(x.in(0), x.real(3), x.in(6), 1, 4, 7), x.real(2))
	a := &attending{expansion: x, dtype: x.e.of(x.in(2)).dtype, mask: 5, bias: -1}
	a.fromProduct(y, nil, 8)
}

// fromProduct attends over projections [batch, tokens, 3 parts]. What came before is an
// input [2, batch, heads, tokens, size].
func (a *attending) fromProduct(y *graph.Value, sizes []int64, past int) {
	a.plain("do_rotary", "past_present_share_buffer")
	a.rank(0, 3)
	a.rank(1, 2)
	a.rank(2, 1)
	total := int64(a.size(a.in(1), 1))
	if len(sizes) != 3 {
		sizes = []int64{total / 3, total / 3, total / 3}
	}
	a.need(sizes[0] > 0 && sizes[2] > 0 && sizes[0] == sizes[1] && sizes[0]+sizes[1]+sizes[2] == total && sizes[0]%int64(a.heads) == 0 && sizes[2]%int64(a.heads) == 0)
	if a.failed {
		return
	}
	a.qk, a.width = int(sizes[0])/a.heads, int(sizes[2])/a.heads
	parts := a.split(y, 2, sizes...)
	a.q, a.k, a.v = a.byHeads(parts[0], a.qk), a.byHeads(parts[1], a.qk), a.byHeads(parts[2], a.width)
	if a.in(past) != nil {
		a.rank(past, 5)
		a.need(a.qk == a.width)
		old := a.split(a.real(past), 0, 1, 1)
		for i, v := range []**graph.Value{&a.k, &a.v} {
			*v = a.concat(2, a.op("Squeeze", 13, nil, old[i], a.ints(0)), *v)
		}
	}
	a.attend()
	if a.wanted(1) {
		a.need(a.qk == a.width)
		a.give(1, a.concat(0, a.unsqueeze(a.k, 0), a.unsqueeze(a.v, 0)), a.dtype)
	}
}

// plain fails if one of the attributes is set, and reads the number of heads.
func (a *attending) plain(names ...string) {
	for _, k := range names {
		a.need(a.n.Attrs.Int(k, 0) == 0)
	}
	heads := a.n.Attrs.Int("num_heads", 0)
	a.need(heads > 0 && heads <= 1<<20)
	a.heads = max(1, int(heads))
	if a.failed {
		a.heads = 1
	}
}

// byHeads lays [batch, tokens, heads·size] out as [batch, heads, tokens, size].
func (a *attending) byHeads(v *graph.Value, size int) *graph.Value {
	return a.transpose(a.reshape(v, 0, 0, int64(a.heads), int64(size)), 0, 2, 1, 3)
}

// multiHeadAttention takes queries, keys and values as rows of all heads, or packed by threes
// (queries of rank 5) or twos (keys of rank 5), or already laid out by heads (keys and values
// of rank 4).
func multiHeadAttention(x *expansion) {
	a := &attending{expansion: x, dtype: x.e.of(x.in(0)).dtype, mask: 4, bias: 5}
	a.plain()
	x.rank(0, 3, 5)
	x.rank(3, 1)
	q, k, v := x.in(0), x.in(1), x.in(2)
	switch rank := func(v *graph.Value) int { return len(x.e.of(v).shape) }; {
	case rank(q) == 5:
		x.need(x.size(q, 2) == a.heads && x.size(q, 3) == 3)
		a.qk = x.size(q, 4)
		a.width = a.qk
		parts := a.unpack(x.real(0), 3)
		a.q, a.k, a.v = a.rows(parts[0], 0, a.qk), a.rows(parts[1], 1, a.qk), a.rows(parts[2], 2, a.qk)
	case k == nil:
		x.fail()
	case rank(k) == 5 && v == nil:
		a.qk = x.size(k, 4)
		a.width = a.qk
		x.need(x.size(k, 2) == a.heads && x.size(k, 3) == 2 && x.size(q, 2) == a.heads*a.qk)
		parts := a.unpack(x.real(1), 2)
		a.q, a.k, a.v = a.flat(x.real(0), 0, a.qk), a.rows(parts[0], 1, a.qk), a.rows(parts[1], 2, a.qk)
	case v == nil || rank(k) != rank(v):
		x.fail()
	case rank(k) == 3:
		a.qk, a.width = x.size(q, 2)/a.heads, x.size(v, 2)/a.heads
		x.need(x.size(q, 2) == a.heads*a.qk && x.size(k, 2) == a.heads*a.qk && x.size(v, 2) == a.heads*a.width)
		a.q, a.k, a.v = a.flat(x.real(0), 0, a.qk), a.flat(x.real(1), 1, a.qk), a.flat(x.real(2), 2, a.width)
	case rank(k) == 4:
		a.qk, a.width = x.size(k, 3), x.size(v, 3)
		x.need(x.size(q, 2) == a.heads*a.qk && x.size(k, 1) == a.heads && x.size(v, 1) == a.heads)
		a.q, a.k, a.v = a.flat(x.real(0), 0, a.qk), x.real(1), x.real(2)
		if b := a.biasPart(1); b != nil {
			a.k = x.add(a.k, x.reshape(b, int64(a.heads), 1, int64(a.qk)))
			a.v = x.add(a.v, x.reshape(a.biasPart(2), int64(a.heads), 1, int64(a.width)))
		}
	default:
		x.fail()
	}
	if x.failed {
		return
	}
	for i, v := range []**graph.Value{&a.k, &a.v} {
		if x.in(6) != nil {
			x.rank(6+i, 4)
			x.need(x.in(6+i) != nil)
			*v = x.concat(2, x.real(6+i), *v)
		}
	}
	a.attend()
	x.give(1, a.k, a.dtype)
	x.give(2, a.v, a.dtype)
}

// unpack splits [batch, tokens, heads, n, size] into n of [batch, tokens, heads, size].
func (a *attending) unpack(v *graph.Value, n int) []*graph.Value {
	sizes := make([]int64, n)
	for i := range sizes {
		sizes[i] = 1
	}
	parts := a.split(v, 3, sizes...)
	for i := range parts {
		parts[i] = a.op("Squeeze", 13, nil, parts[i], a.ints(3))
	}
	return parts
}

// biasPart is the bias of the queries (0), keys (1) or values (2), nil for none: input 3 holds
// one after the other.
func (a *attending) biasPart(i int) *graph.Value {
	if a.in(3) == nil {
		return nil
	}
	if a.parts == nil {
		nq, nv := int64(a.heads*a.qk), int64(a.heads*a.width)
		a.parts = a.split(a.real(3), 0, nq, nq, nv)
	}
	return a.parts[i]
}

// flat is a part [batch, tokens, heads·size] with its bias, laid out by heads.
func (a *attending) flat(v *graph.Value, part, size int) *graph.Value {
	return a.byHeads(a.add(v, a.biasPart(part)), size)
}

// rows is a part [batch, tokens, heads, size] with its bias, laid out by heads.
func (a *attending) rows(v *graph.Value, part, size int) *graph.Value {
	if b := a.biasPart(part); b != nil {
		v = a.add(v, a.reshape(b, int64(a.heads), int64(size)))
	}
	return a.transpose(v, 0, 2, 1, 3)
}

// attend gives output 0, softmax(scale·Q·Kᵀ + mask + bias)·V as [batch, tokens, heads·width].
func (a *attending) attend() {
	scale := a.n.Attrs.Float("scale", 0)
	if scale == 0 {
		scale = float32(1 / math.Sqrt(float64(a.qk)))
	}
	s := a.mul(a.op("MatMul", 13, nil, a.q, a.transpose(a.k, 0, 1, 3, 2)), a.float(scale))
	added := a.masked()
	if b := a.in(a.bias); b != nil {
		a.rank(a.bias, 4)
		if added == nil {
			added = a.real(a.bias)
		} else {
			added = a.add(added, a.real(a.bias))
		}
	}
	p := a.op("Softmax", 13, graph.Attrs{"axis": graph.IntAttr(-1)}, a.add(s, added))
	y := a.transpose(a.op("MatMul", 13, nil, p, a.v), 0, 2, 1, 3)
	a.give(0, a.reshape(y, 0, 0, int64(a.heads*a.width)), a.dtype)
}

// masked is what masks add to the scores, nil for nothing: what an input masks out gets the
// value of an attribute; what lies after a query, where that is asked for, the least float.
func (a *attending) masked() *graph.Value {
	var m *graph.Value
	if a.in(a.mask) != nil {
		m = a.maskOf(a.in(a.mask), a.n.Attrs.Float("mask_filter_value", -10000))
	}
	if a.n.Attrs.Int("unidirectional", 0) == 0 {
		return m
	}
	if m == nil {
		m = a.float(0)
	}
	keys, queries := a.length(a.k, 2), a.length(a.q, 2)
	at := a.count(a.op("Sub", 14, nil, keys, queries), keys)
	later := a.op("Greater", 13, nil, a.count(nil, keys), a.unsqueeze(at, 1))
	return a.op("Where", 9, nil, later, a.float(-math.MaxFloat32), m)
}

// maskOf takes masks of ones and zeros, [batch, keys] and [batch, queries, keys], and the
// numbers of keys, [batch]. Layers share what is made of a mask.
func (a *attending) maskOf(mask *graph.Value, filter float32) *graph.Value {
	f := a.e.of(mask)
	a.need(f.ranked)
	kept := func(keep *graph.Value) *graph.Value { return a.op("Where", 9, nil, keep, a.float(0), a.float(filter)) }
	switch len(f.shape) {
	case 1:
		// [2·batch] holds ends and then starts: only a mask that grows as the batch does has ends alone.
		a.need(a.oneEach(mask))
		ends := mask
		if f.dtype != tensor.Int64 {
			a.need(f.dtype == tensor.Int32)
			ends = a.cast(mask, tensor.Int64)
		}
		return kept(a.op("Less", 13, nil, a.count(nil, a.length(a.k, 2)), a.unsqueeze(ends, 1, 2, 3)))
	case 2, 3:
		return a.once(sharedKey{what: "mask", of: mask, detail: filter}, func() *graph.Value {
			axes := []int64{1, 2}
			if len(f.shape) == 3 {
				axes = []int64{1}
			}
			return kept(a.op("Greater", 13, nil, a.unsqueeze(mask, axes...), a.number(f.dtype, 0)))
		})
	}
	a.fail()
	return nil
}

// oneEach reports a computed mask with one number for each sequence, whatever their number. Of an
// input the declared extent promises nothing.
func (a *attending) oneEach(mask *graph.Value) bool {
	m, x := a.e.of(mask).seen, a.e.of(a.in(0)).seen
	for k := range m {
		if len(m[k]) != 1 || len(x[k]) == 0 || m[k][0] != x[k][0] {
			return false
		}
	}
	from := mask
	for from.Def != nil && (from.Def.OpName() == "Cast" || from.Def.OpName() == "Identity") {
		from = from.Def.In[0]
	}
	return from.Def != nil && from.Const == nil
}
