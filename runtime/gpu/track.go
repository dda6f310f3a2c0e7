package gpu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// track is a plan on one lane of each of its devices: graphs and copies with the addresses
// of the lanes' arenas.
type track struct {
	pp          *prepared
	lane        int
	dead        bool // the plan was dropped
	generations []uint64
	steps       [][]step // by phase and device
	legs        []int    // by phase: the first phase behind it before which the host has work
	touches     [][]int  // by phase in which a leg begins: the devices that have steps in it
	// What the runs of this track use, under the lanes' locks.
	values []tensor.Value // by slot: those on the host
	calls  []*device.Call // by island
	faults []error        // by device
}

// step is one device's work in a phase, ready to run.
type step struct {
	device  int
	in, out *driver.Copies
	graph   *driver.Graph
	run     func() error // what the lane does, made once
	enqueue func() error // the same without waiting, after what the devices did in phases before
}

func newTrack(pp *prepared, k int) *track {
	t := &track{pp: pp, lane: k, generations: make([]uint64, len(pp.inst.gpus)), values: make([]tensor.Value, len(pp.info)),
		faults: make([]error, len(pp.inst.gpus))}
	for i := range t.generations {
		t.generations[i] = ^uint64(0)
	}
	for range pp.islands {
		t.calls = append(t.calls, &device.Call{})
	}
	return t
}

func (t *track) at(d int) *lane { return t.pp.inst.lanes[d][t.lane] }

// lock takes the lanes in the devices' order, which all instances keep to.
func (t *track) lock() {
	for d := range t.pp.inst.gpus {
		t.at(d).mu.Lock()
	}
}

// tryLock takes the lanes if none is in use.
func (t *track) tryLock() bool {
	for d := range t.pp.inst.gpus {
		if !t.at(d).mu.TryLock() {
			for e := range d {
				t.at(e).mu.Unlock()
			}
			return false
		}
	}
	return true
}

func (t *track) unlock() {
	for d := range t.pp.inst.gpus {
		t.at(d).mu.Unlock()
	}
}

// ready makes the steps for the arenas as they are now. The lanes are locked.
func (t *track) ready() error { return t.pp.inst.p.guarded(t.build) }

func (t *track) build() error {
	gpus := t.pp.inst.gpus
	for d, g := range gpus {
		if err := g.fit(t.at(d), t.pp.arena[d], t.pp.stages[d]); err != nil {
			return err
		}
	}
	same := true
	for d := range gpus {
		same = same && t.generations[d] == t.at(d).generation
	}
	if same {
		return nil
	}
	if err := t.drop(); err != nil {
		return err
	}
	for k := range t.pp.phases {
		var list []step
		for d := range gpus {
			part := &t.pp.phases[k].parts[d]
			if part.idle() {
				continue
			}
			s, err := t.step(d, part)
			if err != nil {
				return err
			}
			list = append(list, s)
		}
		t.steps = append(t.steps, list)
	}
	if err := t.order(); err != nil {
		return err
	}
	for d := range gpus {
		t.generations[d] = t.at(d).generation
	}
	return nil
}

// order finds the legs, phases between which the host has nothing to do, and lets each step of one
// wait on its device for what all others did before. A lane records its two events in turn: one is not
// recorded again before everybody who waits for it has said so.
func (t *track) order() error {
	t.legs, t.touches = make([]int, len(t.steps)), make([][]int, len(t.steps))
	for from := 0; from < len(t.steps); {
		to := from + 1
		for to < len(t.steps) && len(t.pp.phases[to-1].after) == 0 {
			to++
		}
		last, count := map[int]*driver.Event{}, map[int]int{}
		for k := from; k < to; k++ {
			t.legs[k] = to
			marks := map[int]*driver.Event{}
			for i := range t.steps[k] {
				s := &t.steps[k][i]
				if !slices.Contains(t.touches[from], s.device) {
					t.touches[from] = append(t.touches[from], s.device)
				}
				if to == from+1 {
					continue
				}
				var after []*driver.Event
				for d := range t.pp.inst.gpus {
					if e := last[d]; e != nil && d != s.device {
						after = append(after, e)
					}
				}
				l := t.at(s.device)
				if err := l.marks(); err != nil {
					return err
				}
				done := l.events[count[s.device]%2]
				count[s.device]++
				marks[s.device] = done
				in, graph, out := s.in, s.graph, s.out
				s.enqueue = func() error { return l.lane.Enqueue(after, in, graph, out, done) }
			}
			maps.Copy(last, marks)
		}
		from = to
	}
	return nil
}

