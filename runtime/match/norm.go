package match

import (
	"slices"

	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/tensor"
)

// Norm is a layer norm over the last axis: (x − mean) / √(variance + Epsilon) · γ + β.
type Norm struct {
	X, Out      int
	Gamma, Beta int // slots of constants, −1 for none
	Epsilon     float32
	Nodes       []int
}

// SpelledNorm matches d = x − mean(x); d / √(mean(d²) + ε) · γ + β, from the ReduceMean at i on.
func (g *Graph) SpelledNorm(i int) (p Norm, ok bool) {
	n := g.Node(i)
	x, mean := n.In[0], n.Out[0]
	if !g.F32(x) || !g.F32(mean) || !g.overLast(n) || n.Attrs.Int("keepdims", 1) != 1 || g.Shape(x).Elements() == 0 {
		return p, false
	}
	sub, ok := g.OnlyUser(mean)
	if !ok {
		return p, false
	}
	less := g.Node(sub)
	if less.OpName() != "Sub" || less.In[0] != x || less.In[1] != mean {
		return p, false
	}
	d := less.Out[0]
	if !g.F32(d) || g.Output[d] {
		return p, false
	}
	c, ok := g.variance(d)
	if !ok {
		return p, false
	}
	c.then("Add", func(s int) bool { v, ok := g.Scalar(s); p.Epsilon = v; return ok && v >= 0 }).then("Sqrt", nil)
	if !c.ok {
		return p, false
	}
	div, ok := g.OnlyUser(c.at)
	if !ok {
		return p, false
	}
	by := g.Node(div)
	if by.OpName() != "Div" || by.In[0] != d || by.In[1] != c.at || !g.readOnlyBy(d, append(c.nodes, div)) {
		return p, false
	}
	s := g.Shape(x)
	cols := s[len(s)-1]
	p.X, p.Gamma, p.Beta = x, -1, -1
	vector := func(to *int) func(int) bool {
		return func(slot int) bool {
			*to = slot
			return len(g.ConstF32(slot)) == cols && AlongAxis(g.Shape(slot), cols, 1)
		}
	}
	tail := g.from(by.Out[0])
	if scaled := tail.fork().then("Mul", vector(&p.Gamma)); scaled.ok {
		tail = scaled
		if shifted := tail.fork().then("Add", vector(&p.Beta)); shifted.ok {
			tail = shifted
		} else {
			p.Beta = -1
		}
	} else {
		p.Gamma = -1
	}
	p.Out = tail.at
	p.Nodes = slices.Concat([]int{i, sub, div}, c.nodes, tail.nodes)
	return p, g.F32(p.Out)
}

// variance walks from d through d² to its mean over the last axis.
func (g *Graph) variance(d int) (*chain, bool) {
	for _, i := range g.Users[d] {
		n := g.Node(i)
		c := g.from(d)
		switch {
		case n.OpName() == "Pow" && n.In[0] == d && g.number(n.In[1], 2):
			c.through(i, "Pow", nil)
		case n.OpName() == "Mul" && n.In[0] == d && n.In[1] == d:
			c.through(i, "Mul", nil)
		default:
			continue
		}
		if c.then("ReduceMean", nil); c.ok && g.overLast(g.Node(c.nodes[1])) {
			return c, true
		}
	}
	return nil, false
}

// readOnlyBy reports that exactly these nodes, or some of them, read the slot.
func (g *Graph) readOnlyBy(slot int, nodes []int) bool {
	for _, u := range g.Users[slot] {
		if !slices.Contains(nodes, u) {
			return false
		}
	}
	return true
}

// Axes are the axes that a reduction runs over, sorted; nil if they are not constant.
func (g *Graph) Axes(n Node) []int {
	list := n.Attrs.Ints("axes")
	if s := n.Input(1); s >= 0 {
		t := g.Constant(s)
		if t == nil {
			return nil
		}
		v, err := tensor.Int64s(t)
		if err != nil {
			return nil
		}
		list = v
	}
	rank := len(g.Shape(n.In[0]))
	seen := make([]bool, rank)
	for _, a := range list {
		k, err := tensor.Axis(a, rank)
		if err != nil {
			return nil
		}
		seen[k] = true
	}
	var out []int
	for k, on := range seen {
		if on || len(list) == 0 && n.Attrs.Int("noop_with_empty_axes", 0) == 0 {
			out = append(out, k)
		}
	}
	return out
}

func (g *Graph) overLast(n Node) bool {
	a := g.Axes(n)
	return len(a) == 1 && a[0] == len(g.Shape(n.In[0]))-1
}

// BatchNorm gives the scale and the shift of each channel that an inference BatchNormalization comes to.
func (g *Graph) BatchNorm(n Node, channels int) (scale, shift []float64, ok bool) {
	if len(n.In) != 5 {
		return nil, nil, false
	}
	var p [4][]float32
	for i := range p {
		if p[i] = g.ConstF32(n.In[i+1]); len(p[i]) != channels {
			return nil, nil, false
		}
	}
	return nn.ChannelAffine(n.Node, p)
}
