package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// rearrangement replaces the patients and times of places i, i+1, …
type rearrangement struct {
	i     int
	order []int
	times []int
	cost  float64
}

// priceSegment returns the cost of the plan with places i, i+1, … replaced. It
// needs all caches fresh.
func (e *engine) priceSegment(i int, order, times []int) float64 {
	acc := 0.0
	if i > 0 {
		acc = e.pre[i-1]
	}
	last := e.start
	if i > 0 {
		last = e.a[i-1]
	}
	cur, next := e.buf[0], e.buf[2]
	cur = append(cur[:0], e.before(i)...)
	for k, p := range order {
		cur = shifted(cur, cur, (times[k]-last)/e.unit)
		last = times[k]
		acc += e.weight[p] * e.mean(cur)
		next = e.arrive(next, cur, &e.kern[p])
		cur, next = next, cur
	}
	e.buf[0], e.buf[2] = cur, next
	j := i + len(order)
	if j == e.n {
		return acc + e.ending(cur, last)
	}
	return acc + e.price(j, cur, e.a[j]-last)
}

// rearrangements prices all swaps and insertions of patients, at fixed times and
// with each patient's interval travelling along, and returns the cheapest few.
func (e *engine) rearrangements(grid, few int, budget int64) []rearrangement {
	var out []rearrangement
	order, times := make([]int, e.n), make([]int, e.n)
	limit := 0.0
	add := func(i, j int) {
		for _, travel := range []bool{false, true} {
			seg := times[:j-i+1]
			copy(seg, e.a[i:j+1])
			if travel {
				e.travel(i, j, order[:j-i+1], seg, grid)
				if slices.Equal(seg, e.a[i:j+1]) {
					continue
				}
			}
			c := e.priceSegment(i, order[:j-i+1], seg)
			if len(out) == few && c >= limit {
				continue
			}
			r := rearrangement{i, slices.Clone(order[:j-i+1]), slices.Clone(seg), c}
			at, _ := slices.BinarySearchFunc(out, c, func(r rearrangement, c float64) int { return cmp.Compare(r.cost, c) })
			out = slices.Insert(out, at, r)
			out = out[:min(len(out), few)]
			limit = out[len(out)-1].cost
		}
	}
	for i := range e.n {
		for j := i + 1; j < e.n && e.work < budget; j++ {
			seg := order[:j-i+1]
			if e.class[e.order[i]] != e.class[e.order[j]] {
				copy(seg, e.order[i:j+1])
				seg[0], seg[j-i] = seg[j-i], seg[0]
				add(i, j)
			}
			if j == i+1 {
				continue
			}
			if e.class[e.order[i]] != e.class[e.order[i+1]] {
				copy(seg, e.order[i+1:j+1])
				seg[j-i] = e.order[i]
				add(i, j)
			}
			if e.class[e.order[j]] != e.class[e.order[j-1]] {
				copy(seg[1:], e.order[i:j])
				seg[0] = e.order[j]
				add(i, j)
			}
		}
	}
	return out
}

// travel sets times so that each patient of places i..j keeps the interval that
// now follows the patient.
func (e *engine) travel(i, j int, order, times []int, grid int) {
	after := make([]int, e.n)
	for k := i; k <= j; k++ {
		if k+1 < e.n {
			after[e.order[k]] = e.a[k+1] - e.a[k]
			continue
		}
		after[e.order[k]] = (e.a[k] / e.n) / grid * grid
	}
	t := e.a[i]
	for k, p := range order {
		times[k] = t
		t += after[p]
	}
}

// orders returns the orders to begin from: as given, and by rising variability,
// in four senses.
func (s *search) orders() [][]int {
	n := s.e.n
	variance, shown, sd := make([]float64, n), make([]float64, n), make([]float64, n)
	for i, q := range s.p.Patients {
		variance[i] = varianceOf(s.sv.pmf[i])
		m, show := s.sv.mean[i], 1-q.NoShow
		shown[i] = show*variance[i] + show*q.NoShow*m*m
		sd[i] = shown[i] / (show*m + 1e-9)
	}
	out := [][]int{identity(n)}
	for _, key := range []func(i int) float64{
		func(i int) float64 { return shown[i] },
		func(i int) float64 { return variance[i] },
		func(i int) float64 { return s.p.Patients[i].NoShow },
		func(i int) float64 { return sd[i] },
	} {
		o := identity(n)
		slices.SortStableFunc(o, func(a, b int) int { return cmp.Compare(key(a), key(b)) })
		out = append(out, o)
	}
	return out
}

// improveOrder rearranges patients and re-optimises times until nothing helps,
// and returns the cost.
func (s *search) improveOrder(cost float64, budget int64) float64 {
	e, grid := s.e, s.grid
	for e.work < budget && s.ctx.Err() == nil {
		base := Plan{e.order, e.a}.clone()
		best, bestPlan := cost-1e-9*(1+cost), Plan{}
		for _, r := range e.rearrangements(grid, 6, budget) {
			if r.cost > cost*1.1 && bestPlan.Order != nil {
				break
			}
			e.set(base.Order, base.Times)
			copy(e.order[r.i:], r.order)
			copy(e.a[r.i:], r.times)
			for k := r.i + len(r.order); k < e.n; k++ {
				e.a[k] = max(e.a[k], e.a[k-1])
			}
			if c := e.descend([]int{grid}, budget); c < best {
				best, bestPlan = c, Plan{e.order, e.a}.clone()
			}
		}
		if bestPlan.Order == nil {
			e.set(base.Order, base.Times)
			e.refresh()
			return cost
		}
		e.set(bestPlan.Order, bestPlan.Times)
		cost = e.refresh()
	}
	return cost
}

// freeOrder searches orders and times together: each start order with its own
// times, the best of them improved, then improved again after random changes
// (seeded, so that one problem has one answer).
func (s *search) freeOrder() {
	e, grid := s.e, s.grid
	budget := e.work + orderBudget(e.n)
	var begun []candidate
	for _, order := range s.orders() {
		e.set(order, s.starts(order)[0])
		begun = append(begun, candidate{cost: e.descend([]int{2 * grid, grid}, budget), plan: Plan{e.order, e.a}.clone()})
	}
	slices.SortStableFunc(begun, func(a, b candidate) int { return cmp.Compare(a.cost, b.cost) })
	best := begun[0]
	for _, c := range begun[:3] {
		e.set(c.plan.Order, c.plan.Times)
		cost := s.improveOrder(e.refresh(), budget)
		s.keep(cost)
		if cost < best.cost {
			best = candidate{Plan{e.order, e.a}.clone(), cost}
		}
	}
	rng := rand.New(rand.NewPCG(1, uint64(e.n)))
	idle := 0
	for e.work < budget && s.ctx.Err() == nil && idle < 4*e.n && e.n > 2 {
		e.set(best.plan.Order, best.plan.Times)
		for range 2 + rng.IntN(3) {
			i, j := rng.IntN(e.n), rng.IntN(e.n)
			e.order[i], e.order[j] = e.order[j], e.order[i]
		}
		cost := s.improveOrder(e.descend([]int{grid}, budget), budget)
		s.keep(cost)
		idle++
		if cost < best.cost-1e-9 {
			idle = 0
			best = candidate{Plan{e.order, e.a}.clone(), cost}
		}
	}
}
