package assign

import "math"

// flow is the residual network. Nodes are numbered requests, seats, half-days
// (two a doctor), doctors, sink.
//
// Invariant after each placed request: every residual arc u→v of cost c has
// c + pi[u] − pi[v] ≥ 0, where requests not yet placed have no arcs.
type flow struct {
	requests, doctors, slots, split int
	halfStep, docStep               int64

	// doctorsOf[i] are the doctors of request i, and cost[i] its costs, slots
	// values for each of them; closed seats hold noArc.
	doctorsOf [][]int32
	cost      [][]int32
	// queueCost[i] is the cost of not placing request i.
	queueCost []int64

	// seatOf[i] is request i's seat or −1, paid[i] the cost of it; requestAt[j] is
	// the request on seat j, −1 if free, or closed.
	seatOf    []int32
	paid      []int64
	queued    []bool
	requestAt []int32
	halfLoad  []int32
	docLoad   []int32

	pi      []int64
	dist    []int64
	parent  []int32
	round   []int32
	settled []int32
	done    []int32
	now     int32
	heap    heap
}

const (
	noArc  = math.MaxInt32
	closed = int32(-2)
	far    = int64(math.MaxInt64 / 4)
)

func (f *flow) seatNode(d, s int) int { return f.requests + d*f.slots + s }
func (f *flow) halfNode(h int) int    { return f.requests + f.doctors*f.slots + h }
func (f *flow) docNode(d int) int     { return f.requests + f.doctors*f.slots + 2*f.doctors + d }
func (f *flow) sink() int             { return f.requests + f.doctors*f.slots + 3*f.doctors }

// halfOf returns the number of the half-day of a doctor's slot.
func (f *flow) halfOf(d, s int) int {
	if s < f.split {
		return 2 * d
	}
	return 2*d + 1
}

// init allocates what belongs to the nodes.
func (f *flow) init() {
	n := f.sink() + 1
	f.pi, f.dist = make([]int64, n), make([]int64, n)
	f.parent, f.round, f.done = make([]int32, n), make([]int32, n), make([]int32, n)
	f.seatOf, f.paid, f.queued = make([]int32, f.requests), make([]int64, f.requests), make([]bool, f.requests)
	f.requestAt = make([]int32, f.doctors*f.slots)
	f.halfLoad, f.docLoad = make([]int32, 2*f.doctors), make([]int32, f.doctors)
	for i := range f.seatOf {
		f.seatOf[i] = -1
	}
	for j := range f.requestAt {
		f.requestAt[j] = -1
	}
}

// place finds the shortest path from request i to the sink and moves one unit
// along it.
func (f *flow) place(i int) {
	f.begin(i)
	f.now++
	f.settled = f.settled[:0]
	f.heap = f.heap[:0]
	sink := f.sink()
	f.round[sink], f.dist[sink] = f.now, far
	f.relax(i, -1, 0)
	for len(f.heap) > 0 {
		top := f.heap.pop()
		u := int(top.node)
		if f.done[u] == f.now || top.dist > f.dist[u] {
			continue
		}
		if top.dist >= f.dist[sink] {
			break
		}
		f.done[u] = f.now
		f.settled = append(f.settled, top.node)
		f.expand(u, top.dist)
	}
	short := f.dist[sink]
	if short >= far {
		panic("BUG: assign: a request has no path, not even to the queue")
	}
	for _, u := range f.settled {
		f.pi[u] += f.dist[u] - short
	}
	f.augment(sink)
}

// begin gives request i, which has no arcs yet, a potential that makes its
// cheapest arc free.
func (f *flow) begin(i int) {
	low := f.queueCost[i] - f.pi[f.sink()]
	for k, d := range f.doctorsOf[i] {
		costs := f.cost[i][k*f.slots : (k+1)*f.slots]
		pi := f.pi[f.seatNode(int(d), 0):]
		for s, c := range costs {
			if c != noArc {
				low = min(low, int64(c)-pi[s])
			}
		}
	}
	f.pi[i] = -low
}

