package schedule

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
)

// Solution is a plan with its exact expected outcome.
type Solution struct {
	Plan
	Result
}

// Work bounds of the search, in multiplications.
const (
	minWork = 80e6
	maxWork = 4e9
)

func orderBudget(n int) int64 {
	return int64(min(maxWork, max(minWork, 1200e6*math.Pow(float64(n)/12, 2))))
}

func timesBudget(n int) int64 {
	return int64(min(maxWork, max(minWork, 100e6*math.Pow(float64(n)/24, 3.2))))
}

// Solve returns the best plan the search finds; its outcome is exact. A given
// order is kept unless p.FreeOrder. Errors are [appointment.Error] for bad input,
// else the context's.
func Solve(ctx context.Context, p *Problem) (Solution, error) {
	if err := p.Validate(); err != nil {
		return Solution{}, err
	}
	sv := newServices(p.Patients)
	s := newSearch(ctx, p, sv)
	if p.FreeOrder {
		s.freeOrder()
	} else {
		s.givenOrder(identity(len(p.Patients)))
	}
	s.polish()
	s.subsets()
	if err := ctx.Err(); err != nil {
		return Solution{}, err
	}
	return s.notWorseThanRules(s.best(p, sv)), nil
}

// notWorseThanRules compares with the rules exactly. The search works with coarse steps
// where service times have long tails, and can then rank plans wrongly by more than the
// margin of best; a rule that comes out ahead is where it goes on from, by the minute.
func (s *search) notWorseThanRules(out Solution) Solution {
	order := identity(len(s.p.Patients))
	for _, rule := range Rules() {
		pl := Plan{order, rule.times(s.p, s.sv)}
		r := evaluate(s.p, s.sv, pl)
		if r.Cost >= out.Cost {
			continue
		}
		out = Solution{pl.clone(), r}
		e := newEngine(s.p, s.sv, 1)
		e.set(pl.Order, pl.Times)
		e.descend([]int{s.p.Grid}, timesBudget(e.n))
		pl = Plan{e.order, e.a}
		if r := evaluate(s.p, s.sv, pl); r.Cost < out.Cost {
			out = Solution{pl.clone(), r}
		}
	}
	return out
}

// search collects candidate plans over several starts.
type search struct {
	ctx context.Context
	p   *Problem
	sv  services
	e   *engine
	// grid is that of the plans searched: the problem's, or a multiple of it.
	grid  int
	found []candidate
}

type candidate struct {
	plan Plan
	cost float64
}

func newSearch(ctx context.Context, p *Problem, sv services) *search {
	longest := 0
	for _, pmf := range sv.pmf {
		longest = max(longest, len(pmf))
	}
	grid := p.Grid * ((fineGrid + p.Grid - 1) / p.Grid)
	unit := 1
	if longest > coarseAbove && len(p.Patients) > smallSession {
		unit = unitFor(grid, longest)
	}
	return &search{ctx: ctx, p: p, sv: sv, e: newEngine(p, sv, unit), grid: grid}
}

// fineGrid is the grid in minutes below which the search begins on a multiple of
// the grid.
const fineGrid = 5

// coarseAbove is the service time in minutes from which the search begins on
// coarse steps, unless there are few patients.
const coarseAbove = 160

// smallSession is up to how many patients subsets tries every subset.
const smallSession = 7

// keep records the engine's current plan.
func (s *search) keep(cost float64) {
	pl := Plan{s.e.order, s.e.a}
	for _, c := range s.found {
		if equal(c.plan.Order, pl.Order) && equal(c.plan.Times, pl.Times) {
			return
		}
	}
	s.found = append(s.found, candidate{pl.clone(), cost})
	sort.SliceStable(s.found, func(i, j int) bool { return s.found[i].cost < s.found[j].cost })
	if len(s.found) > 4 {
		s.found = s.found[:4]
	}
}

