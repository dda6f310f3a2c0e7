package cpu

import (
	"fmt"
	"sync"

	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// plan is a program specialised for one set of input shapes.
type plan struct {
	lower.Plan
	p     *program
	steps []lower.Step
	arena int // bytes
	// constants is what inference has made for this plan, in bytes.
	constants int
	used      int64
	later     *later // nil if all shapes are known

	cutting sync.Once
	parts   *parts // nil: the batch runs whole
	uncut   error

	// free are states that wait for a run; gone says that the program has dropped the
	// plan. Both are under the lock of the program's waiting.
	free []*exec
	gone bool
}

// newPlan plans for the shapes of these inputs, but of those that are open (see growing).
func newPlan(p *program, in []tensor.Value, open []bool) (pl *plan, err error) {
	pl = &plan{p: p}
	pl.Info, pl.Place, pl.Out = make([]ops.Info, len(p.values)), make([]lower.Place, len(p.values)), p.out
	pl.Packed, pl.Plain = p.packed, p.dev.cfg.NoLowering
	for i, v := range p.values {
		if v.Const != nil {
			pl.setConst(i, v.Const)
		}
	}
	for i, v := range in {
		pl.Place[i].Kind = lower.Input
		pl.Info[i] = ops.Info{Present: true}
		if t, ok := v.(*tensor.Tensor); ok {
			pl.Info[i].DType = t.DType
			if open == nil || !open[i] {
				pl.Info[i].Known, pl.Info[i].Shape = true, t.Shape.Clone()
			}
		}
	}
	var at *lower.Node
	defer func() {
		// As in a run: shapes that a rule did not expect must not take the server down.
		if r := recover(); r != nil && at != nil {
			pl, err = nil, panicked(at, r)
		} else if lost, ok := r.(*tensor.Lost); ok {
			pl, err = nil, &fault{lost}
		} else if r != nil {
			pl, err = nil, &fault{fmt.Errorf("BUG: planning a run: %v", r)}
		}
	}()
	for _, at = range p.nodes {
		if err := pl.infer(at); err != nil {
			return nil, device.Refused(fmt.Errorf("node %s (%s): %w", at.Label(), at.OpName(), err), true)
		}
	}
	at = nil
	if !pl.Plain {
		pl.postpone()
		if err := pl.widen(); err != nil {
			return nil, err
		}
	}
	pl.steps = lower.Steps(&pl.Plan)
	for _, s := range pl.Out {
		if t := pl.Info[s].Tensor(); t != nil {
			t.Bytes() // whoever reads results must find them
		}
	}
	pl.layout()
	if limit := p.dev.cfg.MaxBytes; pl.arena > limit {
		return nil, ops.TooLargef("the values of one run would take %d bytes, beyond the limit of %d", pl.arena, limit)
	}
	return pl, nil
}

func (pl *plan) setConst(slot int, v tensor.Value) {
	pl.Place[slot].Kind = lower.Const
	pl.Info[slot] = ops.ConstInfo(v)
}

// infer says what is known of the node's outputs; what is not constant becomes work.
func (pl *plan) infer(n *lower.Node) error {
	if done, err := pl.branch(n); done || err != nil {
		return err
	}
	in := make([]ops.Info, len(n.In))
	for i, s := range n.In {
		if s >= 0 {
			in[i] = pl.Info[s]
		}
	}
	out, err := ops.Infer(n.Form, n.Node, in)
	if err != nil {
		return err
	}
	for i := range out {
		if pl.constants += out[i].Size(); pl.constants > ops.MaxConstants {
			out[i].Const = nil
		}
	}
	folded := len(n.Out) > 0
	for i, s := range n.Out {
		switch {
		case s < 0:
		case out[i].Const != nil:
			pl.setConst(s, out[i].Const)
		default:
			folded = false
			if err := pl.affordable(i, out[i]); err != nil {
				return err
			}
			pl.Info[s] = out[i]
			if t := out[i]; t.Known && t.DType != tensor.String && t.DType != tensor.Invalid {
				pl.Place[s].Kind = lower.InArena
			}
		}
	}
	if !folded {
		pl.Work = append(pl.Work, n)
	}
	return nil
}

// affordable refuses a planned output that is beyond the memory of one run.
func (pl *plan) affordable(i int, x ops.Info) error {
	if !x.Known {
		return nil
	}
	if err := x.Shape.Check(); err != nil {
		return fmt.Errorf("output %d: %w", i, err)
	}
	if limit := pl.p.dev.cfg.MaxBytes; x.DType.Bytes(x.Shape.Elements()) > limit {
		return ops.TooLargef("output %d would be %v%v, beyond the limit of %d bytes", i, x.DType, x.Shape, limit)
	}
	return nil
}

// acquire gives an execution state; recycle takes it back.
func (pl *plan) acquire() *exec {
	w := pl.p.waiting
	w.mu.Lock()
	if n := len(pl.free); n > 0 {
		e := pl.free[n-1]
		pl.free = pl.free[:n-1]
		w.kept -= pl.arena
		w.mu.Unlock()
		return e
	}
	w.mu.Unlock()
	return newExec(pl)
}

func (pl *plan) recycle(e *exec) {
	e.reset()
	p := pl.p
	p.waiting.mu.Lock()
	defer p.waiting.mu.Unlock()
	if pl.gone || len(pl.free) >= cap(p.dev.slots) {
		return
	}
	pl.free = append(pl.free, e)
	if p.waiting.kept += pl.arena; p.waiting.kept > p.dev.cfg.MaxBytes/keptPart {
		p.shrink(pl)
	}
}
