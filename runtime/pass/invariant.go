package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// invariant takes out of a loop's state what no iteration changes: exporters carry every
// value that a body reads, weights too. As captured values these are copied no more, and
// those that are constant are folded and packed like any other weight.
func invariant(g *graph.Graph, _ *ops.Registry) error {
	for i := 0; i < len(g.Nodes); i++ {
		n := g.Nodes[i]
		if body := n.Attrs.Graph("body"); n.Domain == "" && n.Op == "Loop" && body != nil {
			for _, pass := range unchanged(n, body) {
				i++
				g.Nodes = slices.Insert(g.Nodes, i, pass)
			}
		}
		for _, s := range n.Subgraphs() {
			if err := invariant(s, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// unchanged removes the carried values of loop n that its body hands on as they came, and
// returns the nodes that give the loop's outputs of that name.
func unchanged(n *graph.Node, body *graph.Graph) (after []*graph.Node) {
	// Inputs are the trip count, the condition, the state; a body takes the number of the
	// iteration, the condition, the state, and gives the condition, the state and what is
	// collected.
	if len(body.In) != len(n.In) || len(body.Out) < len(n.In)-1 {
		return nil // Eval says what is wrong
	}
	for k := len(n.In) - 1; k >= 2; k-- {
		start, formal := n.In[k], body.In[k]
		if start == nil || origin(body.Out[k-1]) != formal {
			continue
		}
		body.In, body.Out, n.In = slices.Delete(body.In, k, k+1), slices.Delete(body.Out, k-1, k), slices.Delete(n.In, k, k+1)
		body.Replace(formal, start)
		if out := k - 2; out < len(n.Out) {
			if v := n.Out[out]; v != nil {
				v.Def = &graph.Node{Op: "Identity", Opset: n.Opset, In: []*graph.Value{start}, Out: []*graph.Value{v}, Attrs: graph.Attrs{}}
				after = append(after, v.Def)
			}
			n.Out = slices.Delete(n.Out, out, out+1)
		}
	}
	return after
}

// origin follows v back through nodes that hand a value on.
func origin(v *graph.Value) *graph.Value {
	for v.Def != nil && v.Def.Domain == "" && v.Def.Op == "Identity" {
		v = v.Def.In[0]
	}
	return v
}
