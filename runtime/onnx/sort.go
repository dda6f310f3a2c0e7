package onnx

import (
	"github.com/aimass/aimass/runtime/graph"
)

// sort gives the nodes in topological order. The standard asks files for that order;
// some writers don't keep it, and a cycle must be told from a mere disorder.
func (s *scope) sort(nodes []*nodeProto) ([]*nodeProto, error) {
	maker := map[string]int{}
	for i, n := range nodes {
		for _, o := range n.out {
			if o != "" {
				maker[o] = i
			}
		}
	}
	if s.inOrder(nodes, maker) {
		return nodes, nil
	}
	needs := make([][]int, len(nodes))
	for i, n := range nodes {
		names, err := reads(n, 0)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if j, ok := maker[name]; ok && s.names[name] == nil {
				needs[i] = append(needs[i], j)
			}
		}
	}
	return topological(nodes, needs)
}

// inOrder looks at plain inputs only: nodes with nested graphs that read later values
// are caught when their bodies are built.
func (s *scope) inOrder(nodes []*nodeProto, maker map[string]int) bool {
	for i, n := range nodes {
		for _, name := range n.in {
			if j, ok := maker[name]; ok && j >= i && s.names[name] == nil {
				return false
			}
		}
		for _, a := range n.attrs {
			if a.g != nil || a.graphs != nil {
				names, err := reads(n, 0)
				if err != nil {
					return true // building the body reports it
				}
				for _, name := range names {
					if j, ok := maker[name]; ok && j > i && s.names[name] == nil {
						return false
					}
				}
				break
			}
		}
	}
	return true
}

// topological orders nodes so that needs come first, keeping the file's order otherwise.
// It does not recurse: a hostile chain must not exhaust the stack.
func topological(nodes []*nodeProto, needs [][]int) ([]*nodeProto, error) {
	const (
		fresh = iota
		open
		done
	)
	state := make([]uint8, len(nodes))
	next := make([]int, len(nodes))
	out := make([]*nodeProto, 0, len(nodes))
	var stack []int
	for i := range nodes {
		if state[i] == fresh {
			stack = append(stack, i)
			state[i] = open
		}
		for len(stack) > 0 {
			k := stack[len(stack)-1]
			if next[k] == len(needs[k]) {
				state[k] = done
				out = append(out, nodes[k])
				stack = stack[:len(stack)-1]
				continue
			}
			j := needs[k][next[k]]
			next[k]++
			switch state[j] {
			case open:
				return nil, problemf(Cyclic, "node %s (%s) depends on its own output: the graph has a cycle", label(nodes[j]), graph.Qualified(nodes[j].domain, nodes[j].op))
			case fresh:
				state[j] = open
				stack = append(stack, j)
			}
		}
	}
	return out, nil
}

// reads lists the names that a node uses, those of its nested graphs included (names
// that a nested graph defines itself do no harm: they are not made outside).
func reads(n *nodeProto, depth int) ([]string, error) {
	if depth > maxGraphDepth {
		return nil, problemf(TooLarge, "graphs nest deeper than %d", maxGraphDepth)
	}
	out := append([]string(nil), n.in...)
	for _, a := range n.attrs {
		graphs := a.graphs
		if a.g != nil {
			graphs = append(graphs[:len(graphs):len(graphs)], a.g)
		}
		for _, b := range graphs {
			g, err := parseGraph(b)
			if err != nil {
				return nil, err
			}
			own := map[string]bool{}
			for _, v := range g.in {
				own[v.name] = true
			}
			for _, m := range g.nodes {
				inner, err := reads(m, depth+1)
				if err != nil {
					return nil, err
				}
				for _, name := range inner {
					if !own[name] {
						out = append(out, name)
					}
				}
				for _, o := range m.out {
					own[o] = true
				}
			}
			for _, v := range g.out {
				if !own[v.name] {
					out = append(out, v.name)
				}
			}
		}
	}
	return out, nil
}
