package match

import (
	"math"

	"github.com/aimass/aimass/kernels/act"
)

// poly is a polynomial of the argument, the constant first.
type poly [4]float64

func (p poly) times(q poly) (r poly, ok bool) {
	for i, a := range p {
		for j, b := range q {
			switch {
			case a == 0 || b == 0:
			case i+j >= len(r):
				return r, false
			default:
				r[i+j] += a * b
			}
		}
	}
	return r, true
}

func (p poly) plus(q poly, sign float64) poly {
	for i := range p {
		p[i] += sign * q[i]
	}
	return p
}

// gated is plain + by·gate(of), all polynomials of one argument: what the usual activations are that
// exporters spell out.
type gated struct {
	plain, by, of poly
	gate          string // operator; "" for none
}

func (a gated) times(b gated) (gated, bool) {
	if a.gate != "" && b.gate != "" {
		return a, false
	}
	if b.gate != "" {
		a, b = b, a
	}
	r := gated{gate: a.gate, of: a.of}
	var ok1, ok2 bool
	r.plain, ok1 = a.plain.times(b.plain)
	r.by, ok2 = a.by.times(b.plain)
	return r, ok1 && ok2
}

func (a gated) plus(b gated, sign float64) (gated, bool) {
	if a.gate != "" && b.gate != "" {
		return a, false
	}
	r := gated{plain: a.plain.plus(b.plain, sign), gate: a.gate, by: a.by, of: a.of}
	if b.gate != "" {
		r.gate, r.of, r.by = b.gate, b.of, poly{}.plus(b.by, sign)
	}
	return r, true
}

// gatedNodes bounds the nodes of one function.
const gatedNodes = 12

// gatedAt is the function of x that its readers compute, whatever the order in which they multiply and add,
// if it is one of those that kernels have.
func (g *Graph) gatedAt(x int) (Applied, bool) {
	known := map[int]gated{x: {plain: poly{0, 1}}}
	taken := map[int]bool{}
	a := Applied{Out: x}
	for len(a.Nodes) < gatedNodes {
		i, _ := g.nextReader(known, taken, a.Out)
		if i < 0 {
			return a, false
		}
		n := g.Node(i)
		if len(n.In) == 0 {
			return a, false
		}
		v, ok := g.gatedNode(n, known)
		if !ok || g.Claimed[i] || len(n.Out) != 1 || !g.F32(n.Out[0]) || !g.Shape(n.Out[0]).Equal(g.Shape(x)) {
			return a, false
		}
		a.Out, a.Nodes, taken[i] = n.Out[0], append(a.Nodes, i), true
		known[a.Out] = v
		if _, closed := g.nextReader(known, taken, a.Out); closed && v.gate != "" {
			if a.Act, ok = v.function(); ok {
				return a, true
			}
		}
	}
	return a, false
}

// nextReader is the first node that reads a known value and has not been taken, and whether nothing but the
// last value has such readers or is returned by the graph.
func (g *Graph) nextReader(known map[int]gated, taken map[int]bool, last int) (first int, closed bool) {
	first, closed = -1, true
	for s := range known {
		if s != last && g.Output[s] {
			return -1, false
		}
		for _, i := range g.Users[s] {
			if taken[i] {
				continue
			}
			closed = closed && s == last
			if first < 0 || i < first {
				first = i
			}
		}
	}
	return first, closed
}

// gatedNode is what a node computes of known values and scalars.
func (g *Graph) gatedNode(n Node, known map[int]gated) (gated, bool) {
	operand := func(k int) (gated, bool) {
		if v, ok := known[n.In[k]]; ok {
			return v, true
		}
		c, ok := g.Scalar(n.In[k])
		return gated{plain: poly{float64(c)}}, ok
	}
	a, ok := operand(0)
	if !ok {
		return a, false
	}
	switch op := n.OpName(); {
	case op == "Tanh" || op == "Erf" || op == "Sigmoid":
		return gated{gate: op, of: a.plain, by: poly{1}}, a.gate == ""
	case len(n.In) != 2 || n.Opset < 7:
	case op == "Pow":
		for k := 2; k <= 3 && a.gate == ""; k++ {
			if !g.number(n.In[1], float64(k)) {
				continue
			}
			r := a
			for ok = true; k > 1 && ok; k-- {
				r, ok = r.times(a)
			}
			return r, ok
		}
	case op == "Add" || op == "Sub" || op == "Mul" || op == "Div":
		b, ok := operand(1)
		switch {
		case !ok:
		case op == "Add":
			return a.plus(b, 1)
		case op == "Sub":
			return a.plus(b, -1)
		case op == "Mul":
			return a.times(b)
		case b.gate == "" && b.plain[0] != 0 && b.plain == poly{b.plain[0]}:
			return a.times(gated{plain: poly{1 / b.plain[0]}})
		}
	}
	return a, false
}

// function names what is gated in one of the usual ways; constants may have been rounded to float32.
func (v gated) function() (act.Act, bool) {
	same := func(p, q poly) bool {
		for i := range p {
			if math.Abs(p[i]-q[i]) > 2e-6*math.Abs(q[i]) {
				return false
			}
		}
		return true
	}
	half := poly{0, 0.5}
	switch root := math.Sqrt(2 / math.Pi); {
	case v.gate == "Erf" && same(v.plain, half) && same(v.by, half) && same(v.of, poly{0, 1 / math.Sqrt2}):
		return act.Act{Func: act.Gelu}, true
	case v.gate == "Tanh" && same(v.plain, half) && same(v.by, half) && same(v.of, poly{0, root, 0, 0.044715 * root}):
		return act.Act{Func: act.GeluTanh}, true
	case v.gate == "Sigmoid" && v.plain == poly{} && same(v.by, poly{0, 1}) && v.of[1] > 0 && v.of == poly{0, v.of[1]}:
		return act.Act{Func: act.Silu, A: float32(v.of[1])}, true
	}
	return act.Act{}, false
}