// address is where a slot lies, seen from device d.
func (t *track) address(d, slot int) cuda.Ptr {
	root, at := t.pp.root(slot)
	if h := t.pp.home[root]; h >= 0 {
		return t.at(h).arena + cuda.Ptr(t.pp.offset[root]+at)
	}
	return t.pp.fixed[d][root] + cuda.Ptr(at)
}

func (t *track) step(d int, p *part) (step, error) {
	s := step{device: d}
	var list []cuda.Launch
	for i, o := range p.ops {
		addresses := func(slots []int) []cuda.Ptr {
			out := make([]cuda.Ptr, len(slots))
			for k, slot := range slots {
				out[k] = t.address(d, slot)
			}
			return out
		}
		var scratch cuda.Ptr
		if p.at[i] >= 0 {
			scratch = t.address(d, p.at[i])
		}
		var err error
		if list, err = o.launch(list, addresses(o.in), addresses(o.out), scratch); err != nil {
			return s, fmt.Errorf("%s: %w", o.kind, err)
		}
	}
	for _, x := range p.in {
		if s.in == nil {
			s.in = &driver.Copies{}
		}
		dst := t.address(d, x.slot) + cuda.Ptr(x.at)
		if x.peer >= 0 {
			from := t.pp.home[x.peer]
			s.in.Peer(dst, t.address(from, x.peer)+cuda.Ptr(x.peerAt), t.pp.inst.gpus[from].ctx, int64(x.bytes))
		} else {
			s.in.In(dst, t.staging(x.stage, x.bytes))
		}
	}
	for _, x := range p.out {
		if s.out == nil {
			s.out = &driver.Copies{}
		}
		s.out.Out(t.staging(x.stage, x.bytes), t.address(d, x.slot)+cuda.Ptr(x.at))
	}
	l := t.at(d).lane
	if err := l.Do(func() (err error) { s.graph, err = l.Capture(list); return err }); err != nil {
		return s, err
	}
	in, graph, out := s.in, s.graph, s.out
	s.run = func() error { return l.Execute(in, graph, out) }
	return s, nil
}

// staging is pinned memory of a device's lane.
func (t *track) staging(s spot, n int) []byte { return t.at(s.device).staging[s.at : s.at+n : s.at+n] }

// drop frees the graphs.
func (t *track) drop() error {
	var err error
	for _, list := range t.steps {
		for _, s := range list {
			if s.graph != nil && t.pp.inst.gpus[s.device].lost.Load() == nil {
				l := t.at(s.device).lane
				err = errors.Join(err, l.Do(func() error { return l.Drop(s.graph) }))
			}
		}
	}
	t.steps = nil
	for d := range t.generations {
		t.generations[d] = ^uint64(0)
	}
	return err
}

// run computes call.Out from call.In. The lanes are locked.
func (t *track) run(ctx context.Context, call *device.Call) (err error) {
	pp := t.pp
	if t.dead {
		return errDropped
	}
	if err := t.ready(); err != nil {
		return err
	}
	for i, s := range pp.inputs {
		t.values[s] = call.In[i]
	}
	defer func() {
		for i, c := range t.calls {
			c.Release()
			clear(c.In)
			t.calls[i].In = c.In[:0]
		}
		clear(t.values)
	}()
	for _, c := range pp.checks {
		if !within(t.values[c.slot], c.rows) {
			return faultError()
		}
	}
	if err := t.islands(ctx, pp.before, call.Threads); err != nil {
		return err
	}
	loads := pp.loads
	for k := 0; k < len(t.steps); k = t.legs[k] {
		if err := ctx.Err(); err != nil {
			return err
		}
		for len(loads) > 0 && loads[0].phase < t.legs[k] {
			v, ok := t.values[loads[0].slot].(*tensor.Tensor)
			if !ok || len(v.Bytes()) != pp.bytes(loads[0].slot) {
				return fmt.Errorf("BUG: gpu: the value of slot %d is %v", loads[0].slot, v)
			}
			copy(t.staging(loads[0].to, len(v.Bytes())), v.Bytes())
			loads = loads[1:]
		}
		if err := t.leg(k); err != nil {
			return err
		}
		if err := t.islands(ctx, pp.phases[t.legs[k]-1].after, call.Threads); err != nil {
			return err
		}
	}
	for _, s := range pp.faults {
		if w := t.staging(s, 4); w[0] != 0 {
			return faultError()
		}
	}
	r := pp.results()
	call.Out = call.Out[:0]
	for i, o := range pp.output {
		switch {
		case o.constant != nil:
			call.Out = append(call.Out, o.constant)
		case pp.home[o.slot] >= 0:
			copy(r.values[i].Bytes(), t.staging(o.stage, len(r.values[i].Bytes())))
			call.Out = append(call.Out, &r.values[i])
		default:
			// What islands compute lies in memory that they take back, and an input is the caller's.
			call.Out = append(call.Out, tensor.CloneValue(t.values[o.slot]))
		}
	}
	call.Hold(r)
	return nil
}

