package batcher

import "math"

// Item is what the policy knows of a request. The caller fills the exported fields and may
// read them at any time; an Item is in at most one policy.
type Item struct {
	// Rows is the request's share of a batch; 0 or less makes it run alone.
	Rows int
	// Bytes of input.
	Bytes int64
	// Arrived and Deadline are on the policy's clock, in nanoseconds; a Deadline of 0 means
	// none.
	Arrived, Deadline int64
	// Level is the priority, 1 the highest; 0 stands for the configured default.
	Level int
	// Tenant shares the model fairly with other tenants of its level.
	Tenant string
	// Class tells apart shapes whose run times differ.
	Class uint64
	// Owner is the caller's.
	Owner any

	prev, next *Item
	flow       *flow
	probe      bool
}

func (it *Item) rows() int { return max(it.Rows, 1) }

// due is the deadline, or the end of time.
func (it *Item) due() int64 {
	if it.Deadline == 0 {
		return math.MaxInt64
	}
	return it.Deadline
}

// patience orders requests without a deadline among those that have one, so that neither
// starves: they are served as if they had this long, in nanoseconds.
const patience = 1e9

func (it *Item) order() int64 {
	if it.Deadline == 0 {
		return it.Arrived + patience
	}
	return it.Deadline
}

// flow is the queue of one tenant in one level, sorted by order, and its account for
// start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996).
type flow struct {
	tenant     string
	weight     float64
	head, tail *Item
	n, rows    int
	start      float64 // virtual start time of the head
	level      *level
	dated      int // items with a deadline

	at     *Item // cursor of a scan
	atTime float64
}

// level is one priority: tenants that have something waiting, and those that had.
type level struct {
	busy    []*flow
	known   map[string]*flow
	last    *flow
	virtual float64
	rows    int
	latest  string // the tenant of the last arrival
	mixed   int64  // when last another tenant's came before
	greedy  *flow  // waits until the others have been served; nil: nobody does
}

// came notes an arrival.
func (l *level) came(tenant string, now int64) {
	if tenant != l.latest {
		l.latest, l.mixed = tenant, now
	}
}

// maxIdleFlows bounds the tenants remembered without a request waiting.
const maxIdleFlows = 1024

func (l *level) flow(tenant string, weight func(string) float64) *flow {
	if f := l.last; f != nil && f.tenant == tenant {
		return f
	}
	f := l.known[tenant]
	if f == nil {
		if len(l.known)-len(l.busy) > maxIdleFlows {
			for k, old := range l.known {
				if old.n == 0 {
					delete(l.known, k)
				}
			}
		}
		f = &flow{tenant: tenant, weight: 1, level: l}
		if weight != nil {
			f.weight = max(weight(tenant), 1e-3)
		}
		if l.known == nil {
			l.known = map[string]*flow{}
		}
		l.known[tenant] = f
	}
	l.last = f
	return f
}

// place finds the item after which one with this order stands, and the rows up to it.
func (f *flow) place(order int64) (after *Item, ahead int) {
	ahead = f.rows
	for after = f.tail; after != nil && after.order() > order; after = after.prev {
		ahead -= after.rows()
	}
	return after, ahead
}

func (f *flow) insert(it, after *Item) {
	it.flow, it.prev = f, after
	if after == nil {
		it.next, f.head = f.head, it
	} else {
		it.next, after.next = after.next, it
	}
	if it.next == nil {
		f.tail = it
	} else {
		it.next.prev = it
	}
	if f.n == 0 {
		f.start = max(f.start, f.level.virtual)
		f.level.busy = append(f.level.busy, f)
	}
	f.n++
	f.rows += it.rows()
	f.level.rows += it.rows()
	if it.Deadline != 0 {
		f.dated++
	}
}

func (f *flow) remove(it *Item) {
	if it.prev == nil {
		f.head = it.next
	} else {
		it.prev.next = it.next
	}
	if it.next == nil {
		f.tail = it.prev
	} else {
		it.next.prev = it.prev
	}
	it.prev, it.next, it.flow = nil, nil, nil
	f.n--
	f.rows -= it.rows()
	f.level.rows -= it.rows()
	if it.Deadline != 0 {
		f.dated--
	}
	if f.n == 0 {
		l := f.level
		for i, b := range l.busy {
			if b == f {
				l.busy[i] = l.busy[len(l.busy)-1]
				l.busy[len(l.busy)-1] = nil
				l.busy = l.busy[:len(l.busy)-1]
				break
			}
		}
	}
}

// charge books rows that were served.
func (f *flow) charge(rows int) {
	f.level.virtual = max(f.level.virtual, f.start)
	f.start = max(f.start, f.level.virtual) + float64(rows)/f.weight
	if g := f.level.greedy; g != nil {
		g.start = max(g.start, f.start) // it is owed nothing afterwards
	}
}

// scan visits the level's items in the order of service until visit says false. visit may
// remove the item that it is given.
func (l *level) scan(visit func(*Item) bool) bool {
	if len(l.busy) == 1 {
		for it := l.busy[0].head; it != nil; {
			next := it.next
			if !visit(it) {
				return false
			}
			it = next
		}
		return true
	}
	var open [16]*flow
	flows := append(open[:0], l.busy...)
	for _, f := range flows {
		f.at, f.atTime = f.head, f.start
	}
	for len(flows) > 0 {
		k := 0
		for i, f := range flows {
			if flows[k] == l.greedy || f != l.greedy && f.atTime < flows[k].atTime {
				k = i
			}
		}
		f := flows[k]
		it := f.at
		f.at = it.next
		f.atTime += float64(it.rows()) / f.weight
		if f.at == nil {
			flows[k] = flows[len(flows)-1]
			flows = flows[:len(flows)-1]
		}
		if !visit(it) {
			return false
		}
	}
	return true
}
