package year

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/appointment/assign"
	"github.com/aimass/aimass/appointment/schedule"
)

// Policy is a way to run the clinic.
type Policy int

// The policies.
const (
	FirstCome Policy = iota
	BaileyWelch
	Scheduled
	Models
	numPolicies
)

// String names the policy for people.
func (p Policy) String() string {
	return [...]string{"first come, equal intervals", "Bailey-Welch, double booking", "first come, appt-schedule", "appt-assign, appt-schedule"}[p]
}

// plan is one doctor's half-day: patients in order with their start minutes.
type plan struct {
	order []int
	times []int
}

// assignments gives each doctor's visits of a day, in the order of their places.
func (w *world) assignments(ctx context.Context, p Policy, day []visit) ([][]int, error) {
	if p == Models {
		return w.assigned(ctx, day)
	}
	return w.firstCome(day), nil
}

// firstCome gives each request, in the order of booking, the first free place of a doctor
// who can help.
func (w *world) firstCome(day []visit) [][]int {
	out := make([][]int, w.cfg.Doctors)
	for i, v := range day {
		best := -1
		for d := range out {
			if answers(d, v.need) && (best < 0 || len(out[d]) < len(out[best])) {
				best = d
			}
		}
		out[best] = append(out[best], i)
	}
	return out
}

// assigned solves the day's assignment. Places are enough for a doctor to be half as busy
// again as the mean.
func (w *world) assigned(ctx context.Context, day []visit) ([][]int, error) {
	r, d := len(day), w.cfg.Doctors
	s := int(math.Ceil(1.5 * float64(r) / float64(d)))
	t := &assign.Tensors{
		R: r, D: d, S: s, Eligible: make([]bool, r*d), PriorDoctor: make([]int32, r), Urgency: slices.Repeat([]float32{1}, r),
		NoShow: make([]float32, r), Preference: make([]float32, r*d*s), SlotFree: slices.Repeat([]bool{true}, d*s),
	}
	wish := w.wishes(r)
	for i, v := range day {
		t.PriorDoctor[i], t.NoShow[i] = int32(v.prior), float32(v.risk)
		for k := range d {
			t.Eligible[i*d+k] = answers(k, v.need)
			for at := range s {
				t.Preference[(i*d+k)*s+at] = wish[k]
			}
		}
	}
	res, err := assign.SolveTensors(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("clinic year: %w", err)
	}
	out := make([][]int, d)
	for i := range day {
		if res.Doctor[i] < 0 {
			return nil, fmt.Errorf("clinic year: request %d of %d got no place", i, r)
		}
		out[res.Doctor[i]] = append(out[res.Doctor[i]], i)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(res.Slot[a], res.Slot[b]) })
	}
	return out, nil
}

// wishes are the preferences that make the assignment's even spread an even spread of
// work: a doctor who is slower should have fewer patients. The k-th patient of a doctor
// costs k steps of DoctorStep, so a doctor whose fair number is n below the mean is wished
// less by the price of n steps.
func (w *world) wishes(requests int) []float32 {
	c := assign.DefaultCosts()
	speed := 0.0
	for _, p := range w.pace {
		speed += 1 / p
	}
	out := make([]float32, len(w.pace))
	for d, p := range w.pace {
		below := float64(requests) * (1/float64(len(w.pace)) - 1/p/speed)
		out[d] = float32(1 - below*float64(c.DoctorStep)/float64(c.Wish))
	}
	return out
}

// problem is a doctor's half-day as the planner sees it.
func (w *world) problem(doctor int, list []int, day []visit) *schedule.Problem {
	p := &schedule.Problem{Session: w.cfg.Session, Grid: w.cfg.Grid, Weights: w.cfg.Weights}
	for _, i := range list {
		t := w.clinic.Types[day[i].kind]
		p.Patients = append(p.Patients, schedule.Patient{NoShow: day[i].risk, Mean: t.Mean * w.pace[doctor], CV: t.CV})
	}
	return p
}

// starts plans one doctor's half-day; the plan's order is of places in list.
func (w *world) starts(ctx context.Context, policy Policy, p *schedule.Problem) (plan, error) {
	n := len(p.Patients)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	switch policy {
	case FirstCome:
		return plan{order, schedule.RuleEqual.Times(p)}, nil
	case BaileyWelch:
		return overbooked(p), nil
	}
	s, err := schedule.Solve(ctx, p)
	if err != nil {
		return plan{}, fmt.Errorf("clinic year: %w", err)
	}
	return plan{s.Order, s.Times}, nil
}

// overbooked has as many starts as patients are expected, by the rule of Bailey and Welch,
// and books those most likely to stay away a second time on starts spread over the half-day.
func overbooked(p *schedule.Problem) plan {
	n := len(p.Patients)
	expected := 0.0
	for _, q := range p.Patients {
		expected += 1 - q.NoShow
	}
	starts := min(n, max(1, int(math.Ceil(expected)))) // somebody must come first, be it sure that nobody comes
	byRisk := make([]int, n)
	for i := range byRisk {
		byRisk[i] = i
	}
	slices.SortStableFunc(byRisk, func(a, b int) int { return cmp.Compare(p.Patients[b].NoShow, p.Patients[a].NoShow) })
	second := make([]bool, n)
	for _, i := range byRisk[:n-starts] {
		second[i] = true
	}
	rule := *p
	rule.Patients = nil
	for i, q := range p.Patients {
		if !second[i] {
			rule.Patients = append(rule.Patients, q)
		}
	}
	times := schedule.RuleBaileyWelch.Times(&rule)
	out := plan{}
	extra := byRisk[:n-starts]
	slices.Sort(extra)
	k, next := 0, 0
	for i := range p.Patients {
		if second[i] {
			continue
		}
		out.order, out.times = append(out.order, i), append(out.times, times[k])
		k++
		for next < len(extra) && k*len(extra) >= (next+1)*starts-starts/2 {
			out.order, out.times = append(out.order, extra[next]), append(out.times, times[k-1])
			next++
		}
	}
	return out
}
