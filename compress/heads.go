package compress

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// attention is multi-head attention as exporters spell it: three projections that are
// reshaped to [batch, sequence, heads, size] and transposed, products around a softmax,
// and a product that mixes the heads again.
type attention struct {
	q, k, v     projection
	merge       *graph.Node // the Reshape that puts the heads side by side
	out         *graph.Node // the product behind it
	heads, size int
}

// projection is x·W (+ bias) reshaped into heads.
type projection struct {
	weight, bias *graph.Value
	split        *graph.Node
	heads, size  int
}

// pruneHeads takes the heads that add least out of every attention whose spelling it knows.
func pruneHeads(e *env, m *graph.Model, share float64) error {
	before, after := 0, 0
	for _, n := range m.Nodes {
		a, ok := findAttention(m, n)
		if !ok {
			continue
		}
		scores, other := make([]float64, a.heads*a.size), make([]float64, a.heads*a.size)
		norms(scores, a.v.weight.Tensor(), 1)
		norms(other, a.out.In[1].Tensor(), 0)
		heads := make([]float64, a.heads)
		for i := range scores {
			heads[i/a.size] += scores[i] * other[i]
		}
		kept := keepers(heads, share, 1)
		var columns []int
		for _, h := range kept {
			for i := range a.size {
				columns = append(columns, h*a.size+i)
			}
		}
		for _, p := range []projection{a.q, a.k, a.v} {
			setConst(p.weight, take(p.weight.Tensor(), 1, columns))
			if p.bias != nil {
				setConst(p.bias, take(p.bias.Tensor(), 0, columns))
			}
			setExtent(p.split, 2, int64(a.heads), int64(len(kept)))
			p.split.In[0].Type = graph.Type{DType: tensor.Float32}
		}
		setExtent(a.merge, 1, int64(a.heads*a.size), int64(len(columns)))
		setConst(a.out.In[1], take(a.out.In[1].Tensor(), 0, columns))
		before, after = before+a.heads, after+len(kept)
	}
	if before == 0 {
		return fmt.Errorf("heads: no attention is spelled in a way that is known: projections, Reshape to heads, Transpose, MatMul, Softmax, MatMul, Transpose, " +
			"Reshape, MatMul with constant weights")
	}
	e.note("prune: %d of %d attention heads left", after, before)
	return nil
}

// findAttention matches backwards from the product that mixes the heads.
func findAttention(m *graph.Model, out *graph.Node) (a attention, ok bool) {
	users := m.Users()
	if !standard(out, "MatMul") || !own(users, out.In[1], 2) {
		return a, false
	}
	a.out, a.merge = out, def(out.In[0], "Reshape")
	if a.merge == nil || len(users[out.In[0]]) != 1 {
		return a, false
	}
	back := transposed(a.merge.In[0], 0, 2, 1, 3)
	mix := def(back, "MatMul")
	if mix == nil {
		return a, false
	}
	scores := through(mix.In[0], "Softmax", "Add", "Div", "Mul", "Where", "Cast")
	product := def(scores, "MatMul")
	if product == nil {
		return a, false
	}
	if a.v, ok = findProjection(users, transposed(mix.In[1], 0, 2, 1, 3)); !ok {
		return a, false
	}
	if a.q, ok = findProjection(users, transposed(through(product.In[0], "Mul", "Div"), 0, 2, 1, 3)); !ok {
		return a, false
	}
	key := through(product.In[1], "Mul", "Div")
	split := transposed(key, 0, 2, 3, 1)
	if split == nil {
		split = transposed(transposed(key, 0, 1, 3, 2), 0, 2, 1, 3)
	}
	if a.k, ok = findProjection(users, split); !ok {
		return a, false
	}
	a.heads, a.size = a.v.heads, a.v.size
	same := a.q.heads == a.heads && a.k.heads == a.heads && a.q.size == a.size && a.k.size == a.size
	distinct := a.q.weight != a.k.weight && a.k.weight != a.v.weight && a.q.weight != a.v.weight
	w := out.In[1].Tensor()
	last, at := extent(a.merge, 1)
	merged := at && (last == int64(a.heads*a.size) || last == -1)
	return a, same && distinct && merged && a.heads > 1 && w.Shape[0] == a.heads*a.size
}

