package lower

import (
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/tensor"
)

// epilogue is what follows a product or convolution and is done in its tile store:
// act(alpha·P + bias + residual).
type epilogue struct {
	alpha    float32
	bias     []float32
	residual int // slot, −1 for none
	act      act.Act
	out      int   // the slot that is finally written
	nodes    []int // claimed
	reads    []int
	unscaled bool // the kernel has no alpha
	alone    bool // the store's order is not that of a residual
}

// newEpilogue makes an empty one.
func newEpilogue() *epilogue { return &epilogue{residual: -1} }

// follow walks from the product's result through the nodes that alone read it, as far
// as the epilogue can take them. channels is the length of a bias and axis, counted from
// the end of the shape, where it runs: 1 for the columns of a matrix, 3 for NCHW.
func (f *fuser) follow(out, channels, axis int, ep *epilogue) {
	ep.out = out
	if ep.alpha == 0 {
		ep.alpha = 1
	}
	for ep.act.Func == act.None {
		if a, ok := f.activationAt(ep.out); ok {
			ep.act, ep.out = a.act, a.out
			ep.nodes = append(ep.nodes, a.nodes...)
			return
		}
		i, ok := f.onlyUser(ep.out)
		if !ok {
			return
		}
		n := f.node(i)
		if len(n.Out) != 1 || len(n.In) != 2 || n.In[0] == n.In[1] || !f.f32(n.Out[0]) || !f.shape(n.Out[0]).Equal(f.shape(ep.out)) {
			return
		}
		switch n.OpName() {
		case "Add":
			ok = f.addition(n, channels, axis, ep)
		case "Mul", "Div":
			ok = !ep.unscaled && ep.bias == nil && ep.residual < 0 && f.scaling(n, ep)
		default:
			return
		}
		if !ok {
			return
		}
		ep.nodes = append(ep.nodes, i)
		ep.out = n.Out[0]
	}
}

// addition takes a bias or a residual.
func (f *fuser) addition(n *Node, channels, axis int, ep *epilogue) bool {
	other := n.In[0]
	if other == ep.out {
		other = n.In[1]
	}
	if b := f.constF32(other); b != nil && ep.bias == nil && alongAxis(f.shape(other), channels, axis) {
		ep.bias = b
		return true
	}
	if ep.residual < 0 && !ep.alone && f.f32(other) && f.shape(other).Equal(f.shape(ep.out)) {
		ep.residual = other
		ep.reads = append(ep.reads, other)
		return true
	}
	return false
}

// alongAxis reports a shape of n values on the axis-th axis from the end and ones else.
func alongAxis(s tensor.Shape, n, axis int) bool {
	return len(s) >= axis && s[len(s)-axis] == n && s.Elements() == n
}

func (f *fuser) scaling(n *Node, ep *epilogue) bool {
	other := n.In[0]
	if other == ep.out {
		other = n.In[1]
	} else if n.Op == "Div" {
		return false
	}
	v, ok := f.scalar(other)
	if !ok || v == 0 {
		return false
	}
	if n.Op == "Div" {
		// A division by a power of two is the same as a product; others round differently
		// by half a unit in the last place, which docs/numerics.md allows.
		v = 1 / v
	}
	ep.alpha *= v
	return ep.alpha != 0 && !math.IsInf(float64(ep.alpha), 0)
}

// activation reads a node as a function of one value.
func (f *fuser) activation(n *Node) (act.Act, bool) {
	a := n.Attrs
	switch n.OpName() {
	case "Relu":
		return act.Act{Func: act.Relu}, true
	case "LeakyRelu":
		return act.Act{Func: act.LeakyRelu, A: a.Float("alpha", 0.01)}, true
	case "Sigmoid":
		return act.Act{Func: act.Sigmoid}, true
	case "Tanh":
		return act.Act{Func: act.Tanh}, true
	case "HardSigmoid":
		return act.Act{Func: act.HardSigmoid, A: a.Float("alpha", 0.2), B: a.Float("beta", 0.5)}, true
	case "HardSwish":
		return act.Act{Func: act.HardSwish}, true
	case "Swish":
		return act.Act{Func: act.Silu, A: a.Float("alpha", 1)}, true
	case "Mish":
		return act.Act{Func: act.Mish}, true
	case "Elu":
		return act.Act{Func: act.Elu, A: a.Float("alpha", 1)}, true
	case "Selu":
		return act.Act{Func: act.Selu, A: a.Float("alpha", 1.67326319217681884765625), B: a.Float("gamma", 1.05070102214813232421875)}, true
	case "Celu":
		return act.Act{Func: act.Celu, A: a.Float("alpha", 1)}, true
	case "Softplus":
		return act.Act{Func: act.Softplus}, true
	case "Softsign":
		return act.Act{Func: act.Softsign}, true
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
		return f.clip(n)
	case "Pow":
		return act.Act{Func: act.Square}, n.Opset >= 7 && f.f32(n.In[0]) && f.two(n.In[1])
	}
	plain, ok := plainFuncs[n.OpName()]
	return act.Act{Func: plain}, ok
}

