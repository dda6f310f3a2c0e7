package batcher

import (
	"math"
	"time"
)

// Policy holds the queue of one model version and decides what runs next: whom to refuse,
// what to cut into a batch, when a batch is due. It is a pure object: time comes in through
// its arguments and nothing starts or waits in it, so that the simulator drives the very
// object that the server does. It is not safe for concurrent use.
//
// The rules. Nothing waits while an instance is free, unless Config.Delay asks for it or a lone request had better gather others: see Shares. Levels
// are served strictly in order, tenants of a level by weighted fair queueing, requests of a
// tenant by deadline. A request whose predicted end lies beyond its deadline is refused
// when it comes; one that can't make it any more is dropped, never run. The batch is all
// that waits, unless its most urgent member would then be late, or one tenant has filled the queue: see Cut.
type Policy struct {
	cfg     Config
	latency *Latency
	same    func(a, b *Item) bool

	levels  []level
	n, rows int
	bytes   int64
	dated   int // waiting items with a deadline

	slots  []slot
	active int

	arrivals  int // rows since folded
	folded    int64
	rate      float64 // rows a nanosecond
	lastProbe int64
	cuts      int

	curves   [4]curve
	order    []*Item
	due      []pending
	cheapest cheapest
	beside   float64 // requests in flight when another comes, a mean
	lone     float64 // nanoseconds of a run of one request without what is around it, a mean; 0: none was seen
	back     returning
}

// slot is a batch in flight.
type slot struct {
	used  bool
	began int64
	class uint64
	work  int64
	rows  int
}

// NewPolicy makes the policy of one model version. same says which items may share a batch;
// nil means all.
func NewPolicy(cfg Config, latency *Latency, same func(a, b *Item) bool) *Policy {
	return &Policy{cfg: cfg, latency: latency, same: same,
		levels: make([]level, max(cfg.Levels, 1)), slots: make([]slot, cfg.Instances)}
}

// Verdict is what Admit says of a request.
type Verdict uint8

// The verdicts.
const (
	// Admitted: Push it, or run it at once with Begin if nothing waits and Free says so.
	Admitted Verdict = iota
	// Full: the queue holds as much as it may.
	Full
	// Unmeetable: it would be answered after its deadline.
	Unmeetable
)

// Admit decides whether a request may come in, and when to come back if not.
func (p *Policy) Admit(it *Item, now int64) (v Verdict, retryAfter time.Duration) {
	p.arrivals += it.rows()
	p.levels[p.levelOf(it)].came(it.Tenant, now)
	if p.full(it) {
		return Full, p.drain(it)
	}
	if it.Deadline == 0 {
		return Admitted, 0
	}
	it.probe = false
	if it.Deadline <= now {
		return Unmeetable, time.Millisecond
	}
	end, known := p.predict(it, now)
	if known {
		p.cheapest.note(it, p.curveOf(it).at(it.rows()), now)
	}
	if !known || end <= it.Deadline {
		return Admitted, 0
	}
	if p.active == 0 && p.n == 0 && now-p.lastProbe > probeEvery*(end-now) {
		// What was learned may be out of date, and only running teaches.
		p.lastProbe, it.probe = now, true
		return Admitted, 0
	}
	return Unmeetable, max(time.Duration(end-it.Deadline), time.Millisecond)
}

// full reports whether the queue has no room for an item.
func (p *Policy) full(it *Item) bool {
	return p.n >= p.cfg.MaxQueue || p.bytes+it.Bytes > p.cfg.MaxQueueBytes && p.n > 0
}

// probeEvery: an idle model runs a request that seems too late once in so many run times.
const probeEvery = 20

// predict gives the expected time of an item's answer if it came in now.
func (p *Policy) predict(it *Item, now int64) (end int64, known bool) {
	c := p.curveOf(it)
	if !c.known {
		return 0, false
	}
	ahead := p.ahead(it)
	start := p.freeAt(now, 0)
	most := c.best
	if it.Rows <= 0 {
		return start + c.at(ahead+it.rows()), true
	}
	full := ahead / most
	rest := ahead - full*most + it.rows()
	if ahead+it.rows() <= most {
		full, rest = 0, ahead+it.rows()
	} else {
		rest = min(rest, max(most, it.rows()))
	}
	return start + int64(full)*c.at(most)/int64(p.cfg.Instances) + p.own(c, it, now, rest), true
}

// own is the time to allow for the batch that an item will run in, once its turn has come and rows
// are there for it. The more comes than can be served, the more surely others will have come by
// then to fill the batch; an item without time for that would have it cut small.
func (p *Policy) own(c *curve, it *Item, now int64, rows int) int64 {
	t := c.at(rows)
	pressure := p.price(c) / (c.rate() * float64(p.cfg.Instances))
	if it.Deadline == 0 || pressure == 0 {
		return t
	}
	n := c.best
	for n > rows && c.at(n)+c.by(n) > it.Deadline-now {
		n /= 2
	}
	if n <= rows {
		return t
	}
	return t + int64(pressure*float64(c.by(n)-t))
}

// ahead counts the rows that will be served before an item.
func (p *Policy) ahead(it *Item) int {
	n := 0
	lv := p.levelOf(it)
	for i := range lv {
		n += p.levels[i].rows
	}
	l := &p.levels[lv]
	if l.rows == 0 {
		return n
	}
	f := l.flow(it.Tenant, p.cfg.Weight)
	_, own := f.place(it.order())
	if len(l.busy) == 1 && l.busy[0] == f {
		return n + own
	}
	// The others get at most their share while the own rows are served.
	share := 0.0
	for _, o := range l.busy {
		if o != f {
			share += min(float64(o.rows), float64(own+it.rows())*o.weight/f.weight)
		}
	}
	return n + own + int(share)
}

