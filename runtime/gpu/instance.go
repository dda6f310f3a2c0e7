package gpu

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// instance is one copy of a program's weights, on one device or several.
type instance struct {
	p      *program
	gpus   []*gpu
	lanes  [][]*lane // by device
	layout Layout
	room   []int64
	// partial lets the host take what finds no room in Stages; chosen is the candidate's.
	partial, chosen bool

	inflight atomic.Int32
	turn     atomic.Uint32

	mu      sync.Mutex
	weights []map[*tensor.Tensor]weight // by device
	plans   map[string]*prepared
	defects map[string]*defect // instead of plans that could not be made
	clock   int64
	closed  bool
}

// weight is a constant of the program's on a device.
type weight struct {
	at    cuda.Ptr
	bytes int64
}

// prepared is a plan with what it has on the devices, one track a lane.
type prepared struct {
	*plan
	inst   *instance
	used   int64
	tracks []*track
	fixed  []map[int]cuda.Ptr // by device: slot → its constant
	own    []owned            // constants of this plan alone

	mu   sync.Mutex
	free []*results
	dead bool
}

// owned is memory of a device.
type owned struct {
	device int
	at     cuda.Ptr
}

func newInstance(p *program, gpus []*gpu, c candidate) (*instance, error) {
	x := &instance{p: p, gpus: gpus, layout: c.layout, partial: c.partial, chosen: c.chosen, plans: map[string]*prepared{}, defects: map[string]*defect{}}
	for i, g := range gpus {
		if err := g.open(p.dev.cfg.Lanes); err != nil {
			for _, h := range gpus[:i] {
				err = errors.Join(err, h.leave())
			}
			return nil, err
		}
		g.enter()
		x.lanes = append(x.lanes, g.lanes)
		x.weights = append(x.weights, map[*tensor.Tensor]weight{})
		free, err := g.free()
		if err != nil {
			return nil, errors.Join(err, x.close())
		}
		x.room = append(x.room, roomOf(free))
	}
	return x, nil
}

// roomOf is what constants may take of free memory; the rest is for values and modules.
func roomOf(free int64) int64 { return free - free/8 }

// planFor finds or makes the plan for the shapes of these inputs.
func (x *instance) planFor(in []tensor.Value) (*prepared, error) {
	var buf [256]byte
	key := device.AppendShapeKey(buf[:0], in, nil)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, errLost
	}
	x.clock++
	if pl := x.plans[string(key)]; pl != nil {
		pl.used = x.clock
		return pl, nil
	}
	if d := x.defects[string(key)]; d != nil {
		return nil, d
	}
	var pl *prepared
	err := x.p.guarded(func() (err error) { pl, err = x.plan(in); return err })
	if err != nil {
		if d, ok := err.(*defect); ok {
			if len(x.defects) >= x.p.dev.cfg.MaxPlans {
				clear(x.defects)
			}
			x.defects[string(key)] = d
		}
		return nil, err
	}
	pl.used = x.clock
	if len(x.plans) >= x.p.dev.cfg.MaxPlans {
		if err := x.dropOldest(); err != nil {
			return nil, err
		}
	}
	x.plans[string(key)] = pl
	return pl, nil
}

// plan makes a plan and uploads the constants that it needs. x is locked.
func (x *instance) plan(in []tensor.Value) (*prepared, error) {
	inf, err := x.p.m.infer(in, x.p.dev.cfg.MaxBytes)
	if err != nil {
		return nil, &modelError{device.Refused(err, true)}
	}
	pl, err := x.place(inf)
	if err != nil {
		return nil, err
	}
	pp := &prepared{plan: pl, inst: x, tracks: make([]*track, x.p.dev.cfg.Lanes)}
	for d := range x.gpus {
		pp.fixed = append(pp.fixed, map[int]cuda.Ptr{})
		for k := range pl.phases {
			for _, o := range pl.phases[k].parts[d].ops {
				for _, s := range o.in {
					if err := x.upload(pp, d, s); err != nil {
						return nil, errors.Join(err, pp.drop())
					}
				}
			}
		}
	}
	for k := range pp.tracks {
		pp.tracks[k] = newTrack(pp, k)
	}
	return pp, nil
}

// place makes the plan; what it derives of the constants is the program's.
func (x *instance) place(inf *inference) (*plan, error) {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	return place(x.p.m, inf, x, &x.p.derived)
}

// upload brings the constant behind a slot to device d. What belongs to the program is
// shared by its plans.
func (x *instance) upload(pp *prepared, d, slot int) error {
	slot, _ = pp.root(slot)
	t := pp.tensor(slot)
	if t == nil || pp.fixed[d][slot] != 0 {
		return nil
	}
	if w, ok := x.weights[d][t]; ok {
		pp.fixed[d][slot] = w.at
		return nil
	}
	g := x.gpus[d]
	at, err := g.ctx.Alloc(int64(max(len(t.Bytes()), 1)))
	if err != nil {
		return err
	}
	if err := g.ctx.Upload(at, t.Bytes()); err != nil {
		return errors.Join(err, g.ctx.Free(at))
	}
	pp.fixed[d][slot] = at
	if x.p.owns(t) {
		x.weights[d][t] = weight{at, int64(len(t.Bytes()))}
	} else {
		pp.own = append(pp.own, owned{d, at})
	}
	return nil
}

