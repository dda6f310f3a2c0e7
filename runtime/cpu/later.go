package cpu

import (
	"slices"

	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// later is deferred planning: the part of a plan that is planned by itself while the plan runs, once shapes
// are known that depend on data: how many boxes a detector has found, say. Its program has
// the folded constants of its plan, so that it belongs to that plan alone.
type later struct {
	node    *lower.Node // stands for it in the plan's work
	program *program
	nodes   []*lower.Node // of the plan
}

// laterPlans bounds the plans of a program that is planned later: their shapes are seldom
// seen twice.
const laterPlans = 2

// postpone finds the nodes whose work is worth kernels but whose inputs' shapes depend on
// data, takes them and what reads their results out of the plan's work, and puts one node in
// their place. What else depends on data runs through Eval.
func (pl *plan) postpone() {
	unknown, taken := map[int]bool{}, map[int]bool{} // slots
	var now, then []*lower.Node
	for _, n := range pl.Work {
		reads := slices.Concat(n.In, n.Captured)
		take := slices.ContainsFunc(reads, func(s int) bool { return taken[s] }) ||
			lower.Heavy(n.OpName()) && slices.ContainsFunc(reads, func(s int) bool { return unknown[s] })
		if take {
			then = append(then, n)
		} else {
			now = append(now, n)
		}
		for _, s := range n.Out {
			if s >= 0 {
				taken[s], unknown[s] = take, !pl.Info[s].Known
			}
		}
	}
	if len(then) == 0 {
		return
	}
	l := &later{program: pl.p.part(), nodes: then}
	at := make([]int, len(pl.Info)) // slots of the part
	for i := range at {
		at[i] = -1
	}
	stand := &graph.Node{Name: "(later)", Op: "Later", Domain: "aimass"}
	l.node = &lower.Node{Node: stand}
	for _, n := range then {
		for _, s := range slices.Concat(n.In, n.Captured) {
			if s >= 0 && !taken[s] && at[s] < 0 && pl.Info[s].Const == nil {
				at[s] = l.program.addSlot(&graph.Value{})
				l.node.In = append(l.node.In, s)
				stand.In = append(stand.In, &graph.Value{})
			}
		}
	}
	l.program.in = l.program.values[:len(l.program.values):len(l.program.values)]
	for _, n := range then {
		for _, s := range slices.Concat(n.In, n.Captured, n.Out) {
			if s >= 0 && at[s] < 0 {
				at[s] = l.program.addSlot(&graph.Value{Const: pl.Info[s].Const})
			}
		}
		l.program.nodes = append(l.program.nodes, moved(n, at))
	}
	for _, s := range pl.Out {
		if taken[s] && !slices.Contains(l.node.Out, s) {
			l.node.Out = append(l.node.Out, s)
			stand.Out = append(stand.Out, &graph.Value{Name: "result"})
			l.program.out = append(l.program.out, at[s])
		}
	}
	pl.later, pl.Work = l, append(now, l.node)
}

// part makes an empty program for some nodes of p, which shares with it what is packed, the
// nested graphs, and the bound of what waiting states hold.
func (p *program) part() *program {
	return &program{dev: p.dev, g: p.g, slot: map[*graph.Value]int{}, plans: map[string]*plan{}, tree: p.tree, packed: p.packed, waiting: p.waiting, maxPlans: laterPlans}
}

// runLater runs what was planned later.
func (e *exec) runLater() error {
	l := e.pl.later
	call := &device.Call{Threads: e.Threads}
	for _, s := range l.node.In {
		call.In = append(call.In, e.Values[s])
	}
	if err := l.program.run(e.ctx, call); err != nil {
		return err
	}
	defer call.Release()
	out := make([]tensor.Value, len(call.Out))
	for i, v := range call.Out {
		out[i] = tensor.CloneValue(v)
	}
	return e.store(l.node, out)
}
