package clinic

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
)

// The people of the demo do not exist. Their names are put together from these.
var (
	givenNames = []string{"Amara", "Anton", "Beatriz", "Björn", "Carlos", "Chiara", "Daniela", "David", "Elif", "Emma", "Farid", "Freya", "Grace", "Hiro", "Ines",
		"Jonas", "Kavya", "Lars", "Leila", "Li", "Mateo", "Mei", "Nadia", "Noor", "Oskar", "Priya", "Rafael", "Sofia", "Tomás", "Yara"}
	familyNames = []string{"Abebe", "Becker", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova", "Jensen", "Kimura", "Lopes", "Müller",
		"Nguyen", "Okoye", "Petrova", "Rossi", "Sharma", "Silva", "Tanaka", "Vargas", "Weber"}
)

const (
	demoPatients = 400
	demoDays     = 14 // with bookings
)

// Populate fills an empty book with people who do not exist and their bookings, by the
// pattern of the staff's file. The same seed makes the same clinic.
func (s *Clinic) Populate(seed uint64) error {
	if have, err := s.book.Patients(); err != nil || len(have) > 0 {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0x70656f706c65))
	list := make([]book.Patient, demoPatients)
	for i := range list {
		p := recommend.Patient{ID: fmt.Sprintf("s-%03d", i+1), Age: rng.IntN(90), Male: rng.Float64() < .45, Scholarship: rng.Float64() < .1,
			Hypertension: rng.Float64() < .2, Diabetes: rng.Float64() < .07}
		if i < len(s.c.Staff.Patients) {
			p = s.c.Staff.Patients[i]
			p.Open = nil
		}
		list[i] = book.Patient{Patient: p, Name: givenNames[rng.IntN(len(givenNames))] + " " + familyNames[rng.IntN(len(familyNames))]}
	}
	if err := s.book.AddPatients(list); err != nil {
		return err
	}
	now, err := s.book.Clock().Now()
	if err != nil {
		return err
	}
	others := list[len(s.c.Staff.Patients):] // whom nobody is offered to be
	var asks []book.Ask
	zone := s.book.Zone()
	first := book.Noon(now, zone)
	for i := range s.c.Staff.Doctors {
		d := &s.c.Staff.Doctors[i]
		for n := range demoDays {
			day := first.AddDate(0, 0, n)
			for _, h := range d.Sessions {
				if h.Weekday != (int(day.Weekday())+6)%7 {
					continue
				}
				at, err := time.Parse("15:04", h.Start)
				if err != nil {
					return err
				}
				start, err := appointment.LocalTime("hours", day, at.Hour(), at.Minute(), zone)
				if err != nil {
					continue
				}
				for slot, mark := range []byte(h.Booked[(n/7)%len(h.Booked)]) {
					t := start.Add(time.Duration(slot*h.Minutes) * time.Minute)
					if mark == '.' || t.Before(now) {
						continue
					}
					asks = append(asks, book.Ask{Patient: others[rng.IntN(len(others))].ID, Doctor: d.ID, Start: t, Need: d.Specialities[0], VisitType: int(mark - '0'),
						Urgency: 1, Risk: -1, WaitP90: -1})
				}
			}
		}
	}
	return s.book.Import("demo", asks)
}

// habits are what somebody of the demo will do, always the same for one appointment.
type habits struct {
	comes    bool
	late     time.Duration // against the start; negative is early
	takes    time.Duration
	approved bool
}

