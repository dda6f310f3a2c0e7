package cpu

import (
	"slices"
	"sync/atomic"

	"github.com/aimass/aimass/runtime/tensor"
)

// growing watches the state of a loop's body. What a loop collects in its state has another shape in each
// iteration, and a plan for each would cost more than the iteration. If such a value is only moved
// about, plans leave its shape open: its few nodes run through Eval, and one plan does for all iterations.
type growing struct {
	from, to int            // the inputs that are state
	last     []tensor.Shape // of each input, when a plan was last made
	changes  []int          // how often a plan was made because of that input, among others
	open     atomic.Pointer[[]bool]
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
	open, found := slices.Clone(p.open()), false // plans under way read the one before
	if open == nil {
		open = make([]bool, len(in))
	}
	for i, v := range in[w.from:w.to] {
		i += w.from
		t, ok := v.(*tensor.Tensor)
		if !ok || open[i] {
			continue
		}
		if w.last[i] != nil && !w.last[i].Equal(t.Shape) {
			w.changes[i]++
		}
		w.last[i] = t.Shape.Clone()
		if w.changes[i] < growthSeen || !p.arranged(i) {
			continue
		}
		open[i], found = true, true
	}
	if found {
		w.open.Store(&open)
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

// open says which inputs' shapes plans leave open, nil for none. It needs no lock: a plan that is made by what it said
// before is only one more.
func (p *program) open() []bool {
	if p.growing == nil {
		return nil
	}
	if open := p.growing.open.Load(); open != nil {
		return *open
	}
	return nil
}
