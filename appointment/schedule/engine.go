package schedule

import "math"

// tailMass is how much probability the search moves from the far end of a
// workload to the last kept minute; final costs are exact and don't use it.
const tailMass = 1e-9

// engine holds one order with its times, and prices moves of it. Places are
// numbered in the current order.
//
// Invariants between calls of [engine.refresh] and a move: post[k] is the
// workload right after place k's patient arrived at a[k] (with that patient's
// own service), pre[k] the weighted waiting of places 0..k, and ahead[k][v] the
// expected cost of places k.. when v minutes of work are in front of place k.
type engine struct {
	n       int
	session int
	// unit is the width in minutes of one step of a workload: 1, or a divisor of
	// the grid for a coarse search.
	unit int
	// endWeight is the cost of one minute that the session ends later: idle and
	// overtime together.
	endWeight float64
	// start is when the origin workload holds, 0 for a whole session.
	start  int
	origin []float64
	// pinned keeps place 0 at its time.
	pinned bool

	order []int
	a     []int
	// lb[k] and ub[k] bound the start of place k; nil means no bound.
	lb, ub []int

	kern   []kernel
	weight []float64
	// class[i] is equal for patients who are the same to the search.
	class []int

	post  [][]float64
	pre   []float64
	ahead [][]float64
	reach int
	work  int64

	buf [3][]float64
}

// newEngine prepares the search on p with workloads in steps of unit minutes.
func newEngine(p *Problem, sv services, unit int) *engine {
	n := len(p.Patients)
	e := &engine{
		n: n, session: p.Session, unit: unit, endWeight: p.Weights.Idle + p.Weights.Overtime,
		origin: []float64{1}, pinned: true,
		kern: make([]kernel, n), weight: make([]float64, n), class: make([]int, n),
		post: make([][]float64, n), pre: make([]float64, n), ahead: make([][]float64, n),
	}
	type key struct {
		q     Patient
		group int
	}
	seen := map[key]int{}
	for i, q := range p.Patients {
		e.weight[i] = p.Weights.Wait * (1 - q.NoShow)
		k := key{q: q}
		if p.Groups != nil {
			k.group = p.Groups[i]
		}
		if j, ok := seen[k]; ok {
			e.kern[i], e.class[i] = e.kern[j], e.class[j]
			continue
		}
		seen[k] = i
		e.kern[i], e.class[i] = searchKernel(coarsened(sv.pmf[i], unit), 1-q.NoShow), i
	}
	return e
}

// set makes pl the current plan.
func (e *engine) set(order, times []int) {
	e.order = append(e.order[:0], order...)
	e.a = append(e.a[:0], times...)
}

// gap returns the minutes from place k−1's start (or the origin) to place k's.
func (e *engine) gap(k int) int {
	if k == 0 {
		return e.a[0] - e.start
	}
	return e.a[k] - e.a[k-1]
}

// before returns the workload right after place k−1 arrived.
func (e *engine) before(k int) []float64 {
	if k == 0 {
		return e.origin
	}
	return e.post[k-1]
}

// shifted writes v moved down by gap steps to dst and returns it.
func shifted(dst, v []float64, gap int) []float64 {
	if gap <= 0 {
		return append(dst[:0], v...)
	}
	idle := 0.0
	for _, x := range v[:min(gap+1, len(v))] {
		idle += x
	}
	dst = append(dst[:0], idle)
	if gap+1 < len(v) {
		dst = append(dst, v[gap+1:]...)
	}
	return dst
}

// mean returns the mean of a workload in minutes.
func (e *engine) mean(v []float64) float64 { return MeanOf(v) * float64(e.unit) }

// arrive writes v ∗ k to dst, with the far tail drawn in, and returns it.
func (e *engine) arrive(dst, v []float64, k *kernel) []float64 {
	n := len(v) + k.size - 1
	if cap(dst) < n {
		dst = make([]float64, n, n+n/4)
	}
	dst = dst[:n]
	clear(dst)
	convolveAdd(dst, v, k.dense, 1)
	for _, t := range k.tail {
		addScaled(dst[t.at:t.at+len(v)], v, t.p)
	}
	e.work += int64(len(v)) * int64(len(k.dense)+len(k.tail))
	far := 0.0
	for n > 1 && far+dst[n-1] < tailMass {
		far += dst[n-1]
		n--
	}
	dst[n-1] += far
	return dst[:n]
}

