package schedule

import (
	"context"
	"math"
	"slices"

	"github.com/aimass/aimass/appointment"
)

// Day is a running session at minute Now, to be replanned after a cancellation
// (leave the patient out), a delay, a walk-in or an emergency.
type Day struct {
	// Now and Session are minutes from the session's start; Session is its planned
	// end. Grid is for the starts of walk-ins and for the steps of moves.
	Now, Session, Grid int
	Weights            Weights
	// Current is the patient with the doctor, if any.
	Current *InService
	// Waiting are patients who are present, in the order they are to be seen.
	Waiting []Present
	// Booked are patients who have a start and are not here yet.
	Booked []Booked
	// WalkIns are patients who came without a start and can be given one.
	WalkIns []Patient
	// MoveWorth is the least saving, in units of cost, for which a confirmed
	// patient's start is changed.
	MoveWorth float64
	// MaxLater is how many minutes later a confirmed patient may be asked to come;
	// negative means without limit.
	MaxLater int
	// WalkInDelay is the cost of a minute between now and a walk-in's start.
	WalkInDelay float64
	// Fixed moves nobody who has a start: the day is only looked at.
	Fixed bool
}

// InService is a consultation that has lasted Elapsed minutes.
type InService struct {
	Mean, CV float64
	Elapsed  int
}

// Present is a patient in the waiting room. Emergencies are seen before all
// others; one with Interrupt is seen before the current consultation goes on.
type Present struct {
	Mean, CV  float64
	Emergency bool
	Interrupt bool
}

// Booked is a future patient.
type Booked struct {
	Patient
	// Start is the minute the patient was given.
	Start int
	// Confirmed patients are never moved earlier unless EarlierOK.
	Confirmed bool
	EarlierOK bool
	// ETA is the minute the patient is expected if late; 0 means on time.
	ETA int
}

// Kind says what a [Turn] is.
type Kind int

// The kinds of turns.
const (
	KindCurrent Kind = iota
	KindWaiting
	KindBooked
	KindWalkIn
)

// Turn is one patient's place in the rest of the day.
type Turn struct {
	Kind Kind
	// Index in Day.Waiting, Day.Booked or Day.WalkIns; 0 for the current patient.
	Index int
	// Start is the minute from which the patient waits: now for those present.
	Start int
	// Wait is the expected wait from Start in minutes; for an interrupted current
	// patient, until the consultation goes on.
	Wait float64
}

// Replanned is the rest of the day.
type Replanned struct {
	// Turns in the order of service.
	Turns []Turn
	// Start of each of Day.Booked and of Day.WalkIns.
	Start, WalkInStart []int
	// Expected totals from now on, in minutes, and their weighted cost. Idle is the
	// doctor's idle time from now to the end.
	Cost, WaitTotal, Idle, Overtime float64
	// CostUnmoved is the cost if nobody is moved: late patients are seen when they
	// come, walk-ins at the best place.
	CostUnmoved float64
}

// Validate returns the first thing wrong with the day, as an
// [appointment.Error].
func (d *Day) Validate() error {
	p := d.problem()
	for _, w := range d.Waiting {
		p.Patients = append(p.Patients, Patient{Mean: w.Mean, CV: w.CV})
	}
	if d.Current != nil {
		p.Patients = append(p.Patients, Patient{Mean: d.Current.Mean, CV: d.Current.CV})
		if d.Current.Elapsed < 0 || d.Current.Elapsed > appointment.MaxSession {
			return appointment.Errorf(appointment.CodeBadSession, "elapsed", "%d", d.Current.Elapsed)
		}
	}
	if err := p.Validate(); err != nil {
		return err
	}
	if d.Now < 0 || d.Now > 2*appointment.MaxSession {
		return appointment.Errorf(appointment.CodeBadSession, "now", "%d", d.Now)
	}
	for i, v := range []float64{d.MoveWorth, d.WalkInDelay} {
		if err := appointment.CheckFinite("weights", i, v); err != nil {
			return err
		}
		if v < 0 {
			return appointment.Errorf(appointment.CodeNegativeWeight, "weights", "%v", v)
		}
	}
	for i, b := range d.Booked {
		if b.Start < 0 || b.Start > 2*appointment.MaxSession || b.ETA < 0 || b.ETA > 2*appointment.MaxSession {
			return appointment.Errorf(appointment.CodeBadPlan, "start", "patient %d has start %d, expected %d", i, b.Start, b.ETA)
		}
	}
	return nil
}

