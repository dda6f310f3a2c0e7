package cpu

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Path is how the device runs an operator.
type Path uint8

// The paths. Fast and View depend on a node's types, shapes and attributes too; where they
// do not take a node, it goes through Eval.
const (
	Eval Path = iota // the operator's plain Go
	Fast             // kernels
	View             // no work: the memory is shared
)

// String names the path.
func (p Path) String() string { return [...]string{"eval", "fast", "view"}[p] }

// PathOf is the best path that there is for an operator, by qualified name.
func PathOf(op string) Path {
	switch {
	case lower.Fast(op):
		return Fast
	case lower.View(op):
		return View
	}
	return Eval
}

// Description tells how a program runs inputs of certain shapes.
type Description struct {
	// Steps are in the order in which they run.
	Steps []DescribedStep
	// Folded are nodes of the main graph that do not run: their results are constant under
	// these shapes, or they are an If whose branch became part of the plan.
	Folded []*graph.Node
	// ArenaBytes is the memory of one run in flight, besides inputs and what Eval makes.
	ArenaBytes int
	// Info tells type and shape of every value of the main graph and of such branches.
	Info map[*graph.Value]ops.Info
	// Later are the nodes that are planned while the plan runs, when shapes that depend on
	// data are known.
	Later []*graph.Node
	// Nested is the number of nodes in nested graphs that are planned when they run.
	Nested int
}

// DescribedStep is one step of a plan and the nodes that it replaces, in their order.
type DescribedStep struct {
	Kernel string
	Path   Path
	Nodes  []*graph.Node
}

// Describe plans a program that this device compiled for inputs of these types and shapes,
// and tells the outcome. The elements are not looked at. It errs as Prepare does.
func Describe(prog device.Program, in []tensor.Value) (*Description, error) {
	p, ok := prog.(*program)
	if !ok {
		return nil, fmt.Errorf("a %T is no program of the CPU device", prog)
	}
	if len(in) != len(p.in) {
		return nil, fmt.Errorf("%d inputs, the graph has %d", len(in), len(p.in))
	}
	pl, err := p.planFor(in)
	if err != nil {
		return nil, err
	}
	d := &Description{ArenaBytes: pl.arena, Info: map[*graph.Value]ops.Info{}}
	for i, v := range p.values {
		d.Info[v] = pl.Info[i]
	}
	runs := map[*graph.Node]bool{}
	work := pl.Work
	if pl.later != nil {
		work = slices.Concat(work, pl.later.nodes)
		for _, n := range pl.later.nodes {
			d.Later = append(d.Later, n.Node)
		}
	}
	for _, n := range work {
		runs[n.Node] = true
		d.values(pl, n)
		for _, g := range n.Subgraphs() {
			_ = g.Walk(func(*graph.Node) error { d.Nested++; return nil })
		}
	}
	for i := range pl.steps {
		s := &pl.steps[i]
		if pl.later != nil && s.Node == pl.later.node {
			continue
		}
		ds := DescribedStep{Kernel: s.Kernel(), Path: Fast}
		switch ds.Kernel {
		case "eval":
			ds.Path = Eval
		case "view":
			ds.Path = View
		}
		for _, n := range s.Nodes {
			ds.Nodes = append(ds.Nodes, n.Node)
		}
		d.Steps = append(d.Steps, ds)
	}
	for _, n := range p.nodes {
		if !runs[n.Node] {
			d.Folded = append(d.Folded, n.Node)
		}
	}
	return d, nil
}

// values notes what is known of a node's values: those of branches that became part of the
// plan have slots that the program does not know.
func (d *Description) values(pl *plan, n *lower.Node) {
	note := func(list []*graph.Value, slots []int) {
		for i, v := range list {
			if v != nil && slots[i] >= 0 {
				d.Info[v] = pl.Info[slots[i]]
			}
		}
	}
	note(n.Node.In, n.In)
	note(n.Node.Out, n.Out)
}
