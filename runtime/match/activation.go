package match

import (
	"maps"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
)

// Applied is a function of one value found in the graph: one node, or several that spell
// it out.
type Applied struct {
	Act   act.Act
	Nodes []int
	Out   int
}

// Functions are the operators that Activation may read.
var Functions = append([]string{"LeakyRelu", "HardSigmoid", "Swish", "Elu", "Selu", "Celu", "ThresholdedRelu", "Gelu", "com.microsoft.Gelu", "com.microsoft.QuickGelu", "Clip", "Pow"}, slices.Sorted(maps.Keys(plain))...)

// Activation reads a node as a function of one value.
func (g *Graph) Activation(n Node) (act.Act, bool) {
	a := n.Attrs
	switch n.OpName() {
	case "LeakyRelu":
		return act.Act{Func: act.LeakyRelu, A: a.Float("alpha", 0.01)}, true
	case "HardSigmoid":
		return act.Act{Func: act.HardSigmoid, A: a.Float("alpha", 0.2), B: a.Float("beta", 0.5)}, true
	case "Swish":
		return act.Act{Func: act.Silu, A: a.Float("alpha", 1)}, true
	case "Elu":
		return act.Act{Func: act.Elu, A: a.Float("alpha", 1)}, true
	case "Selu":
		return act.Act{Func: act.Selu, A: a.Float("alpha", 1.67326319217681884765625), B: a.Float("gamma", 1.05070102214813232421875)}, true
	case "Celu":
		return act.Act{Func: act.Celu, A: a.Float("alpha", 1)}, true
	case "ThresholdedRelu":
		return act.Act{Func: act.ThresholdedRelu, A: a.Float("alpha", 1)}, true
	case "Gelu", "com.microsoft.Gelu":
		if a.Str("approximate", "none") == "tanh" {
			return act.Act{Func: act.GeluTanh}, true
		}
		return act.Act{Func: act.Gelu}, true
	case "com.microsoft.QuickGelu":
		return act.Act{Func: act.Silu, A: a.Float("alpha", 1.702)}, true
	case "Clip":
		return g.clip(n)
	case "PRelu":
		return g.prelu(n)
	case "Pow":
		return act.Act{Func: act.Square}, n.Opset >= 7 && g.F32(n.In[0]) && g.number(n.In[1], 2)
	}
	f, ok := plain[n.OpName()]
	return act.Act{Func: f}, ok
}

// plain have no attributes.
var plain = map[string]act.Func{
	"Relu": act.Relu, "Sigmoid": act.Sigmoid, "Tanh": act.Tanh, "HardSwish": act.HardSwish, "Mish": act.Mish, "Softplus": act.Softplus, "Softsign": act.Softsign,
	"Neg": act.Neg, "Abs": act.Abs, "Sqrt": act.Sqrt, "Reciprocal": act.Reciprocal, "Exp": act.Exp, "Log": act.Log,
	"Erf": act.Erf, "Floor": act.Floor, "Ceil": act.Ceil, "Round": act.Round, "Sign": act.Sign,
}

// prelu is a PRelu with one constant slope for all elements.
func (g *Graph) prelu(n Node) (act.Act, bool) {
	slope := g.ConstF32(n.Input(1))
	if len(slope) == 0 || len(g.Shape(n.In[1])) > len(g.Shape(n.In[0])) {
		return act.Act{}, false
	}
	for _, v := range slope {
		if v != slope[0] {
			return act.Act{}, false
		}
	}
	return act.Act{Func: act.LeakyRelu, A: slope[0]}, n.Opset >= 7 || len(slope) == 1
}

func (g *Graph) clip(n Node) (act.Act, bool) {
	lo := n.Attrs.Float("min", float32(math.Inf(-1)))
	hi := n.Attrs.Float("max", float32(math.Inf(1)))
	for k, p := range []*float32{&lo, &hi} {
		if s := n.Input(k + 1); s >= 0 {
			v, ok := g.Scalar(s)
			if !ok {
				return act.Act{}, false
			}
			*p = v
		}
	}
	return act.Act{Func: act.Clip, A: lo, B: hi}, lo == lo && hi == hi
}

