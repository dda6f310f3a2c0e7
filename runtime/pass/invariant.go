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
			after := unchanged(n, body)
			g.Nodes = slices.Insert(g.Nodes, i+1, after...)
			i += len(after)
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
	if len(n.In) < 2 || len(body.In) != len(n.In) || len(body.Out) < len(n.In)-1 {
		return nil // Eval says what is wrong
	}
	captured := map[*graph.Value]*graph.Value{}
	in, out, formals, results := n.In[:2:2], []*graph.Value(nil), body.In[:2:2], body.Out[:1:1]
	for k, start := range n.In[2:] {
		formal, result := body.In[2+k], body.Out[1+k]
		var given *graph.Value
		if k < len(n.Out) {
			given = n.Out[k]
		}
		if start == nil || origin(result) != formal {
			in, out, formals, results = append(in, start), append(out, given), append(formals, formal), append(results, result)
			continue
		}
		captured[formal] = start
		if given != nil {
			given.Def = &graph.Node{Op: "Identity", Opset: n.Opset, In: []*graph.Value{start}, Out: []*graph.Value{given}, Attrs: graph.Attrs{}}
			after = append(after, given.Def)
		}
	}
	carried := len(n.In) - 2
	n.In, body.In, body.Out = in, formals, append(results, body.Out[1+carried:]...)
	n.Out = append(out, n.Out[min(carried, len(n.Out)):]...)
	for len(n.Out) > 1 && n.Out[len(n.Out)-1] == nil {
		n.Out = n.Out[:len(n.Out)-1]
	}
	body.Replace(captured)
	return after
}

// origin follows v back through nodes that hand a value on.
func origin(v *graph.Value) *graph.Value {
	for v.Def != nil && v.Def.Domain == "" && v.Def.Op == "Identity" {
		v = v.Def.In[0]
	}
	return v
}
