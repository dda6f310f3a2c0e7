package schedule

import (
	"context"
	"math"
	"slices"

	"github.com/aimass/aimass/appointment"
)

// Options ask for more than the least expected cost.
type Options struct {
	// WorstGroup minimises the largest mean wait of a group (Problem.Groups) among
	// plans that cost at most MaxExtraCost more than the cheapest found.
	WorstGroup bool
	// MaxExtraCost is a share of the cheapest cost; 0 means .05, that is 5 %.
	MaxExtraCost float64
	// MaxMeanWait, if above 0, bounds every patient's expected wait in minutes.
	MaxMeanWait float64
	// WaitLimit and WaitLevel, if above 0, ask that every patient waits at most
	// WaitLimit minutes with a probability of at least WaitLevel.
	WaitLimit int
	WaitLevel float64
}

func (o Options) validate(p *Problem) error {
	for i, v := range []float64{o.MaxExtraCost, o.MaxMeanWait, o.WaitLevel} {
		if err := appointment.CheckFinite("options", i, v); err != nil {
			return err
		}
	}
	if o.MaxMeanWait < 0 || o.WaitLimit < 0 || o.WaitLevel < 0 || o.WaitLevel >= 1 || o.MaxExtraCost < 0 || (o.WaitLimit > 0) != (o.WaitLevel > 0) {
		return appointment.Errorf(appointment.CodeBadGuarantee, "options", "%+v", o)
	}
	if o.WorstGroup && p.Groups == nil {
		return appointment.Errorf(appointment.CodeBadGroup, "groups", "the worst group was asked for, and no groups are given")
	}
	return nil
}

// Guarded is a plan under [Options].
type Guarded struct {
	Solution
	// CheapestCost is the cost of the best plan without the options.
	CheapestCost float64
	// Met says whether the exact evaluation confirms every asked guarantee.
	Met bool
	// Beyond[i] is the probability that patient i, coming, waits longer than
	// WaitLimit; nil if no limit was asked.
	Beyond []float64
}

// SolveGuarded returns the best plan found under the options. A guarantee that
// the search can't meet is no error: see Met.
func SolveGuarded(ctx context.Context, p *Problem, o Options) (Guarded, error) {
	if o.MaxExtraCost == 0 {
		o.MaxExtraCost = .05
	}
	if err := p.Validate(); err != nil {
		return Guarded{}, err
	}
	if err := o.validate(p); err != nil {
		return Guarded{}, err
	}
	cheapest, err := Solve(ctx, p)
	if err != nil {
		return Guarded{}, err
	}
	g := newGuard(p, o, cheapest)
	plan := cheapest.Plan
	value := g.value(plan)
	for _, start := range g.starts(ctx) {
		if v := g.value(start); v < value {
			plan, value = start, v
		}
	}
	plan = g.improve(ctx, plan, value)
	if err := ctx.Err(); err != nil {
		return Guarded{}, err
	}
	out := Guarded{Solution: Solution{plan, evaluate(p, g.sv, plan)}, CheapestCost: cheapest.Cost, Met: true}
	if o.WaitLimit > 0 {
		out.Beyond = WaitBeyond(p, plan, o.WaitLimit)
	}
	for i, q := range p.Patients {
		late := out.Beyond != nil && out.Beyond[i] > 1-o.WaitLevel
		long := o.MaxMeanWait > 0 && out.Wait[i] > o.MaxMeanWait
		if q.NoShow < 1 && (late || long) {
			out.Met = false
		}
	}
	return out, nil
}

// WaitBeyond returns for each patient the exact probability of waiting longer
// than limit minutes, given that the patient comes.
func WaitBeyond(p *Problem, pl Plan, limit int) []float64 {
	sv := newServices(p.Patients)
	all := 0.0
	for _, m := range sv.mean {
		all += m
	}
	keep := int(float64(p.Session) + all + 400)
	out := make([]float64, len(p.Patients))
	v, next := make([]float64, 1, keep), make([]float64, 0, keep)
	v[0] = 1
	for k, i := range pl.Order {
		if k > 0 {
			v = shiftDown(v, pl.Times[k]-pl.Times[k-1])
		}
		for w := limit + 1; w < len(v); w++ {
			out[i] += v[w]
		}
		next = convolveExact(next, v, sv.pmf[i], 1-p.Patients[i].NoShow, keep)
		v, next = next, v
	}
	return out
}

// guard prices plans under options. Lower values are better: broken guarantees
// weigh most, then, where asked, the worst group's wait, then the cost.
type guard struct {
	p        *Problem
	o        Options
	sv       services
	e        *engine
	cheapest Solution
	budget   int64
	scratch  Solution
}

func newGuard(p *Problem, o Options, cheapest Solution) *guard {
	sv := newServices(p.Patients)
	return &guard{
		p: p, o: o, sv: sv, e: newEngine(p, sv, 1), cheapest: cheapest, budget: 2 * orderBudget(len(p.Patients)),
		scratch: Solution{Result: Result{Wait: make([]float64, len(p.Patients))}},
	}
}

// value computes the plan's value from all places.
func (g *guard) value(pl Plan) float64 {
	g.e.set(pl.Order, pl.Times)
	v, _ := g.from(0, math.Inf(1))
	return v
}