// forward recomputes post[k] and pre[k] from place k−1's.
func (e *engine) forward(k int) {
	i := e.order[k]
	e.buf[0] = shifted(e.buf[0], e.before(k), e.gap(k)/e.unit)
	e.pre[k] = e.weight[i] * e.mean(e.buf[0])
	if k > 0 {
		e.pre[k] += e.pre[k-1]
	}
	e.post[k] = e.arrive(e.post[k], e.buf[0], &e.kern[i])
}

// backward recomputes ahead[k] from place k+1's and the gap between them.
func (e *engine) backward(k int) {
	i := e.order[k]
	kn := &e.kern[i]
	g := e.buf[1]
	if n := e.reach + kn.size; cap(g) < n {
		g = make([]float64, n)
	}
	g = g[:e.reach+kn.size]
	e.buf[1] = g
	if k == e.n-1 {
		late := e.a[k] - e.session
		for u := range g {
			g[u] = e.endWeight * math.Max(float64(u*e.unit+late), 0)
		}
	} else {
		gap := (e.a[k+1] - e.a[k]) / e.unit
		next := e.ahead[k+1]
		slope := next[e.reach-1] - next[e.reach-2]
		for u := range g {
			switch v := u - gap; {
			case v <= 0:
				g[u] = next[0]
			case v < e.reach:
				g[u] = next[v]
			default:
				g[u] = next[e.reach-1] + slope*float64(v-e.reach+1)
			}
		}
	}
	h := e.ahead[k]
	if cap(h) < e.reach {
		h = make([]float64, e.reach, e.reach+e.reach/4)
	}
	h = h[:e.reach]
	for v := range h {
		h[v] = e.weight[i] * float64(v*e.unit)
	}
	correlateAdd(h, g, kn.dense)
	for _, t := range kn.tail {
		addScaled(h, g[t.at:t.at+e.reach], t.p)
	}
	e.work += int64(e.reach) * int64(len(kn.dense)+len(kn.tail))
	e.ahead[k] = h
}

// reachSlack is how far beyond the longest present workload ahead is tabulated;
// further on it is continued as a straight line.
const reachSlack = 24

// refresh recomputes all caches and returns the plan's cost, up to a constant.
func (e *engine) refresh() float64 {
	longest := len(e.origin)
	for k := range e.n {
		e.forward(k)
		longest = max(longest, len(e.post[k]))
	}
	e.reach = longest + reachSlack
	for k := e.n - 1; k >= 0; k-- {
		e.backward(k)
	}
	return e.total()
}

// cost computes the plan's cost alone, up to a constant; post and pre are then
// right, ahead is not.
func (e *engine) cost() float64 {
	for k := range e.n {
		e.forward(k)
	}
	return e.total()
}

func (e *engine) total() float64 {
	return e.pre[e.n-1] + e.ending(e.post[e.n-1], e.a[e.n-1])
}

// ending is the cost of the work v that is left when the last patient arrived at
// minute last.
func (e *engine) ending(v []float64, last int) float64 {
	sum, late := 0.0, last-e.session
	for k := max(0, -late/e.unit); k < len(v); k++ {
		sum += v[k] * math.Max(float64(k*e.unit+late), 0)
	}
	return e.endWeight * sum
}

// price returns the expected cost from place k on, if right after place k−1 the
// work is v and place k starts gap minutes later.
func (e *engine) price(k int, v []float64, gap int) float64 {
	next := e.ahead[k]
	gap /= e.unit
	if gap >= len(v)-1 {
		mass := 0.0
		for _, x := range v {
			mass += x
		}
		return mass * next[0]
	}
	sum := 0.0
	for _, x := range v[:gap] {
		sum += x
	}
	sum *= next[0]
	v = v[gap:]
	sum += dot(v, next)
	if len(v) > e.reach {
		slope := next[e.reach-1] - next[e.reach-2]
		for k := e.reach; k < len(v); k++ {
			sum += v[k] * (next[e.reach-1] + slope*float64(k-e.reach+1))
		}
	}
	e.work += int64(len(v))
	return sum
}
