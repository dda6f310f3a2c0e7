package year

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/appointment/sim"
)

// Totals of a set of half-days or of a group.
type Totals struct {
	// Cost is Wait, Idle and Overtime, in minutes, at their weights.
	Cost, Wait, Idle, Overtime float64
	// Seen patients, booked ones, and of those with a doctor of their own how many kept
	// that doctor.
	Seen, Booked, Regulars, Kept int
	Sessions                     int
}

// MeanWait is the wait of those seen, in minutes.
func (t *Totals) MeanWait() float64 {
	if t.Seen == 0 {
		return 0
	}
	return t.Wait / float64(t.Seen)
}

func (t *Totals) add(o *Totals) {
	t.Cost, t.Wait, t.Idle, t.Overtime = t.Cost+o.Cost, t.Wait+o.Wait, t.Idle+o.Idle, t.Overtime+o.Overtime
	t.Seen, t.Booked, t.Regulars, t.Kept, t.Sessions = t.Seen+o.Seen, t.Booked+o.Booked, t.Regulars+o.Regulars, t.Kept+o.Kept, t.Sessions+o.Sessions
}

// Outcome is a policy's year.
type Outcome struct {
	Policy Policy
	Totals
	// Groups has the waits of each of GroupNames.
	Groups []Totals
	// Months are parts of twelve of the year.
	Months []Totals
}

// Report of a year.
type Report struct {
	Config   Config
	Outcomes [numPolicies]Outcome
	// NoShow is the share of all booked patients who stayed away, Risk the mean of what the
	// model said.
	NoShow, Risk float64
}

// GroupNames are the groups that waits are reported for; a patient is in several.
func GroupNames() []string {
	return []string{"risk low", "risk medium", "risk high", "first visit", "return", "complex visit", "women", "men", "under 18", "18 to 64", "65 and over",
		"social benefit"}
}

// groupsOf lists a visit's groups by their place in GroupNames. Bands of risk are those of
// the no-show model's card.
func groupsOf(v *visit) []int {
	out := make([]int, 0, 5)
	switch {
	case v.risk < .2:
		out = append(out, 0)
	case v.risk < .35:
		out = append(out, 1)
	default:
		out = append(out, 2)
	}
	out = append(out, 3+v.kind)
	if v.record.Male {
		out = append(out, 7)
	} else {
		out = append(out, 6)
	}
	switch {
	case v.record.Age < 18:
		out = append(out, 8)
	case v.record.Age < 65:
		out = append(out, 9)
	default:
		out = append(out, 10)
	}
	if v.record.Scholarship {
		out = append(out, 11)
	}
	return out
}

const months = 12

