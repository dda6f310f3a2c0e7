package cpu

import (
	"context"
	"fmt"
	"sync"

	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// program is a compiled graph. Slots number its values: inputs, constants, results.
type program struct {
	dev    *Device
	g      *graph.Graph
	in     []*graph.Value // formal inputs, then captured values of a nested graph
	nodes  []*lower.Node
	out    []int
	slot   map[*graph.Value]int
	values []*graph.Value            // by slot
	sub    []*program                // of the graphs nested in this one
	tree   map[*graph.Graph]*program // of all graphs of the model

	plans    map[string]*plan
	maxPlans int
	clock    int64
	packed   *lower.Packed
	waiting  *waiting
	rows     bool     // of a batch are independent
	growing  *growing // nil but for bodies of loops
}

// waiting is what the states hold that wait for runs, of a program and of the parts of its
// plans that are planned later. The lock is that of their plans too.
type waiting struct {
	mu   sync.Mutex
	kept int // bytes of the states' arenas
}

func (p *program) addSlot(v *graph.Value) int {
	i := len(p.values)
	p.slot[v] = i
	p.values = append(p.values, v)
	return i
}

// use gives the slot of a value that is read; constants get theirs on first use.
func (p *program) use(v *graph.Value) int {
	if v == nil {
		return -1
	}
	if i, ok := p.slot[v]; ok {
		return i
	}
	return p.addSlot(v)
}

// Run implements device.Program.
func (p *program) Run(ctx context.Context, call *device.Call) error {
	select {
	case p.dev.slots <- struct{}{}:
	default:
		select {
		case p.dev.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := p.run(ctx, call)
	<-p.dev.slots
	return err
}

// Prepare implements device.Program.
func (p *program) Prepare(in []tensor.Value) error {
	if len(in) != len(p.in) {
		return fmt.Errorf("%d inputs, the graph has %d", len(in), len(p.in))
	}
	pl, err := p.planFor(in)
	if err != nil {
		return err
	}
	c, err := pl.cut(in)
	if err != nil {
		return err
	}
	if c != nil {
		if count, rows := c.split(batchOf(in), p.dev.cfg.Threads); count > 1 {
			if pl, err = p.planFor(rowsOf(in, 0, rows)); err != nil {
				return err
			}
		}
	}
	pl.recycle(pl.acquire())
	return nil
}

func (p *program) run(ctx context.Context, call *device.Call) error {
	if len(call.In) != len(p.in) {
		return fmt.Errorf("%d inputs, the graph has %d", len(call.In), len(p.in))
	}
	pl, err := p.planFor(call.In)
	if err != nil {
		return err
	}
	c, err := pl.cut(call.In)
	if err != nil {
		return err
	}
	if c != nil {
		threads := p.dev.share(p.dev.threads(call))
		if count, rows := c.split(batchOf(call.In), threads); count > 1 {
			return p.runParts(ctx, call, c, threads, count, rows)
		}
	}
	return pl.run(ctx, call)
}

// run runs the plan whole.
func (pl *plan) run(ctx context.Context, call *device.Call) error {
	e := pl.acquire()
	if err := e.run(ctx, call); err != nil {
		pl.recycle(e)
		return err
	}
	call.Out = append(call.Out[:0], e.outs...)
	call.Hold(e)
	return nil
}

// planFor finds or makes the plan for the shapes of these inputs.
func (p *program) planFor(in []tensor.Value) (*plan, error) {
	var buf [256]byte
	open := p.open()
	key := device.AppendShapeKey(buf[:0], in, open)
	p.waiting.mu.Lock()
	p.clock++
	if pl := p.plans[string(key)]; pl != nil {
		pl.used = p.clock
		p.waiting.mu.Unlock()
		return pl, nil
	}
	if p.watch(in) {
		open = p.open()
		key = device.AppendShapeKey(buf[:0], in, open)
	}
	p.waiting.mu.Unlock()
	pl, err := newPlan(p, in, open)
	if err != nil {
		return nil, err
	}
	p.waiting.mu.Lock()
	defer p.waiting.mu.Unlock()
	if have := p.plans[string(key)]; have != nil {
		return have, nil
	}
	if len(p.plans) >= p.maxPlans {
		p.dropOldest()
	}
	pl.used = p.clock
	p.plans[string(key)] = pl
	return pl, nil
}

func (p *program) dropOldest() {
	oldest, at := "", int64(1<<62)
	for k, pl := range p.plans {
		if pl.used < at {
			oldest, at = k, pl.used
		}
	}
	p.plans[oldest].drop()
	delete(p.plans, oldest)
}

// keptPart is the part of Config.MaxBytes that waiting states may hold: a client that
// sends ever new shapes must not fill the memory with arenas.
const keptPart = 4

// shrink drops the waiting states of the least recently used plans but one, until the
// rest is within its part.
func (p *program) shrink(but *plan) {
	for p.waiting.kept > p.dev.cfg.MaxBytes/keptPart {
		var oldest *plan
		for _, pl := range p.plans {
			if pl != but && pl.waits() && (oldest == nil || pl.used < oldest.used) {
				oldest = pl
			}
		}
		if oldest == nil {
			return
		}
		oldest.clear()
	}
}

// waits reports that a plan has waiting states that hold memory.
func (pl *plan) waits() bool {
	if len(pl.free) > 0 && pl.arena > 0 {
		return true
	}
	if pl.later != nil {
		for _, part := range pl.later.program.plans {
			if part.waits() {
				return true
			}
		}
	}
	return false
}

// clear drops a plan's waiting states, drop those to come too. The lock is held.
func (pl *plan) clear() {
	pl.p.waiting.kept -= pl.arena * len(pl.free)
	pl.free = nil
	if pl.later != nil {
		for _, part := range pl.later.program.plans {
			part.clear()
		}
	}
}

func (pl *plan) drop() {
	pl.clear()
	pl.gone = true
	if pl.later != nil {
		for _, part := range pl.later.program.plans {
			part.drop()
		}
	}
}

// WeightBytes implements device.Program.
func (p *program) WeightBytes() (owned, mapped int64) {
	for _, v := range p.values {
		if t := v.Tensor(); t != nil {
			mapped += int64(t.Size())
		}
	}
	for _, s := range p.sub {
		o, m := s.WeightBytes()
		owned, mapped = owned+o, mapped+m
	}
	return owned + p.packed.Bytes(), mapped
}

// Close implements device.Program.
func (p *program) Close() error {
	p.waiting.mu.Lock()
	defer p.waiting.mu.Unlock()
	for _, pl := range p.plans {
		pl.drop()
	}
	p.plans = map[string]*plan{}
	return nil
}
