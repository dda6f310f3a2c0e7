package cpu

import (
	"fmt"
	"sync"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// step is one piece of work of a plan.
type step struct {
	node *node
	run  func(e *exec, s *step) error
}

// plan is a program specialised for one set of input shapes.
type plan struct {
	p     *program
	info  []ops.Info // by slot
	place []place    // by slot
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
		if err := pl.addNode(n); err != nil {
			return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
		}
	}
	pl.layout()
	return pl, nil
}

func (pl *plan) setConst(slot int, v tensor.Value) {
	pl.place[slot].kind = isConst
	pl.info[slot] = ops.ConstInfo(v)
}

// addNode infers the node's outputs; what is not constant then gets a place and a step.
func (pl *plan) addNode(n *node) error {
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
		pl.steps = append(pl.steps, pl.lower(n))
	}
	return nil
}

// lower chooses the step for a node.
func (pl *plan) lower(n *node) step {
	if run, ok := pl.lowerView(n); ok {
		return step{n, run}
	}
	if !pl.p.dev.cfg.NoLowering {
		if f := lowerings[n.OpName()]; f != nil {
			if run := f(pl, n); run != nil {
				return step{n, run}
			}
		}
	}
	return step{n, (*exec).eval}
}

// views only change the shape: no work, the memory is shared.
var views = map[string]bool{"Reshape": true, "Squeeze": true, "Unsqueeze": true, "Flatten": true, "Identity": true}

func (pl *plan) lowerView(n *node) (func(*exec, *step) error, bool) {
	if !views[n.OpName()] || len(n.out) == 0 || n.out[0] < 0 || n.in[0] < 0 {
		return nil, false
	}
	in, out := n.in[0], n.out[0]
	src, dst := pl.info[in], pl.info[out]
	if pl.place[out].kind != inArena || !src.Known || src.DType != dst.DType || src.DType.Bits() < 8 ||
		src.Shape.Elements() != dst.Shape.Elements() || pl.place[in].kind == onHeap {
		return nil, false
	}
	pl.place[out] = place{kind: alias, of: in}
	return func(e *exec, s *step) error {
		e.headers[out].View(dst.DType, dst.Shape, e.tensor(in).Bytes())
		return nil
	}, true
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
