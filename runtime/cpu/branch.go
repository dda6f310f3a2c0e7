package cpu

import (
	"fmt"

	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// branch puts the branch that an If takes into the plan, where its condition is constant
// under the shapes at hand: the branch's values get slots of their own, and what it
// returns is handed on.
func (pl *plan) branch(n *lower.Node) (bool, error) {
	if n.OpName() != "If" || len(n.In) != 1 || n.In[0] < 0 {
		return false, nil
	}
	cond := pl.Info[n.In[0]].Tensor()
	if cond == nil || cond.DType != tensor.Bool || cond.Elements() != 1 {
		return false, nil
	}
	name := "else_branch"
	if tensor.Data[bool](cond)[0] {
		name = "then_branch"
	}
	g := n.Attrs.Graph(name)
	if g == nil || len(g.In) > 0 || len(g.Out) != len(n.Out) {
		return false, nil
	}
	at := pl.graft(pl.p.tree[g], n.Nested[g])
	for _, inner := range pl.p.tree[g].nodes {
		if err := pl.infer(moved(inner, at)); err != nil {
			return true, fmt.Errorf("nested graph %q: node %s (%s): %w", g.Name, inner.Label(), inner.OpName(), err)
		}
	}
	for k, out := range n.Out {
		if out < 0 {
			continue
		}
		pass := &graph.Node{Name: n.Name, Op: "Identity", Opset: n.Opset, In: []*graph.Value{g.Out[k]}, Out: []*graph.Value{n.Node.Out[k]}}
		o, err := pl.p.dev.reg.Resolve(pass)
		if err != nil {
			return true, err
		}
		if err := pl.infer(&lower.Node{Node: pass, Form: o, Eval: o.Eval, In: []int{at[pl.p.tree[g].out[k]]}, Out: []int{out}}); err != nil {
			return true, err
		}
	}
	return true, nil
}

// graft gives the values of a nested program slots in the plan; its inputs are the given
// ones. It returns the new slot of each.
func (pl *plan) graft(sp *program, in []int) []int {
	at := make([]int, len(sp.values))
	for i, v := range sp.values {
		if i < len(in) {
			at[i] = in[i]
			continue
		}
		at[i] = len(pl.Info)
		pl.Info = append(pl.Info, ops.Info{})
		pl.Place = append(pl.Place, lower.Place{})
		if v.Const != nil {
			pl.setConst(at[i], v.Const)
		}
	}
	return at
}

// moved is a node of a nested program with its slots renumbered.
func moved(n *lower.Node, at []int) *lower.Node {
	renumber := func(list []int) []int {
		out := make([]int, len(list))
		for i, s := range list {
			if out[i] = -1; s >= 0 {
				out[i] = at[s]
			}
		}
		return out
	}
	c := *n
	c.In, c.Out, c.Captured = renumber(n.In), renumber(n.Out), renumber(n.Captured)
	if n.Nested != nil {
		c.Nested = map[*graph.Graph][]int{}
		for g, s := range n.Nested {
			c.Nested[g] = renumber(s)
		}
	}
	return &c
}