func (p *Policy) levelOf(it *Item) int {
	l := it.Level
	if l == 0 {
		l = p.cfg.DefaultLevel
	}
	return min(max(l, 1), len(p.levels)) - 1
}

// freeAt is when an instance is expected to be free, once extra ones are taken.
func (p *Policy) freeAt(now int64, extra int) int64 {
	if p.active+extra < p.cfg.Instances {
		return now
	}
	first := int64(math.MaxInt64)
	for i := range p.slots {
		s := &p.slots[i]
		if s.used {
			t, _, _ := p.latency.Estimate(s.class, s.work, s.rows)
			first = min(first, s.began+t)
		}
	}
	return max(first, now)
}

// drain estimates how long the queue takes.
func (p *Policy) drain(it *Item) time.Duration {
	c := p.curveOf(it)
	if !c.known {
		return time.Millisecond
	}
	batches := (p.rows + c.best - 1) / c.best
	return max(time.Duration(int64(batches)*c.at(c.best)/int64(p.cfg.Instances)), time.Millisecond)
}

// Push puts an admitted item into the queue.
func (p *Policy) Push(it *Item) {
	f := p.levels[p.levelOf(it)].flow(it.Tenant, p.cfg.Weight)
	after, _ := f.place(it.order())
	f.insert(it, after)
	p.count(it, 1)
	p.back.pushed++
}

// Remove takes a waiting item out: its caller went away or its deadline passed.
func (p *Policy) Remove(it *Item) {
	it.flow.remove(it)
	p.count(it, -1)
}

func (p *Policy) count(it *Item, n int) {
	p.n += n
	p.rows += n * it.rows()
	p.bytes += int64(n) * it.Bytes
	if it.Deadline != 0 {
		p.dated += n
	}
}

// Evict makes room for it by giving up the last item of the tenant that holds most of the
// queue, if that is more than the share that its tenant would then have; nil otherwise.
func (p *Policy) Evict(it *Item) *Item {
	lv := p.levelOf(it)
	for i := len(p.levels) - 1; i >= lv; i-- {
		l := &p.levels[i]
		var most *flow
		for _, f := range l.busy {
			if most == nil || float64(f.n)/f.weight > float64(most.n)/most.weight {
				most = f
			}
		}
		if most == nil {
			continue
		}
		if i == lv {
			own := l.flow(it.Tenant, p.cfg.Weight)
			if most == own || float64(own.n+1)/own.weight >= float64(most.n)/most.weight {
				continue
			}
		}
		victim := most.tail
		p.Remove(victim)
		return victim
	}
	return nil
}

// Waiting is the number of items in the queue.
func (p *Policy) Waiting() int { return p.n }

// Free reports whether an instance is free.
func (p *Policy) Free() bool { return p.active < p.cfg.Instances }

// Active is the number of batches in flight.
func (p *Policy) Active() int { return p.active }

// Begin books an instance for a batch of rows like it; the result is for End. Batches beyond
// the instances may begin too: they are retries.
func (p *Policy) Begin(it *Item, rows int, now int64) int {
	p.active++
	i := 0
	for i < len(p.slots) && p.slots[i].used {
		i++
	}
	if i == len(p.slots) {
		p.slots = append(p.slots, slot{})
	}
	p.slots[i] = slot{used: true, began: now, class: it.Class, work: it.Bytes / int64(it.rows()), rows: rows}
	return i
}

// End frees what Begin booked.
func (p *Policy) End(i int) {
	p.slots[i].used = false
	p.active--
}

// Due says when a batch should start if an instance is free: at most now means at once.
// something must wait.
func (p *Policy) Due(now int64) int64 {
	if p.cfg.Delay == 0 || p.rows >= p.cfg.Preferred {
		return now
	}
	due := int64(math.MaxInt64)
	for i := range p.levels {
		for _, f := range p.levels[i].busy {
			due = min(due, f.head.Arrived+int64(p.cfg.Delay))
			if f.dated > 0 {
				h := f.head
				c := p.curveOf(h)
				due = min(due, h.due()-c.by(min(p.rows, p.cfg.MaxRows)))
			}
		}
	}
	return due
}

// Urgency orders the queues of several models that share the machine: the least time at which
// one's most urgent request must start, or would if it had patience. Something must wait.
func (p *Policy) Urgency(now int64) int64 {
	u := int64(math.MaxInt64)
	for i := range p.levels {
		for _, f := range p.levels[i].busy {
			c := p.curveOf(f.head)
			t := int64(0)
			if c.known {
				t = c.at(f.head.rows())
			}
			u = min(u, f.head.order()-t)
		}
	}
	return u
}

// Alone reports whether an item that has just been admitted should run at once, without
// passing through the queue.
func (p *Policy) Alone(it *Item) bool {
	return p.n == 0 && p.active < p.cfg.Instances && (p.cfg.Delay == 0 || it.rows() >= p.cfg.Preferred)
}

// Inline reports whether a caller that may be cancelled should run a batch itself. It may be
// called at any time from anywhere.
func (p *Policy) Inline(it *Item, rows int) bool {
	t, _, known := p.latency.Estimate(it.Class, it.Bytes/int64(it.rows()), rows)
	return known && t <= int64(p.cfg.Inline)
}
