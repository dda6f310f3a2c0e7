package match

import (
	"math"
	"slices"
)

// chain walks single-use nodes from a slot.
type chain struct {
	g     *Graph
	at    int
	nodes []int
	ok    bool
}

func (g *Graph) from(slot int) *chain { return &chain{g: g, at: slot, ok: true} }

// then goes on to the only reader of the current slot if it is op and its other operand,
// if the operator has two, satisfies other.
func (c *chain) then(op string, other func(slot int) bool) *chain {
	if c.ok {
		var i int
		if i, c.ok = c.g.OnlyUser(c.at); c.ok {
			c.through(i, op, other)
		}
	}
	return c
}

func (c *chain) through(i int, op string, other func(slot int) bool) *chain {
	n := c.g.Node(i)
	c.ok = !c.g.Claimed[i] && n.OpName() == op && len(n.Out) == 1 && c.g.F32(n.Out[0])
	if c.ok && other != nil {
		o, two := Operand(n, c.at)
		c.ok = two && other(o)
	}
	if c.ok {
		c.nodes = append(c.nodes, i)
		c.at = n.Out[0]
	}
	return c
}

// fork is a chain that goes its own way from here.
func (c *chain) fork() *chain {
	d := *c
	d.nodes = slices.Clone(c.nodes)
	return &d
}

// Operand is the other of a node's two inputs; where their order matters the slot must
// come first.
func Operand(n Node, slot int) (int, bool) {
	if len(n.In) != 2 || n.In[0] == n.In[1] {
		return 0, false
	}
	if n.In[0] == slot {
		return n.In[1], true
	}
	return n.In[0], n.In[1] == slot && n.Op != "Sub" && n.Op != "Div" && n.Op != "Pow"
}

// near accepts a constant scalar within float32 rounding of v.
func (g *Graph) near(v float64) func(int) bool {
	return func(slot int) bool {
		x, ok := g.Scalar(slot)
		return ok && math.Abs(float64(x)-v) <= 1e-6*math.Abs(v)
	}
}

func is(want int) func(int) bool { return func(s int) bool { return s == want } }
