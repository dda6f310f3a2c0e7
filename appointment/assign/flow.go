package assign

import (
	"math"
	"slices"
)

// flow is the residual network. Nodes are numbered requests, seats, half-days
// (two a doctor), doctors, sink.
//
// Invariant after each placed request: every residual arc u→v of cost c has
// c + pi[u] − pi[v] ≥ 0, where requests not yet placed have no arcs.
type flow struct {
	requests, doctors, slots, split int
	halfStep, docStep               int64

	// doctorsOf[i] are the doctors of request i, rising, and cost[i] its costs,
	// slots values for each of them; closed seats hold noArc.
	doctorsOf [][]int32
	cost      [][]int32
	// arcs[i] are the arcs of request i that the search uses.
	arcs [][]arc
	// queueCost[i] is the cost of not placing request i.
	queueCost []int64

	// seatOf[i] is request i's seat or −1, paid[i] the cost of it; requestAt[j] is
	// the request on seat j, −1 if free, closed, or gap.
	seatOf    []int32
	paid      []int64
	queued    []bool
	requestAt []int32
	halfLoad  []int32
	docLoad   []int32
	// fixedHalf and fixedLoad are the loads of open appointments, which stay.
	fixedHalf []int32
	fixedLoad []int32

	pi      []int64
	dist    []int64
	parent  []int32
	round   []int32
	settled []int32
	target  int
	done    []int32
	now     int32
	heap    heap
}

// arc leads from a request to a seat.
type arc struct{ seat, cost int32 }

const (
	noArc  = math.MaxInt32
	closed = int32(-2)
	// gap is a seat that holds a unit of flow whose request is on the way.
	gap = int32(-3)
	far = int64(math.MaxInt64 / 4)
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

// init allocates what belongs to the nodes; all seats are free.
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

// place finds the shortest path from request i, which has no seat, to the sink
// and moves one unit along it.
func (f *flow) place(i int) { f.send(i, f.sink()) }

// replace finds request i, which has new arcs, its best seat: the request gives
// up its unit at its seat (or at the sink, if queued), and the unit travels the
// shortest path from the request back to there.
func (f *flow) replace(i int) {
	target := f.sink()
	if j := f.seatOf[i]; j >= 0 {
		target = f.requests + int(j)
		f.requestAt[j] = gap
	}
	f.queued[i], f.seatOf[i] = false, -1
	f.send(i, target)
}

// send moves one unit along the shortest path from request i to the target, and
// keeps all reduced costs at 0 or above.
func (f *flow) send(i, target int) {
	f.begin(i)
	f.now++
	f.settled = f.settled[:0]
	f.heap = f.heap[:0]
	f.target = target
	f.round[target], f.dist[target] = f.now, far
	f.relax(i, -1, 0)
	for len(f.heap) > 0 {
		top := f.heap.pop()
		u := int(top.node)
		if f.done[u] == f.now || top.dist > f.dist[u] {
			continue
		}
		if top.dist >= f.dist[target] {
			break
		}
		f.done[u] = f.now
		f.settled = append(f.settled, top.node)
		f.expand(u, top.dist)
	}
	short := f.dist[target]
	if short >= far {
		panic("BUG: assign: a request has no path, not even to the queue")
	}
	for _, u := range f.settled {
		f.pi[u] += f.dist[u] - short
	}
	f.augment(target)
}

// begin gives request i, which has no arcs yet, a potential that makes its
// cheapest arc free.
func (f *flow) begin(i int) {
	low := f.queueCost[i] - f.pi[f.sink()]
	pi := f.pi[f.requests:]
	for _, a := range f.arcs[i] {
		low = min(low, int64(a.cost)-pi[a.seat])
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
	if v != f.target {
		f.heap.push(entry{d, int32(v)})
	}
}

// expand relaxes all residual arcs of node u at distance d, as far as they may
// shorten the path to the target.
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
		if f.requestAt[j] == -1 {
			f.offer(f.halfNode(f.halfOf(j/f.slots, j%f.slots)), u, base)
		}
	case u < f.docNode(0):
		h := u - f.halfNode(0)
		f.offer(f.docNode(h/2), u, base+f.halfStep*int64(f.halfLoad[h]))
		from, to := 0, f.split
		if h%2 == 1 {
			from, to = f.split, f.slots
		}
		for s := from; s < to; s++ {
			if r := f.requestAt[h/2*f.slots+s]; r >= 0 || r == gap {
				f.offer(f.seatNode(h/2, s), u, base)
			}
		}
	case u == f.sink():
		for d, n := range f.docLoad {
			if n > f.fixedLoad[d] {
				f.offer(f.docNode(d), u, base-f.docStep*int64(n-1))
			}
		}
		for i, q := range f.queued {
			if q {
				f.offer(i, u, base-f.queueCost[i])
			}
		}
	default:
		doc := u - f.docNode(0)
		f.offer(f.sink(), u, base+f.docStep*int64(f.docLoad[doc]))
		for h := 2 * doc; h < 2*doc+2; h++ {
			if f.halfLoad[h] > f.fixedHalf[h] {
				f.offer(f.halfNode(h), u, base-f.halfStep*int64(f.halfLoad[h]-1))
			}
		}
	}
}

// offer is relax for an arc to v whose tail's distance, potential and cost are
// summed in base; arcs that can't improve on the target are left out.
func (f *flow) offer(v, u int, base int64) {
	if d := base - f.pi[v]; d < f.dist[f.target] {
		f.relax(v, u, d)
	}
}

func (f *flow) expandRequest(i int, base int64) {
	if !f.queued[i] {
		f.offer(f.sink(), i, base+f.queueCost[i])
	}
	limit := f.dist[f.target]
	pi := f.pi[f.requests:f.halfNode(0)]
	for _, a := range f.arcs[i] {
		if d := base + int64(a.cost) - pi[a.seat]; d < limit {
			f.relax(f.requests+int(a.seat), i, d)
		}
	}
}

// augment moves one unit along the parents, from node v back to the request that
// begins the path.
func (f *flow) augment(v int) {
	for u := int(f.parent[v]); u >= 0; v, u = u, int(f.parent[u]) {
		switch {
		case v == f.sink() && u < f.requests:
			f.queued[u], f.seatOf[u] = true, -1
		case v == f.sink():
			f.docLoad[u-f.docNode(0)]++
		case u == f.sink() && v >= f.docNode(0):
			f.docLoad[v-f.docNode(0)]--
		case v >= f.docNode(0):
			f.halfLoad[u-f.halfNode(0)]++
		case v >= f.halfNode(0) && u >= f.docNode(0):
			f.halfLoad[v-f.halfNode(0)]--
		case v >= f.requests && v < f.halfNode(0) && u < f.requests:
			f.take(u, v-f.requests)
		case v < f.halfNode(0) && v >= f.requests && u >= f.halfNode(0):
			f.requestAt[v-f.requests] = -1
		}
	}
}

// take seats request i on seat j.
func (f *flow) take(i, j int) {
	f.paid[i] = int64(f.costOf(i, j))
	f.queued[i], f.seatOf[i] = false, int32(j)
	f.requestAt[j] = int32(i)
}

// costOf returns the cost of request i on seat j.
func (f *flow) costOf(i, j int) int32 {
	k, ok := slices.BinarySearch(f.doctorsOf[i], int32(j/f.slots))
	if !ok {
		panic("BUG: assign: a request is on a seat it has no arc to")
	}
	return f.cost[i][k*f.slots+j%f.slots]
}
