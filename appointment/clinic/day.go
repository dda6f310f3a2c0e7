package clinic

import (
	"context"
	"slices"
	"time"

	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/clinic/forecast"
	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/appointment/wait"
)

// half is one half-day of a doctor: who is booked, and what is predicted.
type half struct {
	Doctor  book.Doctor
	Session time.Time
	// Minutes is its planned length, Interval that of a slot.
	Minutes, Interval int
	Guests            []guest
	// Free slots that lie ahead.
	Free int
	// Running says that it is under way: then waits are those of the rest of the day.
	Running bool
	// Predicted is false where the models could not be asked.
	Predicted bool
	// Cost of the half-day as it stands.
	Cost float32
}

// guest is one appointment of a half-day.
type guest struct {
	book.Appointment
	Name string
	// Minute of the start, Mean length of the visit.
	Minute, Mean int
	// Risk of not coming; negative if it is not known.
	Risk float32
	// Wait in minutes: half and 90 % stay under these. While the half-day is running,
	// Expected is the expected wait from now or from the start.
	Wait     forecast.Wait
	Expected float32
	// Place in the order of service from 0, -1 for who has been seen.
	Place int
}

// Gone reports whether the visit is over.
func (g *guest) Gone() bool { return g.Status == book.Fulfilled || g.Status == book.NoShow }

// halfDay reads a half-day by its start. Holds do not count as guests.
func (s *Clinic) halfDay(doctor string, session time.Time) (*half, error) {
	d, err := s.book.Doctor(doctor)
	if err != nil {
		return nil, err
	}
	all, err := s.book.Slots(doctor, session, session.Add(24*time.Hour))
	if err != nil {
		return nil, err
	}
	slots := slices.DeleteFunc(all, func(o book.Slot) bool { return !o.Session.Equal(session) })
	return s.halfOf(d, session, slots)
}

func (s *Clinic) halfOf(d book.Doctor, session time.Time, slots []book.Slot) (*half, error) {
	h := &half{Doctor: d, Session: session.In(s.book.Zone())}
	now := s.now()
	for _, slot := range slots {
		h.Minutes = max(h.Minutes, int(slot.End.Sub(session)/time.Minute))
		h.Interval = int(slot.End.Sub(slot.Start) / time.Minute)
		if slot.Status == book.Free && slot.Start.After(now) {
			h.Free++
		}
		if slot.Status != book.Busy {
			continue
		}
		v, err := s.book.Appointment(slot.Appointment)
		if err != nil {
			return nil, err
		}
		g := guest{Appointment: v, Risk: v.Risk, Place: -1, Minute: int(v.Start.Sub(session) / time.Minute), Mean: int(s.c.Staff.VisitTypes[v.VisitType].Mean + .5),
			Expected: -1}
		g.Start, g.Offer = v.Start.In(s.book.Zone()), inZone(v.Offer, s.book.Zone())
		if p, err := s.book.Patient(v.Patient); err == nil {
			g.Name = p.Name
		}
		h.Guests = append(h.Guests, g)
	}
	slices.SortStableFunc(h.Guests, func(a, b guest) int { return a.Minute - b.Minute })
	begun := slices.ContainsFunc(h.Guests, func(g guest) bool { return g.Status == book.Arrived && !g.BegunAt.IsZero() })
	over := !slices.ContainsFunc(h.Guests, func(g guest) bool { return !g.Gone() })
	h.Running = !over && (begun || !now.Before(session)) && now.Before(session.Add(16*time.Hour))
	return h, nil
}

func inZone(t time.Time, zone *time.Location) time.Time {
	if t.IsZero() {
		return t
	}
	return t.In(zone)
}