// problem holds the booked patients, then the walk-ins.
func (d *Day) problem() *Problem {
	p := &Problem{Session: d.Session, Grid: d.Grid, Weights: d.Weights}
	for _, b := range d.Booked {
		p.Patients = append(p.Patients, b.Patient)
	}
	p.Patients = append(p.Patients, d.WalkIns...)
	return p
}

// Replan orders and times the rest of the day for the least expected cost.
//
// Those present are seen in their order, emergencies first. Booked patients keep
// their order, except that late ones move behind those due before they come. A
// confirmed patient is never moved earlier without consent, nobody to a time
// that has passed, and no confirmed patient for less than MoveWorth.
func Replan(ctx context.Context, d *Day) (Replanned, error) {
	if err := d.Validate(); err != nil {
		return Replanned{}, err
	}
	r := newReplanner(d)
	r.seatWalkIns()
	unmoved := r.outcome().Cost
	before := slices.Clone(r.e.a)
	if r.e.n > 0 && !d.Fixed {
		r.e.descend([]int{2 * d.Grid, d.Grid}, r.e.work+timesBudget(r.e.n))
		r.takeBackSmallMoves(before)
	}
	if err := ctx.Err(); err != nil {
		return Replanned{}, err
	}
	moved := r.outcome()
	if moved.Cost > unmoved {
		copy(r.e.a, before)
		moved = r.outcome()
	}
	moved.CostUnmoved = unmoved
	return moved, nil
}

// replanner is the engine over future patients, on top of the work present.
type replanner struct {
	d  *Day
	p  *Problem
	sv services
	e  *engine
	// present are the turns of those here, and presentWork their expected minutes.
	present     []Turn
	presentWork float64
}

func newReplanner(d *Day) *replanner {
	p := d.problem()
	r := &replanner{d: d, p: p, sv: newServices(p.Patients)}
	r.e = newEngine(p, r.sv, 1)
	r.e.pinned, r.e.start = false, d.Now
	r.e.origin = r.seePresent()
	r.e.n = len(d.Booked)
	due := identity(len(d.Booked))
	slices.SortStableFunc(due, func(a, b int) int { return r.earliest(a) - r.earliest(b) })
	last := d.Now
	for _, i := range due {
		start := max(last, d.Now, d.Booked[i].Start, r.earliest(i))
		r.e.order = append(r.e.order, i)
		r.e.a = append(r.e.a, start)
		last = start
	}
	r.bounds()
	return r
}

// earliest is when booked patient i is due or, if late, expected.
func (r *replanner) earliest(i int) int {
	return max(r.d.Booked[i].Start, r.d.Booked[i].ETA)
}

// bounds sets the engine's bounds for its present order.
func (r *replanner) bounds() {
	e := r.e
	e.lb, e.ub = make([]int, e.n), make([]int, e.n)
	for k, i := range e.order[:e.n] {
		e.lb[k], e.ub[k] = r.d.Now, math.MaxInt
		if i >= len(r.d.Booked) {
			e.lb[k], e.ub[k] = e.a[k], e.a[k]
			continue
		}
		b := r.d.Booked[i]
		e.lb[k] = max(r.d.Now, b.ETA)
		if b.Confirmed && !b.EarlierOK {
			e.lb[k] = max(e.lb[k], b.Start)
		}
		if b.Confirmed && r.d.MaxLater >= 0 {
			e.ub[k] = max(e.a[k], b.Start+r.d.MaxLater)
		}
	}
}

// seePresent returns the distribution of the work present and notes the turns of
// those here.
func (r *replanner) seePresent() []float64 {
	v := []float64{1}
	see := func(kind Kind, index int, pmf []float64) {
		r.present = append(r.present, Turn{kind, index, r.d.Now, MeanOf(v)})
		r.presentWork += MeanOf(pmf)
		k := searchKernel(pmf, 1)
		v = slices.Clone(r.e.arrive(nil, v, &k))
	}
	seeWaiting := func(which func(Present) bool) {
		for i, w := range r.d.Waiting {
			if which(w) {
				see(KindWaiting, i, ServicePMF(w.Mean, w.CV))
			}
		}
	}
	seeWaiting(func(w Present) bool { return w.Emergency && w.Interrupt })
	if c := r.d.Current; c != nil {
		see(KindCurrent, 0, remaining(ServicePMF(c.Mean, c.CV), c.Elapsed))
	}
	seeWaiting(func(w Present) bool { return w.Emergency && !w.Interrupt })
	seeWaiting(func(w Present) bool { return !w.Emergency })
	return v
}