func equal(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// best evaluates the candidates exactly. Costs of candidates differ from the
// search's by far less than the margin, so only near ties are evaluated twice.
func (s *search) best(p *Problem, sv services) Solution {
	var out Solution
	for k, c := range s.found {
		if k > 0 && c.cost > s.found[0].cost*(1+1e-3)+1e-3 {
			break
		}
		r := evaluate(p, sv, c.plan)
		if k == 0 || r.Cost < out.Cost {
			out = Solution{c.plan, r}
		}
	}
	return out
}

// givenOrder searches the times of one order from several starts, then from
// random changes of the best (seeded, so that one problem has one answer).
func (s *search) givenOrder(order []int) {
	e, grid := s.e, s.grid
	budget := timesBudget(len(order))
	best, bestCost := []int(nil), math.Inf(1)
	take := func(cost float64) {
		s.keep(cost)
		if cost < bestCost {
			best, bestCost = append(best[:0], e.a...), cost
		}
	}
	dearest := int64(0)
	afford := func() bool { return s.ctx.Err() == nil && (best == nil || e.work+dearest < budget) }
	for _, times := range s.starts(order) {
		if !afford() {
			return
		}
		before := e.work
		e.set(order, times)
		take(e.descend([]int{2 * grid, grid}, budget))
		dearest = max(dearest, e.work-before)
	}
	rng := rand.New(rand.NewPCG(1, uint64(e.n)))
	for round := 0; round < maxKicks && e.n > 2 && afford(); round++ {
		e.set(order, best)
		for range 3 {
			i := 1 + rng.IntN(e.n-1)
			j := i + rng.IntN(e.n-i)
			step := grid * (1 - 2*rng.IntN(2))
			if e.a[i]+step >= e.a[i-1] && (j == e.n-1 || e.a[j]+step <= e.a[j+1]) {
				for k := i; k <= j; k++ {
					e.a[k] += step
				}
			}
		}
		take(e.descend([]int{grid}, budget))
	}
}

// maxKicks bounds the random restarts of small sessions.
const maxKicks = 12

// polish goes over the best candidates of a coarse search on the problem's own
// grid and with workloads by the minute, as far as the work allows.
func (s *search) polish() {
	if (s.e.unit == 1 && s.grid == s.p.Grid) || s.ctx.Err() != nil {
		return
	}
	steps := []int{s.p.Grid}
	for k := 2; 2*k <= s.grid/s.p.Grid; k *= 2 {
		steps = append([]int{k * s.p.Grid}, steps...)
	}
	rough := s.found
	s.found = nil
	s.e = newEngine(s.p, s.sv, 1)
	budget := timesBudget(s.e.n)
	for k, c := range rough {
		if k > 0 && (s.e.work > budget/2 || c.cost > rough[0].cost*1.001) {
			break
		}
		s.e.set(c.plan.Order, c.plan.Times)
		s.keep(s.e.descend(steps, budget))
	}
}

// subsets goes on from the best plan of a small session as long as moving any subset of the
// patients by one step of the grid makes it cheaper. Where waiting costs don't fall along the
// day, a plan that no such move betters is the best of its order: the cost is L-convex in the
// times (Begen and Queyranne, Appointment scheduling with discrete random durations, 2011).
func (s *search) subsets() {
	if s.e.n > smallSession || len(s.found) == 0 {
		return
	}
	best, next := s.found[0].plan.clone(), make([]int, s.e.n)
	s.e.set(best.Order, best.Times)
	cost := s.e.cost()
	for better := true; better && s.ctx.Err() == nil; {
		better = false
		for move := 2; move < 1<<s.e.n && !better; move += 2 { // the first stays where the session begins
			for _, step := range []int{s.p.Grid, -s.p.Grid} {
				for k, t := range best.Times {
					next[k] = t + step*(move>>k&1)
				}
				if !sort.IntsAreSorted(next) {
					continue
				}
				s.e.set(best.Order, next)
				if c := s.e.cost(); c < cost*(1-1e-12) {
					copy(best.Times, next)
					cost, better = c, true
					s.keep(c)
					break
				}
			}
		}
	}
}

// starts returns times to begin from: the best of a family of stretched and
// advanced show-adjusted schedules, then the plain rules.
func (s *search) starts(order []int) [][]int {
	q := *s.p
	q.Grid = s.grid
	q.Patients = make([]Patient, len(order))
	sv := services{make([][]float64, len(order)), make([]float64, len(order))}
	for k, i := range order {
		q.Patients[k], sv.pmf[k], sv.mean[k] = s.p.Patients[i], s.sv.pmf[i], s.sv.mean[i]
	}
	bestTimes, bestCost := []int(nil), math.Inf(1)
	last := []int(nil)
	for _, stretch := range []float64{.85, .95, 1.05, 1.2} {
		for _, advance := range []float64{0, .7, 1.4, 2.4} {
			times := stretched(&q, sv, stretch, advance)
			if last != nil && equal(last, times) {
				continue
			}
			last = times
			s.e.set(order, times)
			if c := s.e.cost(); c < bestCost {
				bestTimes, bestCost = times, c
			}
		}
	}
	out := [][]int{bestTimes}
	for _, rule := range []Rule{RuleBaileyWelch, RuleEqual, RuleShowAdjusted} {
		out = append(out, rule.times(&q, sv))
	}
	return out
}

// stretched is the show-adjusted rule with its intervals multiplied by stretch
// and all starts advanced by a number of mean visits.
func stretched(p *Problem, sv services, stretch, advance float64) []int {
	a := make([]float64, len(p.Patients))
	sum, visits := 0.0, 0.0
	for i, q := range p.Patients {
		a[i] = stretch * sum
		visit := (1 - q.NoShow) * sv.mean[i]
		sum += visit
		visits += visit
	}
	early := advance * visits / float64(len(a))
	for i := range a {
		a[i] = math.Max(0, a[i]-early)
	}
	return toGrid(a, p.Grid)
}
