package match

import (
	"slices"

	"github.com/aimass/aimass/runtime/tensor"
)

// Head is an operand or the result of an attention: a slot, and how far apart its elements lie by sequence,
// head and token; a head's own are neighbours.
type Head struct {
	Slot             int
	Seq, Head, Token int
}

// Attention is softmax(scale·Q·Kᵀ + mask)·V on [sequences, heads, tokens, width].
type Attention struct {
	Seqs, Heads, Queries, Keys int
	KVHeads                    int // of keys and values, each for Heads/KVHeads neighbouring heads of queries
	WidthQK, WidthV            int
	Q, K, V, Out               Head
	Scale                      float32
	Softcap                    float32 // if not 0, scaled scores become Softcap·tanh(score/Softcap) before the mask
	Mask                       int     // slot, −1 for none
	MaskStep                   [4]int  // by sequence, head, query and key
	Where                      Choice  // what the mask's elements stand for
	NoNaN                      bool    // weights that are no numbers count as 0
	Nodes                      []int
}

// Choice says what a mask of bools adds to a score where it is true and where it is false.
type Choice struct {
	Bools   bool // else the mask's elements are added themselves
	Yes, No float32
}

// Attention matches an attention around the softmax at i. Operands may come out of transpositions, and
// the result may go into one, which are then not done at all.
func (g *Graph) Attention(i int) (a Attention, ok bool) {
	n := g.Node(i)
	probs := n.Out[0]
	if !g.F32(n.In[0]) || !g.F32(probs) || len(g.Shape(probs)) != 4 || !lastAxis(n, 4) {
		return a, false
	}
	s, ok := g.scores(n.In[0], scoring{scale: 1, mask: -1})
	if !ok {
		return a, false
	}
	a.Nodes = append([]int{i, s.product}, s.nodes...)
	weights := probs
	if out, nodes, ok := g.withoutNaN(probs); ok {
		weights, a.NoNaN, a.Nodes = out, true, append(a.Nodes, nodes...)
	}
	pv, ok := g.OnlyUser(weights)
	if !ok {
		return a, false
	}
	second := g.Node(pv)
	if second.OpName() != "MatMul" || second.In[0] != weights {
		return a, false
	}
	q, k, v := g.Node(s.product).In[0], g.Node(s.product).In[1], second.In[1]
	if !g.F32(q) || !g.F32(v) || len(g.Shape(q)) != 4 || len(g.Shape(k)) != 4 || len(g.Shape(v)) != 4 {
		return a, false
	}
	a.Nodes = append(a.Nodes, pv)
	shape, sq, sk, sv := g.Shape(probs), g.Shape(q), g.Shape(k), g.Shape(v)
	q = g.unscaled(q, &s.scale, &a.Nodes)
	a.Q = g.OperandHead(q, &a.Nodes)
	if a.K, ok = g.KeyHead(g.unscaled(k, &s.scale, &a.Nodes), &s.scale, &a.Nodes); !ok {
		return a, false
	}
	a.V = g.OperandHead(v, &a.Nodes)
	a.Seqs, a.Heads, a.Queries, a.Keys, a.WidthQK, a.WidthV, a.Scale, a.Mask, a.Where = shape[0], shape[1], shape[2], shape[3], sq[3], sv[3], s.scale, s.mask, s.where
	a.KVHeads, a.Softcap = sv[1], s.softcap
	if sq[0] != a.Seqs || sq[1] != a.Heads || sk[0] != a.Seqs || sv[0] != a.Seqs || sk[1] != a.KVHeads || a.KVHeads != a.Heads && a.KVHeads != 1 ||
		shape.Elements() == 0 || a.WidthQK == 0 || a.WidthV == 0 {
		return a, false
	}
	if a.KVHeads == a.Heads {
		a.KVHeads = g.shared(&a)
	}
	if a.Mask >= 0 {
		a.MaskStep = maskSteps(g.Shape(a.Mask), shape)
	}
	a.Out = Head{Slot: second.Out[0], Seq: a.Heads * a.Queries * a.WidthV, Head: a.Queries * a.WidthV, Token: a.WidthV}
	if t, out, ok := g.BackToRows(a.Out.Slot); ok {
		a.Nodes = append(a.Nodes, t)
		a.Out = Head{Slot: out, Seq: a.Queries * a.Heads * a.WidthV, Token: a.Heads * a.WidthV, Head: a.WidthV}
	}
	return a, g.F32(a.Out.Slot)
}