// remaining is the distribution of the rest of a service that has lasted elapsed
// minutes; beyond the longest service it is one minute.
func remaining(pmf []float64, elapsed int) []float64 {
	if elapsed <= 0 {
		return pmf
	}
	mass := 0.0
	for k := elapsed + 1; k < len(pmf); k++ {
		mass += pmf[k]
	}
	if mass <= 0 {
		return []float64{0, 1}
	}
	out := make([]float64, len(pmf)-elapsed)
	for k := elapsed + 1; k < len(pmf); k++ {
		out[k-elapsed] = pmf[k] / mass
	}
	return out
}

// seatWalkIns gives each walk-in the place and start, at or between the booked
// starts, that costs least.
func (r *replanner) seatWalkIns() {
	e, d := r.e, r.d
	for w := range d.WalkIns {
		id := len(d.Booked) + w
		order, times := slices.Clone(e.order[:e.n]), slices.Clone(e.a[:e.n])
		e.n++
		best, bestAt, bestStart := math.Inf(1), 0, 0
		for at := 0; at <= len(order); at++ {
			for _, start := range r.openings(times, at) {
				e.set(slices.Insert(slices.Clone(order), at, id), slices.Insert(slices.Clone(times), at, start))
				if c := e.cost() + d.WalkInDelay*float64(start-d.Now); c < best-1e-12 {
					best, bestAt, bestStart = c, at, start
				}
			}
		}
		e.set(slices.Insert(order, bestAt, id), slices.Insert(times, bestAt, bestStart))
	}
	r.bounds()
}

// openings are the starts to try for a walk-in at place at: on the grid, from
// the start before to the start after, or to the end of the session.
func (r *replanner) openings(times []int, at int) []int {
	grid := r.d.Grid
	from := r.d.Now
	if at > 0 {
		from = times[at-1]
	}
	to := max(from, r.d.Session)
	if at < len(times) {
		to = times[at]
	}
	from = (from + grid - 1) / grid * grid
	var out []int
	for t := from; t <= to && len(out) < 32; t += grid {
		out = append(out, t)
	}
	if len(out) == 0 && at == len(times) {
		out = append(out, from)
	}
	return out
}

// takeBackSmallMoves restores starts of confirmed patients where that costs no
// more than MoveWorth.
func (r *replanner) takeBackSmallMoves(before []int) {
	e := r.e
	for k, i := range e.order[:e.n] {
		if i >= len(r.d.Booked) || !r.d.Booked[i].Confirmed || e.a[k] == before[k] {
			continue
		}
		if (k > 0 && before[k] < e.a[k-1]) || (k+1 < e.n && before[k] > e.a[k+1]) {
			continue
		}
		moved := e.cost()
		t := e.a[k]
		e.a[k] = before[k]
		if e.cost()-moved > r.d.MoveWorth {
			e.a[k] = t
		}
	}
}

// outcome evaluates the engine's present plan.
func (r *replanner) outcome() Replanned {
	e, d := r.e, r.d
	out := Replanned{Turns: slices.Clone(r.present), Start: make([]int, len(d.Booked)), WalkInStart: make([]int, len(d.WalkIns))}
	busy := r.presentWork
	for _, t := range r.present {
		out.WaitTotal += t.Wait
	}
	v, last := e.origin, d.Now
	for k := range e.n {
		id := e.order[k]
		w := shifted(nil, v, e.a[k]-last)
		last = e.a[k]
		turn := Turn{KindBooked, id, last, MeanOf(w)}
		if id >= len(d.Booked) {
			turn.Kind, turn.Index = KindWalkIn, id-len(d.Booked)
			out.WalkInStart[turn.Index] = last
		} else {
			out.Start[id] = last
		}
		out.Turns = append(out.Turns, turn)
		q := 1 - r.p.Patients[id].NoShow
		out.WaitTotal += q * turn.Wait
		busy += q * r.sv.mean[id]
		v = e.arrive(nil, w, &e.kern[id])
	}
	for k, x := range v {
		out.Overtime += x * math.Max(float64(k+last-d.Session), 0)
	}
	out.Idle = math.Max(0, float64(max(d.Session, d.Now)-d.Now)+out.Overtime-math.Max(0, float64(d.Now-d.Session))-busy)
	out.Cost = d.Weights.Wait*out.WaitTotal + d.Weights.Idle*out.Idle + d.Weights.Overtime*out.Overtime
	return out
}
