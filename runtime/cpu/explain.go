package cpu

import (
	"fmt"
	"sort"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// StepInfo tells how one piece of a program runs.
type StepInfo struct {
	// Nodes are the graph's nodes that the step stands for, in the order in which they
	// would run one by one.
	Nodes []*graph.Node
	// Lowered is false where the operator's Eval runs.
	Lowered bool
}

// Explain tells what a program of this device does with inputs of these types and
// shapes, step by step. Nodes that are computed when the plan is made are left out.
func Explain(p device.Program, in []tensor.Value) ([]StepInfo, error) {
	q, ok := p.(*program)
	if !ok {
		return nil, fmt.Errorf("%T is no program of the CPU", p)
	}
	if len(in) != len(q.in) {
		return nil, fmt.Errorf("%d inputs, the graph has %d", len(in), len(q.in))
	}
	pl, err := q.planFor(in)
	if err != nil {
		return nil, err
	}
	out := make([]StepInfo, len(pl.steps))
	for i := range pl.steps {
		s := &pl.steps[i]
		list := append([]int{}, s.Nodes...)
		sort.Ints(list)
		out[i].Lowered = s.Run != nil
		for _, k := range list {
			out[i].Nodes = append(out[i].Nodes, pl.Work[k].Node)
		}
	}
	return out, nil
}