// plainFuncs have no attributes.
var plainFuncs = map[string]act.Func{
	"Neg": act.Neg, "Abs": act.Abs, "Sqrt": act.Sqrt, "Reciprocal": act.Reciprocal, "Exp": act.Exp, "Log": act.Log,
	"Erf": act.Erf, "Floor": act.Floor, "Ceil": act.Ceil, "Round": act.Round, "Sign": act.Sign,
}

// two reports a constant of one 2 of any type, the exponent of a square.
func (f *fuser) two(slot int) bool {
	t := f.constant(slot)
	if t == nil || t.Elements() != 1 || t.DType.Bits() < 8 || !t.DType.IsInt() && !t.DType.IsFloat() {
		return false
	}
	v, err := tensor.Float64s(t)
	return err == nil && v[0] == 2
}

func (f *fuser) clip(n *Node) (act.Act, bool) {
	lo := n.Attrs.Float("min", float32(math.Inf(-1)))
	hi := n.Attrs.Float("max", float32(math.Inf(1)))
	for k, p := range []*float32{&lo, &hi} {
		if len(n.In) > k+1 && n.In[k+1] >= 0 {
			v, ok := f.scalar(n.In[k+1])
			if !ok {
				return act.Act{}, false
			}
			*p = v
		}
	}
	return act.Act{Func: act.Clip, A: lo, B: hi}, !slices.Contains([]bool{lo != lo, hi != hi}, true)
}

// applied is a function of one value found in the graph: one node, or several that spell
// it out.
type applied struct {
	act   act.Act
	nodes []int
	out   int
}

// activationAt looks for a function of the slot alone among the nodes that read it: if
// it is found, nothing but these nodes reads the slot.
func (f *fuser) activationAt(slot int) (applied, bool) {
	if f.output[slot] {
		return applied{}, false
	}
	users := f.users[slot]
	switch len(users) {
	case 1:
		i := users[0]
		n := f.node(i)
		if f.claimed[i] || len(n.Out) != 1 || len(n.Captured) > 0 || n.In[0] != slot || !f.f32(n.Out[0]) || !f.shape(n.Out[0]).Equal(f.shape(slot)) {
			return applied{}, false
		}
		a, ok := f.activation(n)
		return applied{a, []int{i}, n.Out[0]}, ok
	case 2:
		for _, match := range composites {
			if a, ok := match(f, slot); ok {
				return a, true
			}
		}
	}
	return applied{}, false
}

// composites are functions that exporters spell out with two uses of the argument.
var composites = []func(f *fuser, x int) (applied, bool){geluErf, timesGate, hardSwishSpelled}

// chain walks single-use nodes from a slot.
type chain struct {
	f     *fuser
	at    int
	nodes []int
	ok    bool
}

// then goes on to the only reader of the current slot if it is op and its other operand,
// if the operator has two, satisfies other.
func (c *chain) then(op string, other func(slot int) bool) *chain {
	if !c.ok {
		return c
	}
	i, ok := c.f.onlyUser(c.at)
	if !ok {
		c.ok = false
		return c
	}
	return c.through(i, op, other)
}

func (c *chain) through(i int, op string, other func(slot int) bool) *chain {
	n := c.f.node(i)
	c.ok = !c.f.claimed[i] && n.OpName() == op && len(n.Out) == 1 && c.f.f32(n.Out[0])
	if c.ok && other != nil {
		o, two := operand(n, c.at)
		c.ok = two && other(o)
	}
	if c.ok {
		c.nodes = append(c.nodes, i)
		c.at = n.Out[0]
	}
	return c
}

// operand is the other of a node's two inputs; for Sub and Div the slot must come first.
func operand(n *Node, slot int) (int, bool) {
	if len(n.In) != 2 || n.In[0] == n.In[1] {
		return 0, false
	}
	if n.In[0] == slot {
		return n.In[1], true
	}
	return n.In[0], n.In[1] == slot && n.Op != "Sub" && n.Op != "Div" && n.Op != "Pow"
}

