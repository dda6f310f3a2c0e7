package batcher

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// Cut takes the next batch out of the queue, and those that can't make their deadline any
// more: they are to be answered, not run. batch and late are appended to. The batch may stay
// empty although something waited; a further call may then find more.
func (p *Policy) Cut(now int64, batch, late []*Item) (b, l []*Item) {
	p.fold(now)
	p.findGreedy(now)
	if p.dated == 0 {
		return p.first(batch, now), late
	}
	var c *curve
	p.order = p.order[:0]
	rows, most := 0, scanFactor*p.cfg.MaxRows
	p.scan(func(it *Item) bool {
		ic := p.curveOf(it)
		if it.Deadline != 0 && (it.Deadline <= now || ic.known && !it.probe && now+ic.at(it.rows()) > it.Deadline) {
			late = append(late, it)
			return true
		}
		if len(p.order) > 0 && !p.fits(p.order[0], it) {
			return len(p.order)+rows < most
		}
		if len(p.order) == 0 {
			c = ic
		}
		p.order = append(p.order, it)
		rows += it.rows()
		return rows < most && it.Rows > 0
	})
	for _, it := range late {
		if it.flow != nil {
			p.Remove(it)
		}
	}
	if len(p.order) == 0 {
		return batch, late
	}
	c = p.curveOf(p.order[0])
	size := min(rows, p.cfg.MaxRows)
	least := int64(0)
	if c.known {
		rows = min(rows, p.considerate(c))
		careful := *c
		if size, least = p.size(&careful, now, rows); least == 0 && size < rows {
			careful.spread = 0
			size, least = p.size(&careful, now, rows)
		}
	}
	return p.collect(batch, size, least), late
}

// scanFactor is how many full batches of the queue are looked at for a cut.
const scanFactor = 4

func (p *Policy) fits(first, it *Item) bool {
	return first.Rows > 0 && it.Rows > 0 && it.Class == first.Class && (p.same == nil || p.same(first, it))
}

// scan visits what waits in the order of service.
func (p *Policy) scan(visit func(*Item) bool) {
	for i := range p.levels {
		if p.levels[i].rows > 0 && !p.levels[i].scan(visit) {
			return
		}
	}
}

// first cuts without regard to deadlines.
func (p *Policy) first(batch []*Item, now int64) []*Item {
	var head *Item
	rows, passed := 0, 0
	most := p.cfg.MaxRows
	p.scan(func(it *Item) bool {
		switch {
		case head == nil:
			head = it
			most = p.share(it, now)
		case !p.fits(head, it) || rows+it.rows() > most:
			passed++
			return passed < scanFactor*p.cfg.MaxRows
		}
		rows += it.rows()
		batch = append(batch, it)
		p.serve(it)
		return rows < most && it.Rows > 0
	})
	return batch
}

// explore: one cut in so many may be twice what is known to pay, to learn whether it does.
const explore = 64

// exploreGreedy is as explore, for batches that are kept small.
const exploreGreedy = 256

// backlog is how many batches must wait for the next to be twice as large as nearly the best
// throughput asks for.
const backlog = 8

// share is how much of the queue one instance should take: what gives nearly the best
// throughput, since more would only make those wait who come meanwhile; or, where another
// instance is about to be free, the part for which both are done soonest. The extra work of two
// batches for one counts by the price of time.
func (p *Policy) share(it *Item, now int64) int {
	most := p.cfg.MaxRows
	c := p.curveOf(it)
	if p.rows == 1 || !c.known {
		return most
	}
	for most = min(c.best, most); backlog*most < p.rows && most < p.cfg.MaxRows; {
		most = min(2*most, p.cfg.MaxRows) // what it gains counts for all of them
	}
	if p.cuts++; p.cuts%explore == 0 {
		most = min(2*most, p.cfg.MaxRows)
	}
	most = min(most, p.considerate(c))
	if p.cfg.Instances == 1 || p.rows > most {
		return most
	}
	wait := int64(0)
	if p.active+1 >= p.cfg.Instances {
		wait = p.freeAt(now, 1) - now
	}
	worth := p.price(c) / c.rate()
	all := c.at(p.rows)
	best, cost := most, float64(all)
	for n := (p.rows + 1) / 2; n < p.rows; n += 1 + p.rows/16 {
		a, b := c.at(n), c.at(p.rows-n)
		if s := float64(max(a, wait+b)) + worth*float64(a+b-all)/float64(p.cfg.Instances); s < cost {
			best, cost = n, s
		}
	}
	return best
}

// Where one tenant has filled the queue while others of its level send, too, those go first, whatever they were given before, and
// batches are kept so small that the server just bears considerateLoad: large ones would gain throughput for the greedy tenant
// alone, and have the others wait for its rows.

// considerate bounds a batch.
func (p *Policy) considerate(c *curve) int {
	greedy := false
	for i := range p.levels {
		greedy = greedy || p.levels[i].greedy != nil
	}
	if !greedy {
		return p.cfg.MaxRows
	}
	least := considerateLoad * float64(c.best) / c.smooth(c.best)
	n := 1 + sort.Search(c.best-1, func(i int) bool { return float64(i+1) >= least*c.smooth(i+1) })
	if p.cuts%exploreGreedy == 0 {
		n *= 2
	}
	return min(n, p.cfg.MaxRows)
}

