package cpu

import (
	"fmt"
	"sync"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// step is one piece of work of a plan: one node, or several that were fused into one.
type step struct {
	node *node // the first, for error texts
	// reads and writes are slots, for the layout of the arena.
	reads, writes []int
	run           func(e *exec, s *step) error
}

// plan is a program specialised for one set of input shapes.
type plan struct {
	p     *program
	info  []ops.Info // by slot
	place []place    // by slot
	work  []*node    // what is left to do when constants are folded
	steps []step
	arena int // bytes
	used  int64

	mu   sync.Mutex
	free []*exec
}

// place says where a slot's value lives.
type place struct {
	kind   placeKind
	offset int // inArena
	of     int // alias: the slot whose memory is viewed
}

type placeKind uint8

const (
	onHeap  placeKind = iota // made by Eval as it runs
	inArena                  // planned
	alias                    // same memory as another slot, other shape
	isInput
	isConst
)

func newPlan(p *program, in []tensor.Value) (*plan, error) {
	pl := &plan{p: p, info: make([]ops.Info, len(p.values)), place: make([]place, len(p.values))}
	for i, v := range p.values {
		if v.Const != nil {
			pl.setConst(i, v.Const)
		}
	}
	for i, v := range in {
		pl.place[i].kind = isInput
		pl.info[i] = ops.Info{Present: true}
		if t, ok := v.(*tensor.Tensor); ok {
			pl.info[i] = ops.Info{Present: true, DType: t.DType, Known: true, Shape: t.Shape.Clone()}
		}
	}
	for _, n := range p.nodes {
		if err := pl.infer(n); err != nil {
			return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
		}
	}
	pl.lower()
	pl.layout()
	return pl, nil
}

func (pl *plan) setConst(slot int, v tensor.Value) {
	pl.place[slot].kind = isConst
	pl.info[slot] = ops.ConstInfo(v)
}

// infer says what is known of the node's outputs; what is not constant becomes work.
func (pl *plan) infer(n *node) error {
	in := make([]ops.Info, len(n.in))
	for i, s := range n.in {
		if s >= 0 {
			in[i] = pl.info[s]
		}
	}
	out, err := ops.Infer(n.op, n.Node, in)
	if err != nil {
		return err
	}
	folded := len(n.out) > 0
	for i, s := range n.out {
		switch {
		case s < 0:
		case out[i].Const != nil:
			pl.setConst(s, out[i].Const)
		default:
			folded = false
			pl.info[s] = out[i]
			if t := out[i]; t.Known && t.DType != tensor.String && t.DType != tensor.Invalid {
				pl.place[s].kind = inArena
			}
		}
	}
	if !folded {
		pl.work = append(pl.work, n)
	}
	return nil
}

// acquire gives an execution state; recycle takes it back.
func (pl *plan) acquire() *exec {
	pl.mu.Lock()
	if n := len(pl.free); n > 0 {
		e := pl.free[n-1]
		pl.free = pl.free[:n-1]
		pl.mu.Unlock()
		return e
	}
	pl.mu.Unlock()
	return newExec(pl)
}

func (pl *plan) recycle(e *exec) {
	e.reset()
	pl.mu.Lock()
	if len(pl.free) < cap(pl.p.dev.slots) {
		pl.free = append(pl.free, e)
	}
	pl.mu.Unlock()
}
