package cpu

import (
	"slices"

	"github.com/aimass/aimass/runtime/tensor"
)

// growing watches the state of a loop's body. What a loop collects in its state has another shape in each
// iteration, and a plan for each would cost more than the iteration. If such a value is only moved
// about, plans leave its shape open: its few nodes run through Eval, and one plan does for all iterations.
type growing struct {
	from, to int            // the inputs that are state
	last     []tensor.Shape // of each input, when a plan was last made
	changes  []int          // how often a plan was made because of that input, among others
	open     []bool         // nil: none
}

// growthSeen is the number of plans that an input's changes have called for when it is left open.
const growthSeen = 4

// arranges are the operators that may meet a value whose shape is open: none computes with it.
var arranges = set("Concat", "Shape", "Size", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Gather", "Slice")

// watch notes the inputs that a plan is to be made for, and reports whether another input has been
// left open. The lock of the program's waiting is held.
func (p *program) watch(in []tensor.Value) bool {
	w := p.growing
	if w == nil {
		return false
	}
	if w.last == nil {
		w.last, w.changes = make([]tensor.Shape, len(in)), make([]int, len(in))
	}
	found := false
	for i, v := range in[w.from:w.to] {
		i += w.from
		t, ok := v.(*tensor.Tensor)
		if !ok || w.open != nil && w.open[i] {
			continue
		}
		if w.last[i] != nil && !w.last[i].Equal(t.Shape) {
			w.changes[i]++
		}
		w.last[i] = t.Shape.Clone()
		if w.changes[i] < growthSeen || !p.arranged(i) {
			continue
		}
		w.open = slices.Clone(w.open) // plans under way read the one before
		if w.open == nil {
			w.open = make([]bool, len(in))
		}
		w.open[i], found = true, true
	}
	if found {
		for k, pl := range p.plans {
			pl.drop()
			delete(p.plans, k)
		}
	}
	return found
}

// arranged reports whether nothing computes with the value of a slot, nor with what is made of it.
func (p *program) arranged(slot int) bool {
	reach := map[int]bool{slot: true}
	for _, n := range p.nodes {
		if slices.ContainsFunc(n.Captured, func(s int) bool { return reach[s] }) {
			return false
		}
		if !slices.ContainsFunc(n.In, func(s int) bool { return reach[s] }) {
			continue
		}
		if !arranges[n.OpName()] {
			return false
		}
		for _, s := range n.Out {
			reach[s] = true
		}
	}
	return true
}