// day reads a doctor's half-days of a day.
func (s *Clinic) day(doctor string, day time.Time) ([]*half, error) {
	d, err := s.book.Doctor(doctor)
	if err != nil {
		return nil, err
	}
	from, to := book.DayBounds(day, s.book.Zone())
	slots, err := s.book.Slots(doctor, from, to)
	if err != nil {
		return nil, err
	}
	var out []*half
	for len(slots) > 0 {
		session := slots[0].Session
		part := slices.DeleteFunc(slices.Clone(slots), func(o book.Slot) bool { return !o.Session.Equal(session) })
		slots = slices.DeleteFunc(slots, func(o book.Slot) bool { return o.Session.Equal(session) })
		h, err := s.halfOf(d, session, part)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// foresee asks the models about a half-day: who may not come, who will wait how long. What
// can't be asked stays out.
func (s *Clinic) foresee(ctx context.Context, h *half) {
	if err := s.foreseeAll(ctx, h); err != nil {
		if ctx.Err() != nil {
			return // the page has gone
		}
		s.c.Log.Warn("no predictions", "doctor", h.Doctor.ID, "error", err)
		return
	}
	h.Predicted = true
}

func (s *Clinic) foreseeAll(ctx context.Context, h *half) error {
	if len(h.Guests) == 0 {
		return nil
	}
	if err := s.foreseeRisks(ctx, h); err != nil {
		return err
	}
	waits, err := s.ask.Waits(ctx, h.Doctor.Number, h.Interval, s.planned(h.Guests))
	if err != nil {
		return err
	}
	for i := range h.Guests {
		h.Guests[i].Wait = waits[i]
	}
	rest, at := s.rest(h)
	if len(rest.Guests) == 0 {
		return nil
	}
	run, err := s.ask.Day(ctx, rest, h.minute(s.now()), false)
	if err != nil {
		return err
	}
	for k, i := range at {
		h.Guests[i].Place, h.Guests[i].Expected = run.Place[k], run.Wait[k]
	}
	h.Cost = run.Cost
	return nil
}

// foreseeRisks fills the probabilities of not coming: on the day itself as known then.
func (s *Clinic) foreseeRisks(ctx context.Context, h *half) error {
	from, _ := book.DayBounds(h.Session, s.book.Zone())
	moment := noshow.Booking
	if !s.now().Before(from) {
		moment = noshow.DayOf
	}
	var visits []forecast.Visit
	for i := range h.Guests {
		g := &h.Guests[i]
		p, err := s.book.Patient(g.Patient)
		if err != nil {
			return err
		}
		visits = append(visits, forecast.Visit{Patient: &p.Patient, Booked: g.Created.In(s.book.Zone()), Start: g.Start, Reminded: g.Reminded})
	}
	risks, err := s.ask.NoShow(ctx, moment, visits)
	for i, r := range risks {
		h.Guests[i].Risk = r
	}
	return err
}

func (s *Clinic) planned(guests []guest) []wait.Planned {
	out := make([]wait.Planned, len(guests))
	for i := range guests {
		g := &guests[i]
		out[i] = wait.Planned{Type: g.VisitType, NoShow: float64(max(0, g.Risk)), Mean: s.c.Staff.VisitTypes[g.VisitType].Mean, Minute: float64(g.Minute)}
	}
	return out
}

// waitAt predicts the wait of somebody who would be booked into a half-day.
func (s *Clinic) waitAt(ctx context.Context, h *half, a *book.Ask) (forecast.Wait, error) {
	self := guest{Appointment: book.Appointment{VisitType: a.VisitType}, Minute: int(a.Start.Sub(h.Session) / time.Minute), Risk: a.Risk}
	guests := append(slices.Clone(h.Guests), self)
	slices.SortStableFunc(guests, func(a, b guest) int { return a.Minute - b.Minute })
	at := slices.IndexFunc(guests, func(g guest) bool { return g.ID == "" })
	waits, err := s.ask.Waits(ctx, h.Doctor.Number, h.Interval, s.planned(guests))
	if err != nil {
		return forecast.Wait{}, err
	}
	return waits[at], nil
}

// minute is the minute of a half-day that an instant is; before it begins that is 0.
func (h *half) minute(t time.Time) int { return max(0, int(t.Sub(h.Session)/time.Minute)) }

// earlyBird is how long before the start somebody who is here is taken in turn.
const earlyBird = 20 * time.Minute

// rest are the guests still to be seen, as appt-day is told of them, and their places
// among the half-day's.
func (s *Clinic) rest(h *half) (forecast.Session, []int) {
	out := forecast.Session{Minutes: h.Minutes}
	now := s.now()
	var at []int
	for i := range h.Guests {
		g := &h.Guests[i]
		if g.Gone() {
			continue
		}
		kind := s.c.Staff.VisitTypes[g.VisitType]
		v := forecast.Guest{Mean: float32(kind.Mean), CV: float32(kind.CV), NoShow: max(0, g.Risk), Start: g.Minute}
		state := schedule.StateBooked
		switch {
		case g.Status == book.Arrived && !g.BegunAt.IsZero():
			state, v.Start = schedule.StateInService, h.minute(g.BegunAt)
		case g.Status == book.Arrived && g.Emergency:
			state, v.Start = schedule.StateEmergency, h.minute(g.ArrivedAt)
		case g.Status == book.Arrived && now.Before(g.Start.Add(-earlyBird)):
			state = schedule.StateConfirmed // who comes long before the start does not go before others
		case g.Status == book.Arrived:
			state, v.Start = schedule.StateWaiting, max(g.Minute, h.minute(g.ArrivedAt))
		case g.Status == book.Booked && g.EarlierOK:
			state = schedule.StateFlexible
		case g.Status == book.Booked:
			state = schedule.StateConfirmed
		}
		if !g.ETA.IsZero() {
			v.ETA = h.minute(g.ETA)
		}
		v.State = int(state)
		out.Guests = append(out.Guests, v)
		at = append(at, i)
	}
	return out, at
}

// whatIf is a half-day with other starts: minutes by appointment.
type whatIf map[string]int

// outcome of a what-if, for the doctor's page.
type outcome struct {
	// Guests by appointment.
	Guests map[string]outcomeGuest `json:"guests"`
	// Cost as asked, and as the half-day stands.
	Cost   float32 `json:"cost"`
	Before float32 `json:"before"`
}

type outcomeGuest struct {
	Minute int     `json:"minute"`
	Wait   float32 `json:"wait"`
}

// tryStarts evaluates other starts exactly, without changing anything.
func (s *Clinic) tryStarts(ctx context.Context, h *half, starts whatIf) (*outcome, error) {
	return s.evaluate(ctx, h, starts, false)
}

// suggest looks for better starts.
func (s *Clinic) suggest(ctx context.Context, h *half) (*outcome, error) {
	return s.evaluate(ctx, h, nil, true)
}

func (s *Clinic) evaluate(ctx context.Context, h *half, starts whatIf, move bool) (*outcome, error) {
	if err := s.foreseeRisks(ctx, h); err != nil {
		return nil, err
	}
	rest, at := s.rest(h)
	now := h.minute(s.now())
	out := &outcome{Guests: map[string]outcomeGuest{}}
	if len(at) == 0 {
		return out, nil
	}
	before, err := s.ask.Day(ctx, rest, now, false)
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		if m, ok := starts[h.Guests[i].ID]; ok && rest.Guests[k].State <= int(schedule.StateFlexible) {
			rest.Guests[k].Start = m
		}
	}
	var after *forecast.Running
	if move && !h.Running { // nobody is under way: the best plan of all
		after, err = s.planAhead(ctx, rest)
	} else {
		after, err = s.ask.Day(ctx, rest, now, move)
	}
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		g := outcomeGuest{h.Guests[i].Minute, after.Wait[k]}
		if rest.Guests[k].State <= int(schedule.StateFlexible) {
			g.Minute = after.Start[k]
		}
		out.Guests[h.Guests[i].ID] = g
	}
	out.Cost, out.Before = after.Cost, before.Cost
	return out, nil
}

