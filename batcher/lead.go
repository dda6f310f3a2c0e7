package batcher

import (
	"errors"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/device"
)

// lead runs a batch, passes its instance on, and answers the members. self says that the
// first member is the caller itself, alone, and stays until the end.
func (b *Batcher) lead(bt *batch, self bool) {
	t0 := bt.members[0].began
	if !self {
		t0 = b.clock()
	}
	bt.assemble(self)
	sequences := bt.sequences() // members may leave from here on
	bt.copied.Store(!self)
	t1 := b.clock()
	err := b.run(bt)
	t2 := b.clock()
	if err == nil {
		// From when the instance was given: what keeps the leader from the processor is part of
		// what a batch takes, or admission would promise too much.
		b.latency.Observe(bt.class, bt.work, bt.rows, t2-bt.given)
		b.background.saw(bt, t2-t1)
	}
	b.stats.Executions.Add(1)
	b.stats.Rows.Add(int64(sequences))

	b.mu.Lock()
	b.policy.End(bt.slot)
	if err == nil && len(bt.members) == 1 {
		b.policy.RanAlone(t2 - t1)
	}
	if pause := b.policy.Lull(len(bt.members), t2-bt.given); pause > 0 {
		b.gathering++
		go b.lull(pause, b.policy.back.pushed, len(bt.members)-b.policy.Waiting())
	} else {
		b.next()
	}
	present := int32(0)
	for _, r := range bt.members {
		if r != nil {
			r.state = finished
			present++
		}
	}
	if present == 0 {
		b.maybeDrained()
	}
	crowded := b.crowded(t2)
	b.mu.Unlock()

	if err != nil && len(bt.members) > 1 {
		b.retryAlone(bt)
		return
	}
	bt.refs.Store(present + 1)
	for i, r := range bt.members {
		if r == nil {
			continue
		}
		if crowded && i > 0 && i%answersAtOnce == 0 {
			if bt.turn == nil {
				bt.turn = newTurn()
			}
			bt.turn.pass()
		}
		if err != nil {
			r.err = executionError(b.name, err)
		} else {
			bt.give(r, bt.starts[i])
		}
		b.answer(r, bt, t0, t1, t2, self)
	}
	bt.unref()
}

// answersAtOnce is how many answers are given in a row while requests are being refused: whoever is to be refused would
// wait until all of a batch had been written.
const answersAtOnce = 8

func (b *Batcher) answer(r *Request, bt *batch, t0, t1, t2 int64, self bool) {
	r.Timing.Queue, r.Timing.Input, r.Timing.Infer = t0-r.began, t1-t0, t2-t1
	r.answered = b.clock()
	r.Timing.Output = r.answered - t2
	r.Timing.BatchRows, r.Timing.BatchRequests = bt.sequences(), len(bt.members)
	r.Timing.Lead = r.index == 0
	if r.err != nil {
		r.batch = nil
		bt.unref()
	}
	if !self {
		r.wake <- sigDone
	}
}

// executionError gives a run's error its code: that of a bad request if a node refuses the inputs.
func executionError(name string, err error) error {
	if api.CodeOf(err) != api.CodeInternal {
		return err
	}
	var refusal *device.Refusal
	switch {
	case !errors.As(err, &refusal):
		return api.Errorf(api.CodeExecutionFailed, "model '%s' failed: %w", name, err)
	case refusal.Shapes:
		return api.Errorf(api.CodeShapeMismatch, "model '%s' can't compute with inputs of these shapes: %w", name, err)
	}
	return api.Errorf(api.CodeValueInvalid, "model '%s' can't compute with these inputs: %w", name, err)
}

// retryAlone runs the members of a failed batch one by one, so that one request's bad
// values fail that request only.
func (b *Batcher) retryAlone(bt *batch) {
	b.mu.Lock()
	slot := b.policy.Begin(&Item{Class: bt.class, Bytes: bt.work, Rows: 1}, bt.rows, b.clock())
	alone := make([]*batch, 0, len(bt.members))
	for _, r := range bt.members {
		if r != nil {
			one := b.getBatch()
			one.add(r)
			alone = append(alone, one)
		}
	}
	b.mu.Unlock()
	bt.refs.Store(1)
	bt.unref()
	for _, one := range alone {
		b.runAlone(one)
	}
	b.mu.Lock()
	b.policy.End(slot)
	b.next()
	b.maybeDrained()
	b.mu.Unlock()
}

func (b *Batcher) runAlone(bt *batch) {
	t0 := b.clock()
	bt.assemble(false)
	sequences := bt.sequences() // the member may leave from here on
	bt.copied.Store(true)
	t1 := b.clock()
	err := bt.run()
	t2 := b.clock()
	b.stats.Executions.Add(1)
	b.stats.Rows.Add(int64(sequences))
	b.mu.Lock()
	r := bt.members[0]
	if r != nil {
		r.state = finished
	}
	b.mu.Unlock()
	bt.refs.Store(1)
	if r != nil {
		bt.refs.Add(1)
		if err != nil {
			r.err = executionError(b.name, err)
		} else {
			bt.give(r, 0)
		}
		b.answer(r, bt, t0, t1, t2, false)
	}
	bt.unref()
}
