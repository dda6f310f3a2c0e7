package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// identity removes nodes that hand a value on: exporters leave them between operators,
// where they keep a device from seeing what could be one step.
func identity(g *graph.Graph, _ *ops.Registry) error {
	instead := map[*graph.Value]*graph.Value{}
	bypass(g, instead)
	g.Replace(instead)
	return nil
}

// bypass takes the nodes out of g and the graphs inside it and notes what is to be read
// instead of their results. A result that a graph gives keeps its name: then the node that
// made the input makes it instead. A node stays where the graph gives both, or gives what
// it did not make.
func bypass(g *graph.Graph, instead map[*graph.Value]*graph.Value) {
	given, made := map[*graph.Value]bool{}, map[*graph.Value]*graph.Node{}
	for _, v := range g.Out {
		given[v] = true
	}
	keep := g.Nodes[:0]
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			bypass(s, instead)
		}
		if in := handedOn(n, made, instead); in != nil {
			out := n.Out[0]
			if !given[out] {
				instead[out] = in
				continue
			}
			if maker := made[in]; maker != nil && !given[in] {
				instead[in] = out
				maker.Out[slices.Index(maker.Out, in)], out.Def = out, maker
				made[out] = maker
				continue
			}
		}
		for _, v := range n.Out {
			made[v] = n
		}
		keep = append(keep, n)
	}
	clear(g.Nodes[len(keep):])
	g.Nodes = keep
}

// handedOn is the value that a node's one result repeats: its input, or what was there before a transposition that it
// undoes. nil if it does not.
func handedOn(n *graph.Node, made map[*graph.Value]*graph.Node, instead map[*graph.Value]*graph.Value) *graph.Value {
	origin := func(v *graph.Value) *graph.Value {
		for instead[v] != nil {
			v = instead[v]
		}
		return v
	}
	if handsOn(n) {
		return origin(n.In[0])
	}
	if n.OpName() != "Transpose" {
		return nil
	}
	before := made[origin(n.In[0])]
	if before == nil || before.OpName() != "Transpose" {
		return nil
	}
	p, q := before.Attrs.Ints("perm"), n.Attrs.Ints("perm")
	if len(p) == 0 || len(p) != len(q) {
		return nil
	}
	for i, k := range q {
		if k < 0 || int(k) >= len(p) || p[k] != int64(i) {
			return nil
		}
	}
	return origin(before.In[0])
}

// handsOn reports a node whose one result is its input: Identity, and Dropout where it
// cannot train.
func handsOn(n *graph.Node) bool {
	if n.Domain != "" || len(n.In) == 0 || n.In[0] == nil || n.Out[0] == nil || slices.ContainsFunc(n.Out[1:], func(v *graph.Value) bool { return v != nil }) {
		return false
	}
	switch n.Op {
	case "Identity":
		return true
	case "Dropout":
		return n.Opset >= 7 && (len(n.In) < 3 || n.In[2] == nil)
	}
	return false
}