func (s *Clinic) habitsOf(v *book.Appointment) habits {
	h := fnv.New64a()
	_, _ = h.Write([]byte(v.ID))
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	kind := s.c.Staff.VisitTypes[v.VisitType]
	s2 := math.Log(1 + kind.CV*kind.CV)
	minutes := func(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
	risk := float64(v.Risk)
	if risk < 0 {
		risk = s.c.Staff.NoShow
	}
	return habits{
		comes: rng.Float64() >= risk, late: minutes(-5 + 8*rng.NormFloat64()),
		takes: minutes(math.Exp(math.Log(kind.Mean) - s2/2 + math.Sqrt(s2)*rng.NormFloat64())), approved: rng.Float64() < .95,
	}
}

// People plays the demo's doctors and patients until ctx is done: patients ask for
// recommendations and book, come or stay away, doctors answer and see them. A doctor whose
// page is open is left to whoever has it open, as is a patient somebody has chosen to be.
func (s *Clinic) People(ctx context.Context, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.book.Clock().Now()
		if err != nil {
			continue
		}
		doctors, err := s.book.Doctors()
		if err != nil {
			return
		}
		for i := range doctors {
			s.playDoctor(&doctors[i], now, pace)
		}
		if n%10 == 0 {
			s.playAsk(ctx, rng)
		}
	}
}

// playDoctor does what is due in a doctor's practice. Steps that the state has forbidden in
// the meantime are not done, which is as it should be.
func (s *Clinic) playDoctor(d *book.Doctor, now time.Time, pace time.Duration) {
	watched := s.Watched(d.ID)
	if pending, err := s.book.Inbox(d.ID); err == nil && !watched {
		for i := range pending {
			v := &pending[i]
			switch {
			case now.Sub(v.Updated) < 8*pace: // a doctor looks at the inbox now and then
			case s.habitsOf(v).approved:
				_, _ = s.book.Approve(d.ID, v.ID, v.Version)
			default:
				_, _ = s.book.Cancel(d.ID, v.ID, v.Version, say(english, "decline-reason"))
			}
		}
	}
	from, to := book.DayBounds(now, s.book.Zone())
	day, err := s.book.Day(d.ID, from, to)
	if err != nil {
		return
	}
	inService := slices.ContainsFunc(day, func(v book.Appointment) bool { return v.Status == book.Arrived && !v.BegunAt.IsZero() })
	for i := range day {
		v := &day[i]
		h := s.habitsOf(v)
		switch {
		case v.Status == book.Booked && h.comes && !s.Watched(v.Patient) && !now.Before(v.Start.Add(h.late)):
			_, _ = s.book.Arrive(v.Patient, v.ID, v.Version)
		case watched:
		case v.Status == book.Booked && !h.comes && now.After(v.Start.Add(15*time.Minute)) && !s.Watched(v.Patient):
			_, _ = s.book.Miss(d.ID, v.ID, v.Version)
		case v.Status == book.Arrived && v.BegunAt.IsZero() && !inService && !now.Before(v.Slot.Add(-10*time.Minute)):
			if _, err := s.book.Begin(d.ID, v.ID, v.Version); err == nil {
				inService = true
			}
		case v.Status == book.Arrived && !v.BegunAt.IsZero() && now.Sub(v.BegunAt) >= h.takes:
			_, _ = s.book.Fulfil(d.ID, v.ID, v.Version)
		}
	}
}

// playAsk lets somebody book what is recommended.
func (s *Clinic) playAsk(ctx context.Context, rng *rand.Rand) {
	id := fmt.Sprintf("s-%03d", len(s.c.Staff.Patients)+1+rng.IntN(demoPatients-len(s.c.Staff.Patients)))
	if s.Watched(id) {
		return
	}
	need := s.c.Staff.Specialities[rng.IntN(len(s.c.Staff.Specialities))].Code
	list, err := s.recommend(ctx, wish{patient: id, need: need, from: s.now(), urgency: 1})
	if err != nil || len(list) == 0 {
		return
	}
	c := list[min(len(list)-1, int(math.Abs(rng.NormFloat64())))]
	a := book.Ask{Patient: id, Doctor: c.Doctor, Start: c.Start, Need: need, Urgency: 1}
	s.predict(ctx, &a)
	_, _ = s.book.BookNow(id, a) // somebody may have been faster
}
