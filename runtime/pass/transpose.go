package pass

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// transposes lets nodes work on permuted values where that leaves less to transpose. Exporters of
// frameworks whose images have their channels last (Keras, TFLite) put a transposition around
// each convolution; what stands between two of them need not see the order in which it was written.
//
// For one permutation p at a time: a node either works on its values as they are or on them permuted
// by p, where its rule (carriedBy) says how. A value is transposed once if the node that makes it
// and some node that reads it differ. A transposition by p reads its input permuted and one by p's
// inverse gives its result so, which costs nothing where the neighbours agree. The cheapest choice
// for all nodes is a minimum cut, so nothing is moved that does not pay.
func transposes(g *graph.Graph, reg *ops.Registry) error {
	if !transposed(g) {
		return nil
	}
	t := &transposer{newFacts(reg)}
	t.graph(g)
	return nil
}

// transposed reports a graph with two transpositions: one alone can't be saved.
func transposed(g *graph.Graph) bool {
	count := 0
	for _, n := range g.Nodes {
		if len(permOf(n)) > 0 {
			count++
		}
		if slices.ContainsFunc(n.Subgraphs(), transposed) {
			return true
		}
	}
	return count > 1
}

// permOf is the permutation of a Transpose, nil if n is none or does not spell it out.
func permOf(n *graph.Node) []int {
	if n == nil || n.OpName() != "Transpose" || n.In[0] == nil || n.Out[0] == nil {
		return nil
	}
	perm := make([]int, len(n.Attrs.Ints("perm")))
	seen := make([]bool, len(perm))
	for i, k := range n.Attrs.Ints("perm") {
		if k < 0 || int(k) >= len(perm) || seen[k] {
			return nil
		}
		perm[i], seen[k] = int(k), true
	}
	return perm
}

func inverse(perm []int) []int {
	inv := make([]int, len(perm))
	for i, k := range perm {
		inv[k] = i
	}
	return inv
}

type transposer struct{ facts }

func (t *transposer) graph(g *graph.Graph) {
	t.inputs(g)
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			t.graph(s)
		}
		t.node(n)
	}
	var perms [][]int
	for _, n := range g.Nodes {
		if p := permOf(n); len(p) > 0 && !slices.ContainsFunc(perms, func(q []int) bool { return slices.Equal(p, q) }) {
			perms = append(perms, p)
		}
	}
	for _, p := range perms {
		c := newCarrying(t, g, p)
		c.choose()
		c.rewrite()
	}
}

// carrying is the choice for one permutation.
type carrying struct {
	*transposer
	g         *graph.Graph
	perm, inv []int
	users     map[*graph.Value][]*graph.Node
	rules     map[*graph.Node]*carried
	moves     map[*graph.Node]bool // the nodes that work on permuted values
	// by is the transposition by perm that reads a value, from the one by inv that gives it. Both are
	// dissolved: they are made again where a value is needed in the other form.
	by, from map[*graph.Value]*graph.Node
	// What rewrite has made.
	nodes []*graph.Node
	there map[*graph.Value]bool         // values that are made as they are
	moved map[*graph.Value]*graph.Value // values that are made permuted
}

func newCarrying(t *transposer, g *graph.Graph, perm []int) *carrying {
	c := &carrying{transposer: t, g: g, perm: perm, inv: inverse(perm), users: g.Users(), rules: map[*graph.Node]*carried{}, moves: map[*graph.Node]bool{},
		by: map[*graph.Value]*graph.Node{}, from: map[*graph.Value]*graph.Node{}, there: map[*graph.Value]bool{}, moved: map[*graph.Value]*graph.Value{}}
	mine := map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		c.rules[n] = c.carriedBy(n)
		for _, v := range n.Out {
			mine[v] = true
		}
	}
	for _, n := range g.Nodes {
		q := permOf(n)
		if len(q) == 0 || n.In[0].Const != nil || !c.of(n.In[0]).ranked {
			continue
		}
		in, out := n.In[0], n.Out[0]
		movable := func(m *graph.Node) bool { return m != nil && c.rules[m] != nil }
		// A permutation that is its own inverse may be either: what can move is on its one side or the other.
		first := slices.Equal(q, c.perm) && (!slices.Equal(c.perm, c.inv) || movable(in.Def) || !slices.ContainsFunc(c.users[out], movable))
		switch {
		case first && c.by[in] == nil && c.from[in] == nil:
			c.by[in] = n
		case !first && slices.Equal(q, c.inv) && c.by[out] == nil:
			c.from[out] = n
		}
	}
	return c
}

