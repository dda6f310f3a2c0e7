package gpu

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// program is a compiled graph: copies of it on devices, and on the host where none can
// have it.
type program struct {
	dev *Device
	opt Options
	m   *model

	mu      sync.Mutex // derived
	derived derived
	consts  map[*tensor.Tensor]bool // the model's own

	// state is what the program runs on. A run holds a share of it; whoever places the
	// program anew waits for them.
	state struct {
		sync.RWMutex
		instances []*instance
		level     int      // which candidate layouts have been given up
		epoch     uint64   // devices that were lost when it was placed
		reason    error    // why there are no instances
		passed    []string // why candidates before this one were given up
		closed    bool
	}
	hostMu sync.Mutex
	onHost device.Program
}

// note remembers which constants are the model's.
func (p *program) note() {
	p.consts = map[*tensor.Tensor]bool{}
	for _, v := range p.m.values {
		if t := v.Tensor(); t != nil {
			p.consts[t] = true
		}
	}
}

// owns reports a constant whose uploads all plans share.
func (p *program) owns(t *tensor.Tensor) bool {
	if p.consts[t] {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.derived.m {
		if x == t {
			return true
		}
	}
	return false
}

// candidate is a way to place the program.
type candidate struct {
	layout  Layout
	groups  [][]*gpu
	partial bool
	chosen  bool // nobody asked for it: it is taken only where it is better
}

// candidates lists the ways in the order in which they are tried, by the memory that is
// free now.
func (p *program) candidates() (list []candidate, have int64, err error) {
	var gpus, roomy []*gpu
	need := p.m.constantBytes()
	for i, g := range p.dev.gpus {
		if len(p.opt.Devices) > 0 && !contains(p.opt.Devices, i) || g.lost.Load() != nil {
			continue
		}
		free, e := g.free()
		if e != nil {
			p.dev.blame(e)
			err = errors.Join(err, e)
			continue
		}
		gpus = append(gpus, g)
		have += roomOf(free)
		if roomOf(free) >= need {
			roomy = append(roomy, g)
		}
	}
	if len(gpus) == 0 {
		return nil, 0, errors.Join(err, p.dev.noneLeft())
	}
	alone := func(of []*gpu) (groups [][]*gpu) {
		for _, g := range of {
			groups = append(groups, []*gpu{g})
		}
		return groups
	}
	groups := func(width int) (out [][]*gpu) {
		if width <= 0 || width > len(gpus) {
			width = len(gpus)
		}
		for at := 0; at+width <= len(gpus); at += width {
			out = append(out, gpus[at:at+width])
		}
		return out
	}
	switch p.opt.Layout {
	case Whole:
		if len(roomy) > 0 {
			list = append(list, candidate{layout: Whole, groups: alone(roomy)})
		}
	case Stages, Split:
		list = append(list, candidate{layout: p.opt.Layout, groups: groups(p.opt.Width)})
	default:
		// A copy on each device would leave little room beside it; in parts the model is sooner done
		// with a request, too.
		large := true
		for _, g := range roomy {
			free, e := g.free()
			large = large && e == nil && need > roomOf(free)/2
		}
		for w := 2; w <= len(gpus) && large; w++ {
			if have*int64(w)/int64(len(gpus)) >= need {
				list = append(list, candidate{layout: Split, groups: groups(w), chosen: true})
			}
		}
		if len(roomy) > 0 {
			list = append(list, candidate{layout: Whole, groups: alone(roomy)})
		}
		for w := 2; w <= len(gpus); w++ {
			if have*int64(w)/int64(len(gpus)) >= need {
				list = append(list, candidate{layout: Stages, groups: groups(w)})
			}
		}
		if !p.opt.NoHost {
			list = append(list, candidate{layout: Stages, groups: groups(0), partial: true})
		}
	}
	return list, have, err
}

func contains(list []int, x int) bool {
	for _, v := range list {
		if v == x {
			return true
		}
	}
	return false
}

// settle places the program by the first candidate from level on that works, or leaves it
// to the host.
func (p *program) settle(level int) error {
	p.state.Lock()
	defer p.state.Unlock()
	return p.place(level)
}

// place does it with the state locked.
func (p *program) place(level int) error {
	st := &p.state
	for _, x := range st.instances {
		if err := x.close(); err != nil {
			p.dev.log.Warn("freeing a GPU's memory", "error", err)
		}
	}
	st.instances, st.epoch = nil, p.dev.epoch.Load()
	if level == 0 {
		st.passed = nil
	}
	list, have, err := p.candidates()
	for ; level < len(list); level++ {
		c := list[level]
		var made []*instance
		for _, group := range c.groups {
			x, e := newInstance(p, group, c)
			if e != nil {
				p.dev.blame(e)
				err = errors.Join(err, e)
				continue
			}
			made = append(made, x)
		}
		if len(made) > 0 {
			st.instances, st.level, st.reason = made, level, nil
			return nil
		}
	}
	st.level = level
	if err == nil {
		err = &noRoom{need: p.m.constantBytes(), have: have, devices: len(p.dev.gpus)}
	}
	st.reason = err
	if p.opt.NoHost {
		return fmt.Errorf("the GPUs can't have the model, and the host may not: %w", err)
	}
	p.dev.log.Warn("a model runs on the CPU", "graph", p.m.g.Name, "code", codeOf(err), "reason", err)
	return nil
}

// pick gives the instance with the fewest runs. The state is read-locked.
func (p *program) pick() *instance {
	var best *instance
	for _, x := range p.state.instances {
		if best == nil || x.inflight.Load() < best.inflight.Load() {
			best = x
		}
	}
	return best
}

// on runs f on an instance, and reports whether there was one.
func (p *program) on(f func(*instance) error) (tried bool, err error) {
	p.state.RLock()
	if p.state.epoch != p.dev.epoch.Load() && !p.state.closed {
		p.state.RUnlock()
		p.state.Lock()
		if p.state.epoch != p.dev.epoch.Load() {
			err = p.place(0)
		}
		p.state.Unlock()
		if err != nil {
			return false, err
		}
		p.state.RLock()
	}
	defer p.state.RUnlock()
	x := p.pick()
	if x == nil {
		return false, p.state.reason
	}
	x.inflight.Add(1)
	defer x.inflight.Add(-1)
	return true, f(x)
}

// attempt runs f on devices until it works: once more after a failure, and on other
// layouts while memory does not suffice, but only once if no plan can be made. devices is false if the host has to do it.
func (p *program) attempt(f func(*instance) error) (devices bool, err error) {
	var first error
	for failures := 0; failures < 2; {
		level := p.levelNow()
		tried, err := p.on(f)
		var mistake *modelError
		var broken *defect
		switch {
		case err == nil && tried:
			return true, nil
		case !tried:
			return false, errors.Join(first, err)
		case errors.As(err, &mistake) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
			return true, err
		case errors.As(err, &broken):
			return false, err
		}
		var poor *unsuited
		if errors.As(err, &poor) {
			p.dev.log.Info("a model is not split over GPUs", "graph", p.m.g.Name, "reason", err)
			if e := p.escalate(level, err); e != nil {
				return true, errors.Join(err, e)
			}
			continue
		}
		p.dev.blame(err)
		p.dev.log.Warn("a batch failed on a GPU", "graph", p.m.g.Name, "code", codeOf(err), "error", err)
		var room *noRoom
		if errors.Is(err, driver.OutOfMemory) || errors.As(err, &room) {
			if e := p.escalate(level, err); e != nil {
				return true, errors.Join(err, e)
			}
			continue
		}
		failures++
		if failures == 1 {
			first = err
			p.dev.stats.retries.Add(1)
		}
		if failures == 2 {
			return false, err
		}
	}
	return false, errors.New("BUG: gpu: no attempt was made")
}

func (p *program) levelNow() int {
	p.state.RLock()
	defer p.state.RUnlock()
	return p.state.level
}

// escalate gives a layout up for which memory does not suffice, or that is not worth it, unless
// somebody has.
func (p *program) escalate(level int, why error) error {
	p.state.Lock()
	defer p.state.Unlock()
	if p.state.level > level {
		return nil
	}
	layout := Whole
	if len(p.state.instances) > 0 {
		layout = p.state.instances[0].layout
	}
	p.state.passed = append(p.state.passed, fmt.Sprintf("not %v: %v", layout, why))
	return p.place(level + 1)
}

// Run implements device.Program.
func (p *program) Run(ctx context.Context, call *device.Call) error {
	if len(call.In) != len(p.m.in) {
		return fmt.Errorf("%d inputs, the graph has %d", len(call.In), len(p.m.in))
	}
	devices, err := p.attempt(func(x *instance) error { return x.run(ctx, call) })
	if devices {
		return plain(err)
	}
	if p.opt.NoHost {
		return Coded(err)
	}
	p.dev.stats.fallbacks.Add(1)
	prog, e := p.hostProgram()
	if e != nil {
		return e
	}
	return prog.Run(ctx, call)
}

// plain takes the mark off an error of the model, and gives one of the devices its code.
func plain(err error) error {
	var m *modelError
	if errors.As(err, &m) {
		return m.error
	}
	return Coded(err)
}

// Prepare implements device.Program.
func (p *program) Prepare(in []tensor.Value) error {
	if len(in) != len(p.m.in) {
		return fmt.Errorf("%d inputs, the graph has %d", len(in), len(p.m.in))
	}
	devices, err := p.attempt(func(x *instance) error { return x.prepare(in) })
	if devices {
		return plain(err)
	}
	if p.opt.NoHost {
		return Coded(err)
	}
	prog, e := p.hostProgram()
	if e != nil {
		return e
	}
	return prog.Prepare(in)
}

// Parallel is how many runs the devices take at once.
func (p *program) Parallel() int {
	p.state.RLock()
	defer p.state.RUnlock()
	return max(len(p.state.instances), 1) * p.dev.cfg.Lanes
}

// hostProgram compiles the whole graph for the host, once.
func (p *program) hostProgram() (device.Program, error) {
	p.hostMu.Lock()
	defer p.hostMu.Unlock()
	if p.onHost != nil {
		return p.onHost, nil
	}
	prog, err := p.dev.host.Compile(p.m.g)
	if err == nil {
		p.onHost = prog
	}
	return prog, err
}

// WeightBytes implements device.Program: what lies on devices counts as owned.
func (p *program) WeightBytes() (own, mapped int64) {
	p.state.RLock()
	for _, x := range p.state.instances {
		own += x.weightBytes()
	}
	p.state.RUnlock()
	return own, p.m.constantBytes()
}

// Close implements device.Program.
func (p *program) Close() error {
	p.state.Lock()
	p.state.closed = true
	var err error
	for _, x := range p.state.instances {
		err = errors.Join(err, x.close())
	}
	p.state.instances, p.state.reason = nil, errors.New("the program is closed")
	p.state.Unlock()
	p.hostMu.Lock()
	defer p.hostMu.Unlock()
	if p.onHost != nil {
		err = errors.Join(err, p.onHost.Close())
		p.onHost = nil
	}
	return err
}