// planAhead is the best plan of a half-day that has not begun, where everybody may be
// asked to come at another time.
func (s *Clinic) planAhead(ctx context.Context, rest forecast.Session) (*forecast.Running, error) {
	p, err := s.ask.Plan(ctx, rest)
	if err != nil {
		return nil, err
	}
	return &forecast.Running{Start: p.Start, Wait: p.Wait, Cost: p.Cost}, nil
}

// place is where a patient stands in the queue of today.
type place struct {
	// Ahead counts those who are seen before; With says that the doctor has time now.
	Ahead int
	With  bool
	// Expected wait in minutes from now on, or from the start if that lies ahead; and the
	// wait that 90 % stay under.
	Expected, P90 float32
	Known         bool
}

// queue finds a patient's place.
func (s *Clinic) queue(ctx context.Context, v *book.Appointment) (place, error) {
	slot, err := s.book.Slot(book.SlotID(v.Doctor, v.Slot))
	if err != nil {
		return place{}, err
	}
	h, err := s.halfDay(v.Doctor, slot.Session)
	if err != nil {
		return place{}, err
	}
	s.foresee(ctx, h)
	at := slices.IndexFunc(h.Guests, func(g guest) bool { return g.ID == v.ID })
	if at < 0 {
		return place{}, nil
	}
	me := &h.Guests[at]
	out := place{With: !me.BegunAt.IsZero() && me.Status == book.Arrived, Expected: me.Expected, P90: me.Wait.P90, Known: h.Predicted}
	for i := range h.Guests {
		if g := &h.Guests[i]; !g.Gone() && i != at && (h.Predicted && g.Place < me.Place || !h.Predicted && i < at) {
			out.Ahead++
		}
	}
	return out, nil
}
