package gpu

import (
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/tensor"
)

// applied is a function of one value found in the graph: one node, or several that spell
// it out.
type applied struct {
	act   act.Act
	nodes []int
	out   int
}

// activation reads a node as a function of one value.
func (l *lowering) activation(n *node) (act.Act, bool) {
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
		return l.clip(n)
	case "Pow":
		return act.Act{Func: act.Square}, n.Opset >= 7 && l.number(n.in[1], 2)
	}
	f, ok := plainFuncs[n.OpName()]
	return act.Act{Func: f}, ok
}

// plainFuncs have no attributes.
var plainFuncs = map[string]act.Func{
	"Relu": act.Relu, "Sigmoid": act.Sigmoid, "Tanh": act.Tanh, "HardSwish": act.HardSwish, "Mish": act.Mish, "Softplus": act.Softplus, "Softsign": act.Softsign,
	"Neg": act.Neg, "Abs": act.Abs, "Sqrt": act.Sqrt, "Reciprocal": act.Reciprocal, "Exp": act.Exp, "Log": act.Log,
	"Erf": act.Erf, "Floor": act.Floor, "Ceil": act.Ceil, "Round": act.Round, "Sign": act.Sign,
}

func (l *lowering) clip(n *node) (act.Act, bool) {
	lo := n.Attrs.Float("min", float32(math.Inf(-1)))
	hi := n.Attrs.Float("max", float32(math.Inf(1)))
	for k, p := range []*float32{&lo, &hi} {
		if s := n.input(k + 1); s >= 0 {
			v, ok := l.scalar(s)
			if !ok {
				return act.Act{}, false
			}
			*p = v
		}
	}
	return act.Act{Func: act.Clip, A: lo, B: hi}, lo == lo && hi == hi
}

// number reports a constant of one element, of any type, that is v.
func (l *lowering) number(slot int, v float64) bool {
	t := l.tensor(slot)
	if t == nil || t.Elements() != 1 || t.DType.Bits() < 8 || !t.DType.IsInt() && !t.DType.IsFloat() {
		return false
	}
	x, err := tensor.Float64s(t)
	return err == nil && x[0] == v
}

// activationAt looks for a function of the slot alone among the nodes that read it: if
// it is found, nothing but these nodes reads the slot.
func (l *lowering) activationAt(slot int) (applied, bool) {
	if l.output[slot] {
		return applied{}, false
	}
	switch users := l.users[slot]; len(users) {
	case 1:
		i := users[0]
		n := l.work[i]
		if l.claimed[i] || len(n.out) != 1 || len(n.captured) > 0 || n.in[0] != slot || !l.f32(n.out[0]) || !l.shape(n.out[0]).Equal(l.shape(slot)) {
			return applied{}, false
		}
		a, ok := l.activation(n)
		return applied{a, []int{i}, n.out[0]}, ok
	case 2:
		for _, match := range []func(*lowering, int) (applied, bool){geluErf, timesGate} {
			if a, ok := match(l, slot); ok {
				return a, true
			}
		}
	}
	return applied{}, false
}

// chain walks single-use nodes from a slot.
type chain struct {
	l     *lowering
	at    int
	nodes []int
	ok    bool
}

// then goes on to the only reader of the current slot if it is op and its other operand,
// if the operator has two, satisfies other.
func (c *chain) then(op string, other func(slot int) bool) *chain {
	if c.ok {
		var i int
		if i, c.ok = c.l.onlyUser(c.at); c.ok {
			c.through(i, op, other)
		}
	}
	return c
}

func (c *chain) through(i int, op string, other func(slot int) bool) *chain {
	n := c.l.work[i]
	c.ok = !c.l.claimed[i] && n.OpName() == op && len(n.out) == 1 && c.l.f32(n.out[0])
	if c.ok && other != nil {
		o, two := operand(n, c.at)
		c.ok = two && other(o)
	}
	if c.ok {
		c.nodes = append(c.nodes, i)
		c.at = n.out[0]
	}
	return c
}

// fork is a chain that goes its own way from here.
func (c *chain) fork() *chain {
	d := *c
	d.nodes = slices.Clone(c.nodes)
	return &d
}

// operand is the other of a node's two inputs; where their order matters the slot must
// come first.
func operand(n *node, slot int) (int, bool) {
	if len(n.in) != 2 || n.in[0] == n.in[1] {
		return 0, false
	}
	if n.in[0] == slot {
		return n.in[1], true
	}
	return n.in[0], n.in[1] == slot && n.Op != "Sub" && n.Op != "Div" && n.Op != "Pow"
}

// near accepts a constant scalar within float32 rounding of v.
func (l *lowering) near(v float64) func(int) bool {
	return func(slot int) bool {
		x, ok := l.scalar(slot)
		return ok && math.Abs(float64(x)-v) <= 1e-6*math.Abs(v)
	}
}

func is(want int) func(int) bool { return func(s int) bool { return s == want } }

// geluErf is x·(1+erf(x/√2))/2 in the orders that exporters write.
func geluErf(l *lowering, x int) (applied, bool) {
	gelu := act.Act{Func: act.Gelu}
	for _, scale := range []struct {
		op string
		by float64
	}{{"Div", math.Sqrt2}, {"Mul", 1 / math.Sqrt2}} {
		for k, i := range l.users[x] {
			inner := &chain{l: l, at: x, ok: true}
			if inner.through(i, scale.op, l.near(scale.by)).then("Erf", nil).then("Add", l.near(1)); !inner.ok {
				continue
			}
			rest := l.users[x][1-k]
			if c := inner.fork().then("Mul", is(x)).then("Mul", l.near(0.5)); c.ok && slices.Contains(c.nodes, rest) {
				return applied{gelu, c.nodes, c.at}, true
			}
			half := &chain{l: l, at: x, ok: true}
			if half.through(rest, "Mul", l.near(0.5)); half.ok {
				if c := inner.fork().then("Mul", is(half.at)); c.ok && len(l.users[half.at]) == 1 && !l.output[half.at] {
					return applied{gelu, append(c.nodes, half.nodes...), c.at}, true
				}
			}
		}
	}
	return applied{}, false
}

// timesGate is x·sigmoid(x), x·hardsigmoid(x) or x·tanh(softplus(x)).
func timesGate(l *lowering, x int) (applied, bool) {
	for k, i := range l.users[x] {
		last, n := l.users[x][1-k], l.work[i]
		c := &chain{l: l, at: x, ok: true}
		var f act.Act
		switch n.OpName() {
		case "Sigmoid":
			c.through(i, "Sigmoid", nil)
			f = act.Act{Func: act.Silu, A: 1}
		case "HardSigmoid":
			c.through(i, "HardSigmoid", nil)
			f = act.Act{Func: act.HardSwish}
			c.ok = c.ok && math.Abs(float64(n.Attrs.Float("alpha", 0.2))-1.0/6) < 1e-6 && n.Attrs.Float("beta", 0.5) == 0.5
		case "Softplus":
			c.through(i, "Softplus", nil).then("Tanh", nil)
			f = act.Act{Func: act.Mish}
		default:
			continue
		}
		if c.then("Mul", is(x)); c.ok && slices.Contains(c.nodes, last) {
			return applied{f, c.nodes, c.at}, true
		}
	}
	return applied{}, false
}