// from recomputes the engine's caches from place i on and returns the value. If
// the cost alone passes giveUp, it stops early and returns +Inf and false.
func (g *guard) from(i int, giveUp float64) (float64, bool) {
	e, broken := g.e, 0.0
	for k := range e.n {
		id := e.order[k]
		if k >= i {
			e.buf[0] = shifted(e.buf[0], e.before(k), e.gap(k))
			g.scratch.Wait[id] = MeanOf(e.buf[0])
			e.pre[k] = e.weight[id] * g.scratch.Wait[id]
			if k > 0 {
				e.pre[k] += e.pre[k-1]
			}
			if e.pre[k] > giveUp {
				return math.Inf(1), false
			}
			e.post[k] = e.arrive(e.post[k], e.buf[0], &e.kern[id])
		}
		if g.p.Patients[id].NoShow == 1 {
			continue
		}
		if g.o.MaxMeanWait > 0 {
			broken += math.Max(0, g.scratch.Wait[id]/g.o.MaxMeanWait-1+1e-9)
		}
		if g.o.WaitLimit > 0 {
			broken += math.Max(0, g.beyond(k)-(1-g.o.WaitLevel)+1e-9)
		}
	}
	cost := e.total() + g.constant()
	value := cost/g.scale() + 1e3*broken
	if g.o.WorstGroup {
		limit := g.cheapest.Cost * (1 + g.o.MaxExtraCost)
		worst := 0.0
		for _, w := range groupWaits(g.p, g.scratch.Wait) {
			if !math.IsNaN(w) {
				worst = math.Max(worst, w)
			}
		}
		value = 1e-3*cost/g.scale() + worst + 1e3*math.Max(0, cost-limit)/g.scale() + 1e3*broken
	}
	return value, true
}

// beyond is the probability that place k's patient waits longer than the limit.
func (g *guard) beyond(k int) float64 {
	v, sum := g.e.before(k), 0.0
	for w := g.o.WaitLimit + 1 + g.e.gap(k); w < len(v); w++ {
		sum += v[w]
	}
	return sum
}

// constant is the part of the cost the engine leaves out.
func (g *guard) constant() float64 {
	c := float64(g.p.Session)
	for i, q := range g.p.Patients {
		c -= (1 - q.NoShow) * g.sv.mean[i]
	}
	return g.p.Weights.Idle * c
}

func (g *guard) scale() float64 { return math.Max(g.cheapest.Cost, 1e-6) }

// starts returns plans that are cheapest when waiting, of all or of the worst
// group, weighs more.
func (g *guard) starts(ctx context.Context) []Plan {
	var out []Plan
	heavy := make([]bool, len(g.p.Patients))
	for i := range heavy {
		heavy[i] = true
	}
	if g.o.WorstGroup {
		worst := worstGroup(g.cheapest.GroupWait)
		for i, group := range g.p.Groups {
			heavy[i] = group == worst
		}
	}
	for _, factor := range []float64{1.5, 3, 8, 20} {
		if ctx.Err() != nil {
			return out
		}
		s := newSearch(ctx, g.p, g.sv)
		for i := range heavy {
			if heavy[i] {
				s.e.weight[i] *= factor
			}
		}
		if g.p.FreeOrder {
			s.freeOrder()
		} else {
			s.givenOrder(g.cheapest.Order)
		}
		for _, c := range s.found {
			out = append(out, c.plan)
		}
	}
	return out
}

func worstGroup(wait []float64) int {
	worst := 0
	for i, w := range wait {
		if w > wait[worst] || math.IsNaN(wait[worst]) {
			worst = i
		}
	}
	return worst
}

// improve goes from plan by interval moves and, in free order, swaps, and takes
// each that lowers the value, until none does or the work is used up.
func (g *guard) improve(ctx context.Context, plan Plan, value float64) Plan {
	e, n := g.e, len(plan.Order)
	e.work = 0
	for better := true; better && e.work < g.budget && ctx.Err() == nil; {
		better = false
		e.set(plan.Order, plan.Times)
		g.from(0, math.Inf(1))
		for i := 0; i < n && e.work < g.budget; i++ {
			for j := i; j < n; j++ {
				for _, c := range g.changes(plan, i, j) {
					e.set(c.Order, c.Times)
					if v, ok := g.from(i, g.giveUp(value)); ok && v < value-1e-9 {
						plan, value, better = c, v, true
					}
				}
			}
			e.set(plan.Order, plan.Times)
			g.from(i, math.Inf(1))
		}
	}
	return plan
}

// giveUp is the waiting cost above which a plan can't be better than value.
func (g *guard) giveUp(value float64) float64 {
	if g.o.WorstGroup {
		return math.Inf(1)
	}
	return value*g.scale() - g.constant()
}

// changes returns the plans next to plan at the interval i..j.
func (g *guard) changes(plan Plan, i, j int) []Plan {
	var out []Plan
	n := len(plan.Order)
	for _, step := range []int{g.p.Grid, -g.p.Grid} {
		low := i == 0 || plan.Times[i]+step < plan.Times[i-1]
		if low || (j+1 < n && plan.Times[j]+step > plan.Times[j+1]) {
			continue
		}
		c := plan.clone()
		for k := i; k <= j; k++ {
			c.Times[k] += step
		}
		out = append(out, c)
	}
	if g.p.FreeOrder && j > i && g.e.class[plan.Order[i]] != g.e.class[plan.Order[j]] {
		c := Plan{slices.Clone(plan.Order), plan.Times}
		c.Order[i], c.Order[j] = c.Order[j], c.Order[i]
		out = append(out, c)
	}
	return out
}