// near accepts a constant scalar within float32 rounding of v.
func (f *fuser) near(v float64) func(int) bool {
	return func(slot int) bool {
		x, ok := f.scalar(slot)
		return ok && math.Abs(float64(x)-v) <= 1e-6*math.Abs(v)
	}
}

func (f *fuser) is(want int) func(int) bool { return func(s int) bool { return s == want } }

// split gives the users of x as the one of the given operator and the other.
func (f *fuser) split(x int, op string) (first, other int, ok bool) {
	u := f.users[x]
	for k := range u {
		if f.node(u[k]).OpName() == op {
			return u[k], u[1-k], true
		}
	}
	return 0, 0, false
}

// geluErf is x·(1+erf(x/√2))/2 in the orders that exporters write.
func geluErf(f *fuser, x int) (applied, bool) {
	for _, scale := range []struct {
		op string
		by float64
	}{{"Div", math.Sqrt2}, {"Mul", 1 / math.Sqrt2}} {
		for k, i := range f.users[x] {
			inner := &chain{f: f, at: x, ok: true}
			inner.through(i, scale.op, f.near(scale.by)).then("Erf", nil).then("Add", f.near(1))
			if !inner.ok {
				continue
			}
			rest := f.users[x][1-k]
			// (x·(1+erf))·½
			c := *inner
			c.nodes = slices.Clone(inner.nodes)
			if c.then("Mul", f.is(x)).then("Mul", f.near(0.5)); c.ok && slices.Contains(c.nodes, rest) {
				return applied{act.Act{Func: act.Gelu}, c.nodes, c.at}, true
			}
			// (½·x)·(1+erf)
			half := &chain{f: f, at: x, ok: true}
			if half.through(rest, "Mul", f.near(0.5)); half.ok {
				c := *inner
				c.nodes = slices.Clone(inner.nodes)
				if c.then("Mul", f.is(half.at)); c.ok && len(f.users[half.at]) == 1 && !f.output[half.at] {
					return applied{act.Act{Func: act.Gelu}, append(c.nodes, half.nodes...), c.at}, true
				}
			}
		}
	}
	return applied{}, false
}

// timesGate is x·g(x) for a gate g of one node: SiLU, HardSwish; or of two: Mish.
func timesGate(f *fuser, x int) (applied, bool) {
	for _, gate := range []string{"Sigmoid", "HardSigmoid", "Softplus"} {
		i, last, ok := f.split(x, gate)
		if !ok {
			continue
		}
		c := &chain{f: f, at: x, ok: true}
		c.through(i, gate, nil)
		if gate == "Softplus" {
			c.then("Tanh", nil)
		}
		c.then("Mul", f.is(x))
		if !c.ok || !slices.Contains(c.nodes, last) {
			continue
		}
		switch gate {
		case "Sigmoid":
			return applied{act.Act{Func: act.Silu, A: 1}, c.nodes, c.at}, true
		case "Softplus":
			return applied{act.Act{Func: act.Mish}, c.nodes, c.at}, true
		}
		a := f.node(i).Attrs
		if math.Abs(float64(a.Float("alpha", 0.2))-1.0/6) < 1e-6 && a.Float("beta", 0.5) == 0.5 {
			return applied{act.Act{Func: act.HardSwish}, c.nodes, c.at}, true
		}
	}
	return applied{}, false
}

// hardSwishSpelled is x·clip(x+3, 0, 6)/6 in either order of the last two.
func hardSwishSpelled(f *fuser, x int) (applied, bool) {
	i, last, ok := f.split(x, "Add")
	if !ok {
		return applied{}, false
	}
	c := &chain{f: f, at: x, ok: true}
	c.through(i, "Add", f.near(3)).then("Clip", nil)
	if !c.ok {
		return applied{}, false
	}
	clip, ok := f.clip(f.node(c.nodes[1]))
	if !ok || clip.A != 0 || clip.B != 6 {
		return applied{}, false
	}
	base := *c
	for _, order := range [][2]string{{"Mul", "Div"}, {"Div", "Mul"}} {
		c := base
		c.nodes = slices.Clone(base.nodes)
		for _, op := range order {
			if op == "Mul" {
				c.then("Mul", f.is(x))
			} else {
				c.then("Div", f.near(6))
			}
		}
		if c.ok && slices.Contains(c.nodes, last) {
			return applied{act.Act{Func: act.HardSwish}, c.nodes, c.at}, true
		}
	}
	return applied{}, false
}