// Run plays the year under every policy.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	w, err := newWorld(ctx, cfg)
	if err != nil {
		return nil, err
	}
	played := make([][numPolicies]Outcome, len(w.days))
	errs := make([]error, len(w.days))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range max(cfg.Workers, 1) {
		workers.Go(func() {
			for d := int(next.Add(1)) - 1; d < len(w.days); d = int(next.Add(1)) - 1 {
				for p := range numPolicies {
					if played[d][p], err = w.play(ctx, p, d); err != nil {
						errs[d] = err
						return
					}
				}
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return w.report(played), nil
}

// report adds the days up.
func (w *world) report(played [][numPolicies]Outcome) *Report {
	r := &Report{Config: w.cfg}
	for p := range numPolicies {
		o := &r.Outcomes[p]
		o.Policy, o.Groups, o.Months = p, make([]Totals, len(GroupNames())), make([]Totals, months)
		for d := range played {
			day := &played[d][p]
			o.add(&day.Totals)
			o.Months[d*months/len(played)].add(&day.Totals)
			for g := range day.Groups {
				o.Groups[g].add(&day.Groups[g])
			}
		}
	}
	booked := 0.0
	for _, day := range w.days {
		for i := range day {
			booked++
			r.Risk += day[i].risk
			if day[i].record.NoShow {
				r.NoShow++
			}
		}
	}
	r.Risk, r.NoShow = r.Risk/booked, r.NoShow/booked
	return r
}

// play plays one day under one policy.
func (w *world) play(ctx context.Context, p Policy, d int) (Outcome, error) {
	day := w.days[d]
	out := Outcome{Policy: p, Groups: make([]Totals, len(GroupNames()))}
	lists, err := w.assignments(ctx, p, day)
	if err != nil {
		return out, err
	}
	for doctor, list := range lists {
		if len(list) == 0 {
			out.Idle += float64(w.cfg.Session)
			out.Sessions++
			continue
		}
		pl, err := w.starts(ctx, p, w.problem(doctor, list, day))
		if err != nil {
			return out, fmt.Errorf("day %d, doctor %d: %w", d, doctor, err)
		}
		// The doctor is as late and the patients as unpunctual under every policy, up to
		// the order of the draws.
		rng := rand.New(rand.NewPCG(w.cfg.Seed^uint64(d)<<20, uint64(doctor)))
		w.session(&out, doctor, list, day, pl, rng)
	}
	out.Cost = w.cfg.Weights.Wait*out.Wait + w.cfg.Weights.Idle*out.Idle + w.cfg.Weights.Overtime*out.Overtime
	return out, nil
}

// session plays one half-day and adds it to the outcome.
func (w *world) session(out *Outcome, doctor int, list []int, day []visit, pl plan, rng *rand.Rand) {
	s := sim.Session{
		Planned: float64(w.cfg.Session), Order: sim.ByArrival,
		Punctuality: sim.Normal(w.clinic.ArrivalMean, w.clinic.ArrivalSD), Late: sim.Normal(w.clinic.LateMean, w.clinic.LateSD),
	}
	for k, place := range pl.order {
		v := &day[list[place]]
		work, absent := v.work*w.pace[doctor], 0.0
		if v.record.NoShow {
			absent = 1
		}
		s.Visits = append(s.Visits, sim.Visit{Appointment: float64(pl.times[k]), NoShow: absent, Service: func(*rand.Rand) float64 { return work }})
	}
	o := s.Run(rng)
	out.Sessions++
	out.Wait, out.Idle, out.Overtime = out.Wait+o.Wait, out.Idle+o.Idle, out.Overtime+o.Overtime
	for k, place := range pl.order {
		v := &day[list[place]]
		one := Totals{Booked: 1}
		if v.prior >= 0 {
			one.Regulars = 1
			if v.prior == doctor {
				one.Kept = 1
			}
		}
		out.Booked, out.Regulars, out.Kept = out.Booked+1, out.Regulars+one.Regulars, out.Kept+one.Kept
		if o.Seen[k].Came {
			one.Seen, one.Wait = 1, o.Seen[k].Wait
			out.Seen++
		}
		for _, g := range groupsOf(v) {
			out.Groups[g].add(&one)
		}
	}
}

// Gate returns an error naming the first bar that is missed: the models' cost at least
// 15 % below each other policy's, and no group's mean wait more than 10 % above the mean
// of all.
func (r *Report) Gate() error {
	ours := &r.Outcomes[Models]
	for _, p := range []Policy{FirstCome, BaileyWelch} {
		if ratio := ours.Cost / r.Outcomes[p].Cost; ratio > .85 {
			return fmt.Errorf("clinic year: the models' cost is %.3f of that of %q, must be .85 or less", ratio, p)
		}
	}
	for g, name := range GroupNames() {
		if t := &ours.Groups[g]; t.Seen > 0 && t.MeanWait() > 1.1*ours.MeanWait() {
			return fmt.Errorf("clinic year: %q wait %.2f minutes, the mean is %.2f: more than 10 %% above", name, t.MeanWait(), ours.MeanWait())
		}
	}
	return nil
}

// sorted lists group places by mean wait, longest first.
func (o *Outcome) sorted() []int {
	var out []int
	for g := range o.Groups {
		if o.Groups[g].Seen > 0 {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int {
		if o.Groups[a].MeanWait() > o.Groups[b].MeanWait() {
			return -1
		}
		return 1
	})
	return out
}