// def is the node that computes v if it is the standard's op, else nil.
func def(v *graph.Value, op string) *graph.Node {
	if v == nil || v.Def == nil || !standard(v.Def, op) {
		return nil
	}
	return v.Def
}

// transposed gives what v is the transpose of, nil if it is none by this permutation.
func transposed(v *graph.Value, perm ...int64) *graph.Value {
	n := def(v, "Transpose")
	if n == nil || !slices.Equal(n.Attrs.Ints("perm"), perm) {
		return nil
	}
	return n.In[0]
}

// through follows v back through operators whose other inputs are numbers or masks.
func through(v *graph.Value, ops ...string) *graph.Value {
	for v != nil && v.Def != nil && v.Def.Domain == "" && slices.Contains(ops, v.Def.Op) {
		var next *graph.Value
		for _, w := range v.Def.In {
			if w == nil || w.Const != nil {
				if t := w.Tensor(); t != nil && t.Elements() > 1 {
					return nil // may differ by head
				}
				continue
			}
			if w.Def != nil && (slices.Contains(ops, w.Def.Op) || w.Def.Op == "MatMul" || w.Def.Op == "Transpose") {
				if next == nil || comesFromProduct(w) {
					next = w
				}
			}
		}
		v = next
	}
	return v
}

// comesFromProduct tells a score from a mask: only the former is a product.
func comesFromProduct(v *graph.Value) bool {
	for range 8 {
		if v == nil || v.Def == nil {
			return false
		}
		if v.Def.Op == "MatMul" || v.Def.Op == "Transpose" {
			return true
		}
		v = v.Def.In[0]
	}
	return false
}

func findProjection(users map[*graph.Value][]*graph.Node, v *graph.Value) (p projection, ok bool) {
	if p.split = def(v, "Reshape"); p.split == nil {
		return p, false
	}
	h, ok1 := extent(p.split, 2)
	d, ok2 := extent(p.split, 1)
	x := p.split.In[0]
	if add := def(x, "Add"); add != nil {
		for i := range 2 {
			if own(users, add.In[i], 1) {
				p.bias, x = add.In[i], add.In[1-i]
				break
			}
		}
	}
	n := def(x, "MatMul")
	if !ok1 || n == nil || !own(users, n.In[1], 2) {
		return p, false
	}
	p.weight = n.In[1]
	width := p.weight.Tensor().Shape[1]
	if h == -1 && ok2 && d > 0 {
		h = int64(width) / d
	}
	if h <= 0 || int64(width)%h != 0 {
		return p, false
	}
	p.heads, p.size = int(h), width/int(h)
	if ok2 && d > 0 && d != int64(p.size) {
		return p, false
	}
	return p, p.bias == nil || p.bias.Tensor().Shape[0] == width
}

// extent gives the constant extent at a place from the end of a Reshape's shape (1: the
// last); ok is false where the shape is computed at that place.
func extent(reshape *graph.Node, fromEnd int) (n int64, ok bool) {
	if len(reshape.In) < 2 {
		return 0, false
	}
	if t := reshape.In[1].Tensor(); t != nil {
		v, err := tensor.Int64s(t)
		if err != nil || len(v) < fromEnd {
			return 0, false
		}
		return v[len(v)-fromEnd], true
	}
	c := def(reshape.In[1], "Concat")
	if c == nil || len(c.In) < fromEnd {
		return 0, false
	}
	t := c.In[len(c.In)-fromEnd].Tensor()
	if t == nil || t.Elements() != 1 {
		return 0, false
	}
	v, err := tensor.Int64s(t)
	if err != nil {
		return 0, false
	}
	return v[0], true
}

// setExtent changes that extent from old to now, in a constant of the node's own; −1 stays.
// A shape that several nodes read has been changed for the first.
func setExtent(reshape *graph.Node, fromEnd int, old, now int64) {
	if n, _ := extent(reshape, fromEnd); n != old {
		return
	}
	at := &reshape.In[1]
	if (*at).Tensor() == nil {
		in := (*at).Def.In
		at = &in[len(in)-fromEnd]
		fromEnd = 1
	}
	v, _ := tensor.Int64s((*at).Tensor())
	v = slices.Clone(v)
	v[len(v)-fromEnd] = now
	t := tensor.FromSlice(v, (*at).Tensor().Shape...)
	*at = &graph.Value{Name: (*at).Name + "/pruned", Type: graph.TensorType(t.DType, t.Shape...), Const: t}
}