// relax offers node v a distance by way of u.
func (f *flow) relax(v, u int, d int64) {
	if f.round[v] != f.now {
		f.round[v] = f.now
	} else if d >= f.dist[v] {
		return
	}
	f.dist[v], f.parent[v] = d, int32(u)
	if v != f.sink() {
		f.heap.push(entry{d, int32(v)})
	}
}

// expand relaxes all residual arcs of node u at distance d, as far as they may
// shorten the path to the sink.
func (f *flow) expand(u int, d int64) {
	base := d + f.pi[u]
	switch {
	case u < f.requests:
		f.expandRequest(u, base)
	case u < f.halfNode(0):
		j := u - f.requests
		if r := f.requestAt[j]; r >= 0 {
			f.offer(int(r), u, base-f.paid[r])
			return
		}
		f.offer(f.halfNode(f.halfOf(j/f.slots, j%f.slots)), u, base)
	case u < f.docNode(0):
		h := u - f.halfNode(0)
		f.offer(f.docNode(h/2), u, base+f.halfStep*int64(f.halfLoad[h]))
		from, to := 0, f.split
		if h%2 == 1 {
			from, to = f.split, f.slots
		}
		for s := from; s < to; s++ {
			if f.requestAt[h/2*f.slots+s] >= 0 {
				f.offer(f.seatNode(h/2, s), u, base)
			}
		}
	default:
		doc := u - f.docNode(0)
		f.offer(f.sink(), u, base+f.docStep*int64(f.docLoad[doc]))
		for h := 2 * doc; h < 2*doc+2; h++ {
			if f.halfLoad[h] > 0 {
				f.offer(f.halfNode(h), u, base-f.halfStep*int64(f.halfLoad[h]-1))
			}
		}
	}
}

// offer is relax for an arc to v whose tail's distance, potential and cost are
// summed in base; arcs that can't improve on the sink are left out.
func (f *flow) offer(v, u int, base int64) {
	if d := base - f.pi[v]; d < f.dist[f.sink()] {
		f.relax(v, u, d)
	}
}

func (f *flow) expandRequest(i int, base int64) {
	if !f.queued[i] {
		f.offer(f.sink(), i, base+f.queueCost[i])
	}
	limit := f.dist[f.sink()]
	for k, doc := range f.doctorsOf[i] {
		costs := f.cost[i][k*f.slots : (k+1)*f.slots]
		first := f.seatNode(int(doc), 0)
		pi := f.pi[first : first+f.slots]
		for s, c := range costs {
			if d := base + int64(c) - pi[s]; d < limit && c != noArc {
				f.relax(first+s, i, d)
			}
		}
	}
}

// augment moves one unit along the parents from the sink back to the request
// that has none.
func (f *flow) augment(v int) {
	for u := int(f.parent[v]); u >= 0; v, u = u, int(f.parent[u]) {
		switch {
		case v == f.sink() && u < f.requests:
			f.queued[u], f.seatOf[u] = true, -1
		case v == f.sink():
			f.docLoad[u-f.docNode(0)]++
		case v >= f.docNode(0):
			f.halfLoad[u-f.halfNode(0)]++
		case v >= f.halfNode(0) && u >= f.docNode(0):
			f.halfLoad[v-f.halfNode(0)]--
		case v >= f.requests && v < f.halfNode(0) && u < f.requests:
			f.take(u, v-f.requests)
		case v < f.halfNode(0) && v >= f.requests:
			f.requestAt[v-f.requests] = -1
		}
	}
}

// take seats request i on seat j.
func (f *flow) take(i, j int) {
	for k, d := range f.doctorsOf[i] {
		if int(d) == j/f.slots {
			f.paid[i] = int64(f.cost[i][k*f.slots+j%f.slots])
		}
	}
	f.queued[i], f.seatOf[i] = false, int32(j)
	f.requestAt[j] = int32(i)
}
