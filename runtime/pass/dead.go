package pass

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// dead removes nodes whose results are not read, in nested graphs too.
func dead(g *graph.Graph, _ *ops.Registry) error {
	sweep(g)
	return nil
}

func sweep(g *graph.Graph) {
	live := map[*graph.Value]bool{}
	for _, v := range g.Out {
		live[v] = true
	}
	keep := make([]*graph.Node, 0, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		used := false
		for k, v := range n.Out {
			if live[v] && v != nil {
				used = true
			} else if v != nil && trailing(n, k, live) {
				n.Out[k] = nil
			}
		}
		if !used {
			continue
		}
		for _, v := range n.In {
			live[v] = true
		}
		for _, s := range n.Subgraphs() {
			sweep(s)
			for _, v := range s.Captures() {
				live[v] = true
			}
		}
		keep = append(keep, n)
	}
	g.Nodes = g.Nodes[:0]
	for i := len(keep) - 1; i >= 0; i-- {
		g.Nodes = append(g.Nodes, keep[i])
	}
}

// trailing reports whether no output from k on is read: an operator such as Dropout may
// then skip them. Outputs before one that is read keep their place.
func trailing(n *graph.Node, k int, live map[*graph.Value]bool) bool {
	for _, v := range n.Out[k:] {
		if v != nil && live[v] {
			return false
		}
	}
	return k > 0
}