// dropOldest frees the least recently used plan. x is locked.
func (x *instance) dropOldest() error {
	oldest, at := "", int64(1<<62)
	for k, pl := range x.plans {
		if pl.used < at {
			oldest, at = k, pl.used
		}
	}
	err := x.plans[oldest].drop()
	delete(x.plans, oldest)
	return err
}

// drop frees what a plan has on its devices, once no run uses it.
func (pp *prepared) drop() error {
	var err error
	for _, t := range pp.tracks {
		if t != nil {
			t.lock()
			t.dead = true
			err = errors.Join(err, t.drop())
			t.unlock()
		}
	}
	for _, o := range pp.own {
		if g := pp.inst.gpus[o.device]; g.lost.Load() == nil {
			err = errors.Join(err, g.ctx.Free(o.at))
		}
	}
	pp.own = nil
	for _, i := range pp.islands {
		err = errors.Join(err, i.program.Close())
	}
	pp.islands = nil
	pp.mu.Lock()
	pp.dead, pp.free = true, nil
	pp.mu.Unlock()
	return err
}

// weightBytes is the memory of the constants on all devices.
func (x *instance) weightBytes() (n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range x.weights {
		for _, w := range m {
			n += w.bytes
		}
	}
	return n
}

// close frees everything; no run may be in flight.
func (x *instance) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	var err error
	for _, pl := range x.plans {
		err = errors.Join(err, pl.drop())
	}
	x.plans = nil
	for d, m := range x.weights {
		g := x.gpus[d]
		for _, w := range m {
			if g.lost.Load() == nil {
				err = errors.Join(err, g.ctx.Free(w.at))
			}
		}
		err = errors.Join(err, g.leave())
	}
	return err
}

// run computes call on the lane that is free, or whose turn it is. A plan may be dropped
// for others between its being found and its run.
func (x *instance) run(ctx context.Context, call *device.Call) error {
	for {
		pp, err := x.planFor(call.In)
		if err != nil {
			return err
		}
		if err := x.runPlan(ctx, pp, call); err != errDropped {
			return err
		}
	}
}

// errDropped is what a track says whose plan was dropped.
var errDropped = errors.New("the plan was dropped")

func (x *instance) runPlan(ctx context.Context, pp *prepared, call *device.Call) error {
	turn := int(x.turn.Add(1))
	for k := range pp.tracks {
		if t := pp.tracks[(turn+k)%len(pp.tracks)]; t.tryLock() {
			defer t.unlock()
			return t.run(ctx, call)
		}
	}
	t := pp.tracks[turn%len(pp.tracks)]
	t.lock()
	defer t.unlock()
	return t.run(ctx, call)
}

// prepare makes the plan and all its graphs.
func (x *instance) prepare(in []tensor.Value) error {
	pp, err := x.planFor(in)
	if err != nil {
		return err
	}
	for _, t := range pp.tracks {
		t.lock()
		err := t.ready()
		t.unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// names lists the devices.
func (x *instance) names() string {
	s := ""
	for i, g := range x.gpus {
		if i > 0 {
			s += "+"
		}
		s += g.info.String()
	}
	return s
}

// modelError is an error of the model or its inputs, which no other device would do
// better.
type modelError struct{ error }

func (e *modelError) Unwrap() error { return e.error }

// results is the memory of a run's outputs, which the caller reads until Release.
type results struct {
	pp     *prepared
	bytes  []byte
	values []tensor.Tensor
}

// Release implements device.Releaser.
func (r *results) Release(*device.Call) {
	r.pp.mu.Lock()
	defer r.pp.mu.Unlock()
	if !r.pp.dead && len(r.pp.free) < 2*len(r.pp.tracks)+2 {
		r.pp.free = append(r.pp.free, r)
	}
}

// results gives memory for a run's outputs.
func (pp *prepared) results() *results {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	if n := len(pp.free); n > 0 {
		r := pp.free[n-1]
		pp.free = pp.free[:n-1]
		return r
	}
	size := 0
	for _, o := range pp.output {
		if o.constant == nil && pp.home[o.slot] >= 0 {
			size += (pp.bytes(o.slot) + 63) / 64 * 64
		}
	}
	r := &results{pp: pp, bytes: tensor.Aligned(size), values: make([]tensor.Tensor, len(pp.output))}
	at := 0
	for i, o := range pp.output {
		if o.constant == nil && pp.home[o.slot] >= 0 {
			n := pp.bytes(o.slot)
			r.values[i].View(pp.info[o.slot].DType, pp.shape(o.slot), r.bytes[at:at+n:at+n])
			at += (n + 63) / 64 * 64
		}
	}
	return r
}

// faultError is what a run returns when an index was out of range.
func faultError() error {
	return &modelError{device.Refused(errors.New("an index of a Gather is out of range"), false)}
}