// leg runs the phases from k up to the host's next work. Where there are several, the devices' streams wait
// for each other, and the host for all of them once, at the end. What was enqueued before
// a failure is waited for too.
func (t *track) leg(k int) error {
	if t.legs[k] == k+1 {
		list := t.steps[k]
		return t.together(len(list), func(i int) (*driver.Lane, func() error) { return t.at(list[i].device).lane, list[i].run })
	}
	var err error
	for p := k; p < t.legs[k] && err == nil; p++ {
		list := t.steps[p]
		err = t.together(len(list), func(i int) (*driver.Lane, func() error) { return t.at(list[i].device).lane, list[i].enqueue })
	}
	list := t.touches[k]
	end := t.together(len(list), func(i int) (*driver.Lane, func() error) { l := t.at(list[i]).lane; return l, l.Sync })
	// An error of a device says more than that of one which waited for it.
	if err == nil || end != nil && driver.Sticky(end) {
		return end
	}
	return err
}

// together lets n lanes work side by side and gives the first error, one that poisons before others.
func (t *track) together(n int, work func(i int) (*driver.Lane, func() error)) error {
	if n == 1 {
		l, f := work(0)
		return l.Do(f)
	}
	var wg sync.WaitGroup
	for i := range n {
		l, f := work(i)
		wg.Go(func() { t.faults[i] = l.Do(f) })
	}
	wg.Wait()
	var first error
	for _, err := range t.faults[:n] {
		if err != nil && (first == nil || driver.Sticky(err) && !driver.Sticky(first)) {
			first = err
		}
	}
	return first
}

// islands runs the host's work that stands between two phases.
func (t *track) islands(ctx context.Context, list []*island, threads int) error {
	for _, x := range list {
		c := t.calls[x.index]
		c.In, c.Threads = c.In[:0], threads
		for _, s := range x.in {
			c.In = append(c.In, t.value(s))
		}
		if err := x.program.Run(ctx, c); err != nil {
			return &modelError{err}
		}
		for i, s := range x.out {
			t.values[s] = c.Out[i]
		}
	}
	return nil
}

// value is a slot's value on the host: given, computed by an island, constant, or copied
// out to pinned memory.
func (t *track) value(slot int) tensor.Value {
	if v := t.values[slot]; v != nil {
		return v
	}
	info := t.pp.info[slot]
	if info.Const != nil {
		return info.Const
	}
	v := &tensor.Tensor{}
	v.View(info.DType, info.Shape, t.staging(spot{t.pp.from[slot], t.pp.offset[slot]}, t.pp.bytes(slot)))
	t.values[slot] = v
	return v
}

// within reports that all integers of a tensor lie in −rows … rows−1.
func within(v tensor.Value, rows int) bool {
	t, ok := v.(*tensor.Tensor)
	if !ok {
		return false
	}
	n := int64(rows)
	switch t.DType {
	case tensor.Int64:
		for _, x := range tensor.Data[int64](t) {
			if x < -n || x >= n {
				return false
			}
		}
	case tensor.Int32:
		for _, x := range tensor.Data[int32](t) {
			if int64(x) < -n || int64(x) >= n {
				return false
			}
		}
	default:
		return false
	}
	return true
}
