package sim

import (
	"container/heap"
	"math"
	"slices"
)

// Bound is a number of requests in time that no scheduler can exceed: one that knows the
// future, may interrupt and split requests at no cost, and pays for each row only its share of the
// best batch that any request's deadline leaves time for.
//
// The work that such a scheduler can do of each request forms a polymatroid, so that the best
// is found greedily, the cheapest requests first (Edmonds, 1970); running the earliest deadline
// first does the most work of a given set (Glover, 1967).
func Bound(m *Machine, t Trace) float64 {
	share := shares(m, t)
	cost := make([]float64, len(t))
	var steps []float64
	for i := range t {
		cost[i] = share[t[i].Model] * float64(max(t[i].Rows, 1)) / float64(m.Workers)
		steps = append(steps, cost[i])
	}
	slices.Sort(steps)
	steps = slices.Compact(steps)
	good := 0.0
	for k, c := range steps {
		weight := 1 / c
		if k+1 < len(steps) {
			weight -= 1 / steps[k+1]
		}
		good += weight * mostWork(t, cost, c)
	}
	return min(good, float64(len(t)))
}

// mostWork is the most work that can be done in time of the requests that cost at most limit.
func mostWork(t Trace, cost []float64, limit float64) (work float64) {
	var alive dueHeap
	now := 0.0
	for i := 0; i < len(t) || len(alive) > 0; {
		if len(alive) == 0 {
			now = max(now, float64(t[i].At))
		}
		for i < len(t) && float64(t[i].At) <= now {
			due := math.Inf(1)
			if t[i].Deadline != 0 {
				due = float64(t[i].Deadline)
			}
			if cost[i] <= limit {
				heap.Push(&alive, portion{due: due, left: cost[i]})
			}
			i++
		}
		if len(alive) == 0 {
			continue
		}
		next := math.Inf(1)
		if i < len(t) {
			next = float64(t[i].At)
		}
		p := &alive[0]
		if p.due <= now {
			heap.Pop(&alive)
			continue
		}
		step := min(p.left, p.due-now, next-now)
		p.left -= step
		now += step
		work += step
		if p.left <= 1e-6 {
			heap.Pop(&alive)
		}
	}
	return work
}

// shares gives each model's cost of a row in the best batch that can occur: its run time is
// within the longest deadline, and its members came within that time of each other.
func shares(m *Machine, t Trace) map[int]float64 {
	of := map[int]Trace{}
	longest := map[int]int64{}
	for i := range t {
		d := int64(math.MaxInt64)
		if t[i].Deadline != 0 {
			d = t[i].Deadline - t[i].At
		}
		longest[t[i].Model] = max(longest[t[i].Model], d)
		of[t[i].Model] = append(of[t[i].Model], t[i])
	}
	cost := map[int]float64{}
	for k, d := range longest {
		f := m.model(k)
		best := float64(f(1))
		most := max(m.MaxRows, 1)
		for _, a := range of[k] {
			most = max(most, a.Rows) // one request may be larger than a batch and runs alone
		}
		most = min(most, crowd(of[k], d))
		for n := 2; n <= most && f(n) <= d; n++ {
			best = min(best, float64(f(n))/float64(n))
		}
		cost[k] = best
	}
	return cost
}

// crowd is the most rows that come within a time of each other.
func crowd(t Trace, within int64) int {
	most, rows, from := 0, 0, 0
	for i := range t {
		rows += max(t[i].Rows, 1)
		for t[i].At-t[from].At > within {
			rows -= max(t[from].Rows, 1)
			from++
		}
		most = max(most, rows)
	}
	return most
}

type portion struct{ due, left float64 }

type dueHeap []portion

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, k int) bool { return h[i].due < h[k].due }
func (h dueHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(portion)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Exact is the largest number of requests in time on one worker without interruption, for
// traces of one model with one row a request in which who comes first is due first. Then some optimal
// schedule serves in the order of arrival, so that a state is the last request served and how
// many were, and its value the earliest time at which the worker can be free.
func Exact(m *Machine, t Trace) int {
	n := len(t)
	run := m.model(0)
	const never = math.MaxInt64
	// end[l][k]: the last one served is l-1, k are served in time.
	end := make([][]int64, n+1)
	for l := range end {
		end[l] = make([]int64, n+1)
		for k := range end[l] {
			end[l][k] = never
		}
	}
	end[0][0] = 0
	best := 0
	for l := 0; l <= n; l++ {
		for k := 0; k <= l; k++ {
			if end[l][k] == never {
				continue
			}
			best = max(best, k)
			for first := l; first < n; first++ {
				due := t[first].Deadline
				if due == 0 {
					due = never
				}
				for last := first; last < n; last++ {
					for b := min(last-first+1, m.MaxRows); b >= 1; b-- {
						if b == 1 && last != first {
							continue
						}
						done := max(end[l][k], t[last].At) + run(b)
						if done <= due {
							end[last+1][k+b] = min(end[last+1][k+b], done)
						}
					}
				}
			}
		}
	}
	return best
}