// ActivationAt looks for a function of the slot alone among the nodes that read it: if
// it is found, nothing but these nodes reads the slot.
func (g *Graph) ActivationAt(slot int) (Applied, bool) {
	if g.Output[slot] {
		return Applied{}, false
	}
	users := g.Users[slot]
	switch len(users) {
	case 0:
		return Applied{}, false
	case 1:
		i := users[0]
		n := g.Node(i)
		if g.Claimed[i] || len(n.Out) != 1 || len(n.Captured) > 0 || n.In[0] != slot || !g.F32(n.Out[0]) || !g.Shape(n.Out[0]).Equal(g.Shape(slot)) {
			return Applied{}, false
		}
		a, ok := g.Activation(n)
		return Applied{a, []int{i}, n.Out[0]}, ok
	case 2:
		for _, spelled := range composites {
			if a, ok := spelled(g, slot); ok {
				return a, true
			}
		}
	}
	return g.gatedAt(slot)
}

// composites are functions that exporters spell out with two uses of the argument.
var composites = []func(g *Graph, x int) (Applied, bool){timesGate, hardSwishSpelled}

// split gives the users of x as the one of the given operator and the other.
func (g *Graph) split(x int, op string) (first, other int, ok bool) {
	u := g.Users[x]
	for k := range u {
		if n := g.Node(u[k]); n.OpName() == op {
			return u[k], u[1-k], true
		}
	}
	return 0, 0, false
}

// timesGate is x·g(x) for a gate g of one node: HardSwish; or of two: Mish.
func timesGate(g *Graph, x int) (Applied, bool) {
	for _, gate := range []string{"HardSigmoid", "Softplus"} {
		i, last, ok := g.split(x, gate)
		if !ok {
			continue
		}
		c := g.from(x).through(i, gate, nil)
		if gate == "Softplus" {
			c.then("Tanh", nil)
		}
		if c.then("Mul", is(x)); !c.ok || !slices.Contains(c.nodes, last) {
			continue
		}
		if gate == "Softplus" {
			return Applied{act.Act{Func: act.Mish}, c.nodes, c.at}, true
		}
		a := g.Node(i).Attrs
		if math.Abs(float64(a.Float("alpha", 0.2))-1.0/6) < 1e-6 && a.Float("beta", 0.5) == 0.5 {
			return Applied{act.Act{Func: act.HardSwish}, c.nodes, c.at}, true
		}
	}
	return Applied{}, false
}

// hardSwishSpelled is x·clip(x+3, 0, 6)/6 in either order of the last two.
func hardSwishSpelled(g *Graph, x int) (Applied, bool) {
	i, last, ok := g.split(x, "Add")
	if !ok {
		return Applied{}, false
	}
	base := g.from(x).through(i, "Add", g.near(3)).then("Clip", nil)
	if !base.ok {
		return Applied{}, false
	}
	clip, ok := g.clip(g.Node(base.nodes[1]))
	if !ok || clip.A != 0 || clip.B != 6 {
		return Applied{}, false
	}
	type step struct {
		op   string
		with func(int) bool
	}
	times := step{"Mul", is(x)}
	for _, sixth := range []step{{"Div", g.near(6)}, {"Mul", g.near(1. / 6)}} {
		for _, order := range [][2]step{{times, sixth}, {sixth, times}} {
			c := base.fork()
			for _, s := range order {
				c.then(s.op, s.with)
			}
			if c.ok && slices.Contains(c.nodes, last) {
				return Applied{act.Act{Func: act.HardSwish}, c.nodes, c.at}, true
			}
		}
	}
	return Applied{}, false
}