// dissolved reports a transposition that rewrite leaves out.
func (c *carrying) dissolved(n *graph.Node) bool {
	return n.OpName() == "Transpose" && (c.by[n.In[0]] == n || c.from[n.Out[0]] == n)
}

// touch is one value and who makes and reads it in which form.
type touch struct {
	maker   *graph.Node   // nil: it is made as it is, or permuted where born is set
	born    bool          // permuted by a dissolved transposition
	readers []*graph.Node // which may move
	plain   bool          // somebody needs it as it is
	other   bool          // somebody needs it permuted
}

// touches lists what depends on the choice.
func (c *carrying) touches() (order []*graph.Value, all map[*graph.Value]*touch) {
	all = map[*graph.Value]*touch{}
	at := func(v *graph.Value) *touch {
		if all[v] == nil {
			all[v] = &touch{}
			order = append(order, v)
		}
		return all[v]
	}
	for _, n := range c.g.Nodes {
		r := c.rules[n]
		switch {
		case c.dissolved(n) && c.by[n.In[0]] == n:
			at(n.In[0]).other = true
		case c.dissolved(n):
			at(n.In[0]).plain, at(n.Out[0]).born = true, true
		default:
			for i, v := range n.In {
				if v == nil || v.Const != nil {
					continue
				}
				if r != nil && r.in[i] {
					at(v).readers = append(at(v).readers, n)
				} else {
					at(v).plain = true
				}
			}
			for i, v := range n.Out {
				if v != nil && r != nil && r.out[i] {
					at(v).maker = n
				}
			}
		}
		for _, s := range n.Subgraphs() {
			for _, v := range s.Captures() {
				at(v).plain = true
			}
		}
	}
	for _, v := range c.g.Out {
		at(v).plain = true
	}
	return order, all
}

// stepCost is what a transposition costs besides its elements, in elements.
const stepCost = 256

// cost is what transposing a value costs, and whether it is more than a change of shape.
func (c *carrying) cost(v *graph.Value) (int64, bool) {
	f := c.of(v)
	if len(f.shape) != len(c.perm) || c.onesMove(f.shape) {
		return 1, false
	}
	return int64(f.seen[0].Elements()) + stepCost, true
}

// onesMove reports that the permutation moves no axes past each other but those of extent 1.
func (c *carrying) onesMove(s tensor.Shape) bool {
	last := -1
	for _, k := range c.perm {
		if s[k] == 1 {
			continue
		}
		if k < last {
			return false
		}
		last = k
	}
	return true
}

// choose finds the nodes that work on permuted values.
func (c *carrying) choose() {
	net, points := newCut(), map[*graph.Node]int{}
	for _, n := range c.g.Nodes {
		if r := c.rules[n]; r != nil {
			points[n] = net.point()
			net.edge(points[n], sink, r.cost)
		}
	}
	order, all := c.touches()
	for _, v := range order {
		t := all[v]
		maker, size := sink, int64(0)
		if t.born {
			maker = source
		} else if t.maker != nil {
			maker = points[t.maker]
		}
		size, _ = c.cost(v)
		// The source's side is permuted. some is there if anybody reads v permuted, most if all do.
		some, most := net.point(), net.point()
		net.edge(some, maker, size)
		net.edge(maker, most, size)
		if t.other {
			net.edge(source, some, unbounded)
		}
		if t.plain {
			net.edge(most, sink, unbounded)
		}
		for _, n := range t.readers {
			net.edge(points[n], some, unbounded)
			net.edge(most, points[n], unbounded)
		}
	}
	side := net.nearest()
	for n, p := range points {
		if side[p] {
			c.moves[n] = true
		}
	}
	c.settle(order, all)
}

// settle leaves alone what saves elements but no transposition: it would only separate nodes that
// devices take together.
func (c *carrying) settle(order []*graph.Value, all map[*graph.Value]*touch) {
	group := map[*graph.Node]*graph.Node{}
	root := func(n *graph.Node) *graph.Node {
		for group[n] != nil {
			n = group[n]
		}
		return n
	}
	member := func(t *touch) (found *graph.Node) {
		for _, n := range append(slices.Clip(t.readers), t.maker) {
			if n == nil || !c.moves[n] {
				continue
			}
			if r := root(n); found == nil {
				found = r
			} else if r != found {
				group[r] = found
			}
		}
		return found
	}
	for _, v := range order {
		member(all[v])
	}
	saved := map[*graph.Node]int{}
	for _, v := range order {
		t := all[v]
		n := member(t)
		if n == nil {
			continue
		}
		if t.other || t.born && (t.plain || len(t.readers) > 0) {
			saved[n]++
		}
		permuted := t.born || t.maker != nil && c.moves[t.maker]
		if slices.ContainsFunc(t.readers, func(r *graph.Node) bool { return c.moves[r] != permuted }) || t.plain && permuted || t.other && !permuted {
			saved[n]--
		}
	}
	for _, n := range c.g.Nodes {
		if c.moves[n] && saved[root(n)] <= 0 {
			delete(c.moves, n)
		}
	}
}