// withoutNaN finds what puts 0 for what is no number, which exporters write behind the softmax of scores
// that may all be −∞.
func (g *Graph) withoutNaN(probs int) (out int, nodes []int, ok bool) {
	u := g.Users[probs]
	if len(u) != 2 || g.Output[probs] {
		return 0, nil, false
	}
	for k, i := range u {
		w := u[1-k]
		test, pick := g.Node(i), g.Node(w)
		if test.OpName() != "IsNaN" || pick.OpName() != "Where" || g.Claimed[i] || g.Claimed[w] || pick.In[0] != test.Out[0] || pick.In[2] != probs {
			continue
		}
		zero, known := g.Scalar(pick.In[1])
		j, only := g.OnlyUser(test.Out[0])
		if known && zero == 0 && only && j == w && g.F32(pick.Out[0]) && g.Shape(pick.Out[0]).Equal(g.Shape(probs)) {
			return pick.Out[0], []int{i, w}, true
		}
	}
	return 0, nil, false
}

// unscaled walks back over products with a scalar, which go into the scale.
func (g *Graph) unscaled(slot int, scale *float32, nodes *[]int) int {
	for {
		i, ok := g.onlyMade(slot)
		if !ok {
			return slot
		}
		main, by, ok := g.scaledBy(g.Node(i))
		if !ok {
			return slot
		}
		*scale *= by
		*nodes = append(*nodes, i)
		slot = main
	}
}

// scaledBy reads a product or quotient of a value and a scalar.
func (g *Graph) scaledBy(n Node) (main int, by float32, ok bool) {
	if n.OpName() != "Mul" && n.OpName() != "Div" {
		return 0, 0, false
	}
	main = n.In[0]
	by, ok = g.Scalar(n.In[1])
	if !ok && n.Op == "Mul" {
		main = n.In[1]
		by, ok = g.Scalar(n.In[0])
	}
	if !ok || by == 0 || !g.F32(main) || !g.Shape(main).Equal(g.Shape(n.Out[0])) {
		return 0, 0, false
	}
	if n.Op == "Div" {
		by = 1 / by
	}
	return main, by, true
}

// shared looks for heads of keys and values that were repeated for the heads of queries, and reads them
// where they were before. It gives their number.
func (g *Graph) shared(a *Attention) int {
	var nodes []int
	k, heads, ok := g.repeated(a.K, a.Heads, &nodes)
	if !ok {
		return a.Heads
	}
	v, others, ok := g.repeated(a.V, a.Heads, &nodes)
	if !ok || heads != others {
		return a.Heads
	}
	a.K, a.V, a.Nodes = k, v, append(a.Nodes, nodes...)
	return heads
}

// repeated is a head whose slot [sequences, heads, tokens, width] is a view of the expansion of
// [sequences, few, 1, tokens, width] along the third axis.
func (g *Graph) repeated(h Head, heads int, nodes *[]int) (Head, int, bool) {
	i, ok := g.onlyMade(h.Slot)
	if !ok || g.Node(i).OpName() != "Reshape" {
		return h, 0, false
	}
	j, ok := g.onlyMade(g.Node(i).In[0])
	if !ok || g.Node(j).OpName() != "Expand" {
		return h, 0, false
	}
	from, to := g.Node(j).In[0], g.Node(j).Out[0]
	s, full := g.Shape(from), g.Shape(to)
	out := g.Shape(h.Slot)
	if !g.F32(from) || !g.F32(to) || len(s) != 5 || len(full) != 5 || s[2] != 1 || s[0] != full[0] || s[1] != full[1] || s[3] != full[3] || s[4] != full[4] ||
		len(out) != 4 || out[0] != s[0] || out[1] != heads || out[2] != s[3] || out[3] != s[4] || h.Token != s[4] {
		return h, 0, false
	}
	*nodes = append(*nodes, i, j)
	return Head{Slot: from, Seq: s[1] * s[3] * s[4], Head: s[3] * s[4], Token: s[4]}, s[1], true
}

// heads is the transposition between [sequences, heads, tokens, width] and [sequences, tokens, heads, width].
var heads = []int64{0, 2, 1, 3}

// BackToRows is the transposition that alone reads an attention's result and lays its heads side by side.
func (g *Graph) BackToRows(slot int) (node, out int, ok bool) {
	t, ok := g.OnlyUser(slot)
	if !ok {
		return 0, 0, false
	}
	n := g.Node(t)
	return t, n.Out[0], n.OpName() == "Transpose" && slices.Equal(n.Attrs.Ints("perm"), heads)
}

// lastAxis reports that a softmax runs over the last of rank axes.
func lastAxis(n Node, rank int) bool {
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
	softcap float32
	mask    int // slot, −1 for none
	where   Choice
}

// hidden is a score that no other can make up for: a key that gets it, or to whose score it is added, is
// not seen.
const hidden = -1e30

