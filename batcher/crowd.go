package batcher

import (
	"sync/atomic"
	"time"
)

// TurnAway is admission control before parsing: it refuses a request of which nothing has been read
// but its deadline, if it would be refused whatever it holds; nil says that it may be read and passed
// to Do. timeout is what is left until its deadline, 0 where it has none. It has no priority of its own.
func (b *Batcher) TurnAway(timeout time.Duration, tenant string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.policy.Waiting() == 0 {
		return nil
	}
	now := b.clock()
	it := Item{Arrived: now, Tenant: tenant}
	if timeout > 0 {
		it.Deadline = b.lag.before(now+int64(timeout), now)
	}
	switch verdict, after := b.policy.TurnAway(&it, now); verdict {
	case Full:
		return b.full(after)
	case Unmeetable:
		return b.unmeetable(after)
	}
	return nil
}

// refusal is an error that is given to all who are refused in the same millisecond.
type refusal struct {
	err  error
	made int64
}

const refusalFor = int64(time.Millisecond)

// crowded reports whether requests have been refused lately. b.mu is held.
func (b *Batcher) crowded(now int64) bool {
	made := max(b.fullNow.made, b.unmeetableNow.made)
	return made > 0 && now-made < crowdedFor
}

// crowdedFor is how long after a refusal more are expected.
const crowdedFor = int64(time.Second)

func (r *refusal) at(now int64, fresh func() error) error {
	if r.err == nil || now-r.made > refusalFor {
		r.err, r.made = fresh(), now
	}
	return r.err
}

// lag is how long an answer takes from the batch to the goroutine that waits for it: next to
// nothing, but milliseconds where the processor is short. A request has taken as long on its way in,
// before anyone could look at its deadline.
type lag struct{ ns atomic.Int64 }

// lagMemory is the number of answers that lag remembers.
const lagMemory = 64

func (l *lag) learn(ns int64) {
	old := l.ns.Load() // a sample that gets lost beside another is no harm
	l.ns.Store(old + (ns-old)/lagMemory)
}

// before is when an answer must be there to be sent by due: earlier by the way in and out, or by a
// quarter of the time there is, whatever is less.
func (l *lag) before(due, now int64) int64 {
	if due == 0 {
		return 0
	}
	return max(due-min(2*l.ns.Load(), max(due-now, 0)/4), 1)
}

// cheapest is the request with the least run time among those that came lately. What even it
// can't do, none can of which nothing is known.
type cheapest struct {
	known    bool
	rows     int
	bytes    int64
	class    uint64
	ns, seen int64
}

// cheapestFor is how long the cheapest request is remembered.
const cheapestFor = int64(time.Second)

func (c *cheapest) note(it *Item, ns, now int64) {
	if !c.known || ns <= c.ns || now-c.seen > cheapestFor {
		*c = cheapest{known: true, rows: it.Rows, bytes: it.Bytes, class: it.Class, ns: ns, seen: now}
	}
}

// TurnAway is Admit for a request that has not been read: it gives its verdict on the cheapest
// that may be in it. it brings Arrived, Deadline and Tenant. Whoever is admitted here has
// not been counted and must pass Admit.
func (p *Policy) TurnAway(it *Item, now int64) (v Verdict, retryAfter time.Duration) {
	c := &p.cheapest
	if p.n == 0 {
		return Admitted, 0
	}
	it.Rows, it.Bytes, it.Class = c.rows, c.bytes, c.class
	if p.full(it) {
		if len(p.levels) > 1 || len(p.levels[0].busy) > 1 || p.levels[0].busy[0].tenant != it.Tenant {
			return Admitted, 0 // it may take another's place
		}
		p.arrivals += it.rows()
		return Full, p.drain(it)
	}
	if it.Deadline == 0 || !c.known {
		return Admitted, 0
	}
	end, known := p.predict(it, now)
	if !known || end <= it.Deadline {
		return Admitted, 0
	}
	p.arrivals += it.rows()
	return Unmeetable, max(time.Duration(end-it.Deadline), time.Millisecond)
}