// rewrite makes the nodes anew where any moves.
func (c *carrying) rewrite() {
	if len(c.moves) == 0 {
		return
	}
	for _, n := range c.g.Nodes {
		if c.dissolved(n) {
			continue
		}
		r := c.rules[n]
		for i, v := range n.In {
			switch {
			case v == nil:
			case c.moves[n] && r.in[i]:
				n.In[i] = c.permuted(v)
			default:
				c.plain(v)
			}
		}
		for _, s := range n.Subgraphs() {
			for _, v := range s.Captures() {
				c.plain(v)
			}
		}
		if c.moves[n] {
			for _, i := range r.raised {
				n.In[i] = c.raise(n.In[i])
			}
			n.Attrs = cloneAttrs(n.Attrs)
			if r.change != nil {
				r.change()
			}
		}
		for i, v := range n.Out {
			if v != nil && c.moves[n] && r.out[i] {
				n.Out[i] = c.form(v)
				n.Out[i].Def = n
				c.moved[v] = n.Out[i]
				c.there[n.Out[i]] = true
			} else {
				c.there[v] = true
			}
		}
		c.nodes = append(c.nodes, n)
	}
	for _, v := range c.g.Out {
		c.plain(v)
	}
	c.g.Nodes = c.nodes
}

// form is the value that stands for v permuted.
func (c *carrying) form(v *graph.Value) *graph.Value {
	if n := c.by[v]; n != nil {
		return n.Out[0]
	}
	t := v.Type
	if len(t.Shape) == len(c.perm) {
		t.Shape = permute(c.perm, t.Shape)
	}
	w := &graph.Value{Name: v.Name + fmt.Sprint(c.perm), Type: t}
	for k := range c.facts {
		x := c.facts[k].look(v)
		x.Const = nil
		if x.Known && len(x.Shape) == len(c.perm) {
			x.Shape = permute(c.perm, x.Shape)
		}
		c.facts[k].known[w] = x
	}
	return w
}

func permute[S ~[]T, T any](perm []int, s S) S {
	out := make(S, len(perm))
	for i, k := range perm {
		out[i] = s[k]
	}
	return out
}

// plain sees to it that v is there as it is.
func (c *carrying) plain(v *graph.Value) {
	if v.Const != nil || c.there[v] {
		return
	}
	if v.Def != nil && v.Def.OpName() == "Transpose" && c.by[v.Def.In[0]] == v.Def {
		c.permuted(v.Def.In[0])
		return
	}
	if n := c.from[v]; n != nil {
		c.plain(n.In[0])
		c.transpose(n.Name, n.In[0], v, c.inv)
	} else if w := c.moved[v]; w != nil {
		c.transpose("", w, v, c.inv)
	}
	c.there[v] = true
}

// permuted gives v permuted.
func (c *carrying) permuted(v *graph.Value) *graph.Value {
	if w := c.moved[v]; w != nil {
		return w
	}
	w := v
	switch n := c.from[v]; {
	case v.Const != nil:
		w = c.constant(v)
	case n != nil:
		w = n.In[0]
		c.plain(w)
	default:
		c.plain(v)
		w = c.form(v)
		name := ""
		if n := c.by[v]; n != nil {
			name = n.Name
		}
		c.transpose(name, v, w, c.perm)
		c.there[w] = true
	}
	c.moved[v] = w
	return w
}

// constant is a constant permuted, of fewer axes too.
func (c *carrying) constant(v *graph.Value) *graph.Value {
	t := v.Tensor()
	out := c.eval("Transpose", graph.Attrs{"perm": permAttr(c.perm)}, t.Reshaped(t.Shape.Raised(len(c.perm))))
	return &graph.Value{Name: v.Name + fmt.Sprint(c.perm), Const: out, Type: graph.TensorType(out.DType, out.Shape...)}
}

func (c *carrying) transpose(name string, from, to *graph.Value, perm []int) {
	n := &graph.Node{Name: name, Op: "Transpose", Opset: 13, In: []*graph.Value{from}, Out: []*graph.Value{to}, Attrs: graph.Attrs{"perm": permAttr(perm)}}
	to.Def = n
	c.nodes = append(c.nodes, n)
}

func permAttr(perm []int) *graph.Attr {
	v := make([]int64, len(perm))
	for i, k := range perm {
		v[i] = int64(k)
	}
	return graph.IntsAttr(v...)
}