// considerateLoad is the share of the best throughput that a greedy tenant and all others have together.
const considerateLoad = 0.85

// findGreedy looks in each level for a tenant that has most of what waits, though others have sent lately.
func (p *Policy) findGreedy(now int64) {
	for i := range p.levels {
		l := &p.levels[i]
		l.greedy = nil
		if l.mixed == 0 || now-l.mixed > int64(mixedFor) {
			continue
		}
		for _, f := range l.busy {
			if float64(f.rows) > mostOf*float64(p.rows) {
				l.greedy = f
			}
		}
	}
}

const (
	// mostOf is the share of the waiting rows from which on a tenant is greedy.
	mostOf = 0.75
	// mixedFor is how long after requests of several tenants came more are expected.
	mixedFor = time.Second
)

// serve takes an item out and books it.
func (p *Policy) serve(it *Item) {
	it.flow.charge(it.rows())
	p.Remove(it)
}

// collect takes size rows of p.order whose deadline is at least least.
func (p *Policy) collect(batch []*Item, size int, least int64) []*Item {
	rows := 0
	for _, it := range p.order {
		if it.due() < least && !it.probe || rows > 0 && rows+it.rows() > size {
			continue
		}
		rows += it.rows()
		batch = append(batch, it)
		p.serve(it)
		if rows >= size {
			break
		}
	}
	clear(p.order)
	return batch
}

// pending is a waiting request as the look-ahead sees it.
type pending struct {
	due  int64
	rows int
}

// size chooses the rows of the next batch of p.order, which holds rows. If all that fits in
// one batch can make it together, it is that. Otherwise every size that is a power of two, and the
// largest for which the most urgent member makes it, is played through to the end
// of the queue, and the one with the most rows in time wins, less what the arrivals of the time
// it takes would have brought. least is the deadline that members must have; 0 means that nobody
// makes any size with certainty.
func (p *Policy) size(c *curve, now int64, rows int) (size int, least int64) {
	most := min(rows, p.cfg.MaxRows)
	urgent, safe, have := int64(math.MaxInt64), 0, 0
	for _, it := range p.order {
		urgent = min(urgent, it.due())
		have += it.rows()
		if have > most {
			break
		}
		if now+c.by(have) <= urgent {
			safe = have
		}
	}
	if safe >= most || have > most && safe >= have-1 {
		return most, now + c.by(most)
	}
	p.due = p.due[:0]
	for _, it := range p.order {
		p.due = append(p.due, pending{it.due(), it.rows()})
	}
	slices.SortFunc(p.due, func(a, b pending) int { return cmp.Compare(a.due, b.due) })
	price := p.price(c)
	best, score := 1, math.Inf(-1)
	try := func(n int) {
		if n < 1 {
			return
		}
		s := p.play(c, now, n, n, price)
		if c.best != n {
			s = max(s, p.play(c, now, n, c.best, price))
		}
		if s > score {
			best, score = n, s
			least = now + c.by(n)
		}
	}
	try(most)
	try(safe)
	for n := 1; n < most; n *= 2 {
		try(n)
	}
	return best, least
}

// play serves p.due by batches, the first of n rows, the others of m, and gives the rows that are
// in time less the price of the time taken. A first batch that nobody makes is no choice.
func (p *Policy) play(c *curve, now int64, n, m int, price float64) float64 {
	left := 0
	for _, w := range p.due {
		left += w.rows
	}
	served, at := 0, now
	for i := 0; i < len(p.due); n = m {
		size := min(n, left)
		t := c.by(size)
		for i < len(p.due) && p.due[i].due < at+t {
			left -= p.due[i].rows
			i++
		}
		rows := 0
		for i < len(p.due) && (rows == 0 || rows+p.due[i].rows <= size) {
			rows += p.due[i].rows
			i++
		}
		if rows == 0 && served == 0 {
			return math.Inf(-1)
		}
		served += rows
		left -= rows
		if rows > 0 {
			at += c.at(rows) / int64(p.cfg.Instances)
		}
	}
	return float64(served) - price*float64(at-now)
}

// price is what a nanosecond of an instance is worth, in rows: nothing while there is time
// to spare, the best throughput once more comes than can be served.
func (p *Policy) price(c *curve) float64 {
	peak := c.rate() * float64(p.cfg.Instances)
	return peak * min(max((p.rate/peak-calm)/(1-calm), 0), 1)
}

// calm is the load below which time costs nothing.
const calm = 0.7

// fold brings the arrival rate up to date.
func (p *Policy) fold(now int64) {
	dt := now - p.folded
	if dt < int64(rateWindow)/8 && p.arrivals < 64 || dt <= 0 {
		return
	}
	a := 1 - math.Exp(-float64(dt)/rateWindow)
	p.rate += a * (float64(p.arrivals)/float64(dt) - p.rate)
	p.arrivals, p.folded = 0, now
}

// rateWindow is the memory of the arrival rate, in nanoseconds.
const rateWindow = 50e6
