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
	WidthQK, WidthV            int
	Q, K, V, Out               Head
	Scale                      float32
	Mask                       int    // slot, −1 for none
	MaskStep                   [4]int // by sequence, head, query and key
	Nodes                      []int
}

// Attention matches an attention around the softmax at i. Operands may come out of transpositions, and
// the result may go into one, which are then not done at all.
func (g *Graph) Attention(i int) (a Attention, ok bool) {
	n := g.Node(i)
	probs := n.Out[0]
	if !g.F32(n.In[0]) || !g.F32(probs) || len(g.Shape(probs)) != 4 || !lastAxis(n, 4) {
		return a, false
	}
	s, ok := g.scores(n.In[0])
	if !ok {
		return a, false
	}
	pv, ok := g.OnlyUser(probs)
	if !ok {
		return a, false
	}
	second := g.Node(pv)
	if second.OpName() != "MatMul" || second.In[0] != probs {
		return a, false
	}
	q, k, v := g.Node(s.product).In[0], g.Node(s.product).In[1], second.In[1]
	if !g.F32(q) || !g.F32(v) || len(g.Shape(q)) != 4 || len(g.Shape(v)) != 4 {
		return a, false
	}
	a.Nodes = append([]int{i, pv, s.product}, s.nodes...)
	a.Q = g.OperandHead(q, &a.Nodes)
	if a.K, ok = g.KeyHead(k, &a.Nodes); !ok {
		return a, false
	}
	a.V = g.OperandHead(v, &a.Nodes)
	shape, sq, sv := g.Shape(probs), g.Shape(q), g.Shape(v)
	a.Seqs, a.Heads, a.Queries, a.Keys, a.WidthQK, a.WidthV, a.Scale, a.Mask = shape[0], shape[1], shape[2], shape[3], sq[3], sv[3], s.scale, s.mask
	if sq[0] != a.Seqs || sq[1] != a.Heads || sv[0] != a.Seqs || sv[1] != a.Heads || shape.Elements() == 0 || a.WidthQK == 0 || a.WidthV == 0 {
		return a, false
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
	mask    int // slot, −1 for none
}

// scores walks back from the softmax's input to the product.
func (g *Graph) scores(slot int) (scoring, bool) {
	s := scoring{scale: 1, mask: -1}
	for {
		i, ok := g.onlyMade(slot)
		if !ok {
			return s, false
		}
		n := g.Node(i)
		switch n.OpName() {
		case "MatMul":
			s.product = i
			return s, g.F32(n.In[0]) && g.F32(n.In[1])
		case "Add":
			if s.mask >= 0 || s.scale != 1 {
				return s, false
			}
			main, other := n.In[0], n.In[1]
			if _, made := g.Maker[main]; !made || !g.Shape(main).Equal(g.Shape(n.Out[0])) {
				main, other = other, main
			}
			if !g.F32(main) || !g.F32(other) || !g.Shape(main).Equal(g.Shape(n.Out[0])) {
				return s, false
			}
			s.mask, slot = other, main
		case "Mul", "Div":
			v, ok := g.Scalar(n.In[1])
			main := n.In[0]
			if !ok && n.Op == "Mul" {
				v, ok = g.Scalar(n.In[0])
				main = n.In[1]
			}
			if !ok || v == 0 || !g.Shape(main).Equal(g.Shape(n.Out[0])) {
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
// out of a transposition of something whose last axis is the width.
func (g *Graph) KeyHead(slot int, nodes *[]int) (Head, bool) {
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
		return g.rowsOfHeads(n.In[0]), true
	case slices.Equal(perm, []int64{0, 1, 3, 2}):
		*nodes = append(*nodes, i)
		return g.OperandHead(n.In[0], nodes), true
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