// scores walks back from the softmax's input to the product.
func (g *Graph) scores(slot int, s scoring) (scoring, bool) {
	i, ok := g.onlyMade(slot)
	if !ok {
		return s, false
	}
	n := g.Node(i)
	if n.OpName() == "MatMul" {
		s.product = i
		return s, g.F32(n.In[0]) && g.F32(n.In[1])
	}
	s.nodes = append(slices.Clip(s.nodes), i)
	free := s.mask < 0 && s.scale == 1 && s.softcap == 0
	switch n.OpName() {
	case "Add":
		for k, main := range n.In {
			t := s
			if t.mask = n.In[1-k]; !free || !g.F32(main) || !g.F32(t.mask) || !g.Shape(main).Equal(g.Shape(n.Out[0])) {
				continue
			}
			if t, ok := g.scores(main, t); ok {
				return t, true
			}
		}
	case "Where":
		if main, ok := g.picked(n, &s); ok && free {
			return g.scores(main, s)
		}
	case "Tanh":
		if s.softcap == 0 && s.scale > 0 && g.F32(n.In[0]) {
			s.softcap = s.scale // what stands before the Tanh goes into the scale alone
			return g.scores(n.In[0], s)
		}
	default:
		if main, by, ok := g.scaledBy(n); ok {
			s.scale *= by
			return g.scores(main, s)
		}
	}
	return s, false
}

// picked reads a Where that hides some scores.
func (g *Graph) picked(n Node, s *scoring) (main int, ok bool) {
	s.mask = n.In[0]
	if g.plan.Info(s.mask).DType != tensor.Bool || !g.plan.Direct(s.mask) {
		return 0, false
	}
	for k := range 2 {
		main = n.In[1+k]
		v, ok := g.Scalar(n.In[2-k])
		if !ok || !(v <= hidden) || !g.F32(main) || !g.Shape(main).Equal(g.Shape(n.Out[0])) {
			continue
		}
		s.where = Choice{Bools: true, No: v}
		if k == 1 {
			s.where = Choice{Bools: true, Yes: v}
		}
		return main, true
	}
	return 0, false
}

// OperandHead is an operand of four axes as [sequences, heads, tokens, width]: read through the
// transposition that made it so, whose place it adds to nodes, if only this reads it, else as it lies.
func (g *Graph) OperandHead(slot int, nodes *[]int) Head {
	s := g.Shape(slot)
	if i, ok := g.onlyMade(slot); ok {
		if n := g.Node(i); n.OpName() == "Transpose" && slices.Equal(n.Attrs.Ints("perm"), heads) && g.F32(n.In[0]) {
			*nodes = append(*nodes, i)
			return g.rowsOfHeads(n.In[0])
		}
	}
	return Head{Slot: slot, Seq: s[1] * s[2] * s[3], Head: s[2] * s[3], Token: s[3]}
}

// rowsOfHeads is an operand that lies as [sequences, tokens, heads, width].
func (g *Graph) rowsOfHeads(slot int) Head {
	s := g.Shape(slot)
	return Head{Slot: slot, Seq: s[1] * s[2] * s[3], Token: s[2] * s[3], Head: s[3]}
}

// KeyHead is K, which the product reads as [sequences, heads, width, tokens]: it must come
// out of a transposition of something whose last axis is the width. Scalars before it go into the scale.
func (g *Graph) KeyHead(slot int, scale *float32, nodes *[]int) (Head, bool) {
	i, ok := g.onlyMade(slot)
	if !ok || len(g.Shape(slot)) != 4 {
		return Head{}, false
	}
	n := g.Node(i)
	if n.OpName() != "Transpose" || !g.F32(n.In[0]) {
		return Head{}, false
	}
	switch perm := n.Attrs.Ints("perm"); {
	case slices.Equal(perm, []int64{0, 2, 3, 1}):
		*nodes = append(*nodes, i)
		return g.rowsOfHeads(g.unscaled(n.In[0], scale, nodes)), true
	case slices.Equal(perm, []int64{0, 1, 3, 2}):
		*nodes = append(*nodes, i)
		return g.OperandHead(g.unscaled(n.In[0], scale, nodes), nodes), true
	}
	return Head{}, false
}

// maskSteps are the steps of a mask that broadcasts to [sequences, heads, queries, keys].
func maskSteps(mask, full tensor.Shape) (steps [4]int) {
	st := mask.Strides()
	for axis := range steps {
		if k := axis - (len(full) - len(mask)); k >= 0 && mask[k] != 1 {
			steps[axis] = st[k]
		}
	}
	return steps
}
