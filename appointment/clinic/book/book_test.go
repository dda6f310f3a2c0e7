package book

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/recommend"
)

// hands is a clock whose two hands a test sets.
type hands struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

func (h *hands) read() (time.Time, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wall, h.mono
}

// pass lets time go by, set sets the wall clock.
func (h *hands) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.mono = h.wall.Add(d), h.mono+d
}

func (h *hands) set(by time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall = h.wall.Add(by)
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t testing.TB, stamp string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// open makes a clinic of two doctors on Monday, 2 March 2026, at 8 in Berlin; doctor a has
// six slots of ten minutes from 9 on Mondays, doctor b two of thirty.
func open(t testing.TB) (*Book, *hands) {
	t.Helper()
	h := &hands{wall: at(t, "2026-03-02T07:00:00Z")}
	b, err := Open(Config{Path: filepath.Join(t.TempDir(), "clinic.db"), Zone: zone(t, "Europe/Berlin"), Clock: newClock(h.read), NoSync: true,
		Price: func(int) int { return 4000 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	fill(t, b)
	return b, h
}

func fill(t testing.TB, b *Book) {
	t.Helper()
	for _, d := range []Doctor{
		{ID: "a", Name: "Dr A", Number: 0, Specialities: []string{"heart"}, Hours: []Hours{{0, "09:00", 10, 6}}},
		{ID: "b", Name: "Dr B", Number: 1, Specialities: []string{"heart"}, Hours: []Hours{{0, "09:00", 30, 2}}},
	} {
		if err := b.AddDoctor(d); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"p", "q", "r"} {
		if err := b.AddPatient(Patient{recommend.Patient{ID: id, Age: 40}, "Patient " + id}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Extend(14); err != nil {
		t.Fatal(err)
	}
}

func ask(t testing.TB, patient, stamp string) Ask {
	t.Helper()
	return Ask{Patient: patient, Doctor: "a", Start: at(t, stamp), Need: "heart", Urgency: 1}
}

func want(t testing.TB, err error, code appointment.Code) {
	t.Helper()
	if appointment.CodeOf(err) != code || err == nil {
		t.Helper()
		t.Errorf("error %v, want %s", err, code)
	}
}

func must(t testing.TB, v Appointment, err error) func(status Status) Appointment {
	t.Helper()
	return func(status Status) Appointment {
		t.Helper()
		if err != nil || v.Status != status {
			t.Fatalf("%s, %v, want %s", v.Status, err, status)
		}
		return v
	}
}

// TestLife goes through all states of a visit, to the rating and the payment.
func TestLife(t *testing.T) {
	b, h := open(t)
	sub := b.Subscribe(func(e *Event) bool { return e.Appointment.Doctor == "a" })
	defer sub.Close()
	v, err := b.Hold("p", ask(t, "p", "2026-03-02T09:10:00+01:00"))
	v = must(t, v, err)(Proposed)
	v, err = b.Book("p", v.ID)
	v = must(t, v, err)(Pending)
	if again, err := b.Book("p", v.ID); err != nil || again.Version != v.Version {
		t.Errorf("booked twice: %+v, %v", again, err)
	}
	if in, err := b.Inbox("a"); err != nil || len(in) != 1 || in[0].ID != v.ID {
		t.Errorf("inbox %v, %v", in, err)
	}
	_, err = b.Approve("a", v.ID, v.Version-1)
	want(t, err, appointment.CodeVersionConflict)
	v, err = b.Approve("a", v.ID, v.Version)
	v = must(t, v, err)(Booked)
	_, err = b.Miss("a", v.ID, 0)
	want(t, err, appointment.CodeBadTransition) // not yet
	_, err = b.Rate("p", v.ID, 5, "")
	want(t, err, appointment.CodeBadTransition)
	h.pass(time.Hour)
	v, err = b.Arrive("a", v.ID, 0)
	must(t, v, err)(Arrived)
	v, err = b.Begin("a", v.ID, 0)
	must(t, v, err)(Arrived)
	h.pass(12 * time.Minute)
	v, err = b.Fulfil("a", v.ID, 0)
	v = must(t, v, err)(Fulfilled)
	if v.EndedAt.Sub(v.BegunAt) != 12*time.Minute || v.Payment != (Payment{PaymentDue, 4000, "EUR"}) {
		t.Errorf("%+v", v)
	}
	_, err = b.Cancel("p", v.ID, 0, "")
	want(t, err, appointment.CodeBadTransition)
	_, err = b.Rate("p", v.ID, 6, "")
	want(t, err, appointment.CodeBadRating)
	v, err = b.Rate("p", v.ID, 4, "kind")
	must(t, v, err)(Fulfilled)
	v, err = b.StartPayment("p", v.ID)
	must(t, v, err)(Fulfilled)
	_, err = b.TakePayment(PaymentEvent{"e1", v.ID, PaymentPaid, 1})
	want(t, err, appointment.CodeBadPayment)
	for range 2 { // the second is a repetition
		v, err = b.TakePayment(PaymentEvent{"e1", v.ID, PaymentPaid, 4000})
		must(t, v, err)(Fulfilled)
	}
	_, err = b.TakePayment(PaymentEvent{"e2", v.ID, PaymentFailed, 4000})
	want(t, err, appointment.CodeBadTransition)
	p, err := b.Patient("p")
	if err != nil || len(p.Visits) != 1 || p.Visits[0] != (recommend.Visit{Day: "2026-03-02", Doctor: "a"}) {
		t.Errorf("history %+v, %v", p.Visits, err)
	}
	entries, err := b.Audit(v.ID, 0, 100)
	var steps []string
	for _, e := range entries {
		steps = append(steps, e.Step)
	}
	if wantSteps := []string{"hold", "book", "approve", "arrive", "begin", "fulfil", "rate", "pay", "payment-paid"}; err != nil ||
		!slices.Equal(steps, wantSteps) {
		t.Errorf("audit %v, %v", steps, err)
	}
	for _, step := range steps {
		if e := <-sub.C; e.Step != step || e.Session != "a-20260302T0800Z" {
			t.Errorf("event %q of %q, want %q", e.Step, e.Session, step)
		}
	}
}

// TestOneWins: of many who want one slot at once, one gets it and the others are told of
// what is free.
func TestOneWins(t *testing.T) {
	b, _ := open(t)
	for round, stamp := range []string{"2026-03-02T09:00:00+01:00", "2026-03-09T09:50:00+01:00"} {
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				if round == 0 {
					_, errs[i] = b.BookNow("p", ask(t, []string{"p", "q", "r"}[i%3], stamp))
				} else {
					_, errs[i] = b.Hold("p", ask(t, []string{"p", "q", "r"}[i%3], stamp))
				}
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			var taken *TakenError
			switch {
			case err == nil:
				won++
			case !errors.As(err, &taken) || len(taken.Alternatives) != 3 || taken.Alternatives[0].Status != Free:
				t.Errorf("%v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
	}
}

func TestHoldsExpire(t *testing.T) {
	b, h := open(t)
	const stamp = "2026-03-02T10:00:00+01:00"
	want(t, func() error { _, err := b.Hold("p", ask(t, "p", stamp)); return err }(), appointment.CodeNotFound) // not on the grid
	const slot = "2026-03-02T09:20:00+01:00"
	v, err := b.Hold("p", ask(t, "p", slot))
	must(t, v, err)(Proposed)
	h.pass(5*time.Minute - time.Second)
	if n, err := b.ExpireHolds(); n != 0 || err != nil {
		t.Errorf("%d expired, %v", n, err)
	}
	h.pass(time.Second)
	_, err = b.Book("p", v.ID)
	want(t, err, appointment.CodeHoldExpired)
	other, err := b.Hold("q", ask(t, "q", slot)) // takes the slot of the hold that ran out
	must(t, other, err)(Proposed)
	_, err = b.Book("p", v.ID)
	want(t, err, appointment.CodeHoldExpired)
	h.pass(6 * time.Minute)
	if n, err := b.ExpireHolds(); n != 1 || err != nil {
		t.Errorf("%d expired, %v", n, err)
	}
	if s, err := b.Slot(SlotID("a", at(t, slot))); err != nil || s.Status != Free {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestClockJumps: nothing is booked on a time that can't be trusted, and holds last as
// long as they were given.
func TestClockJumps(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Hour, -2 * time.Hour} {
		b, h := open(t)
		v, err := b.Hold("p", ask(t, "p", "2026-03-09T09:00:00+01:00"))
		must(t, v, err)(Proposed)
		h.pass(20 * time.Second)
		h.set(by)
		_, err = b.Book("p", v.ID)
		want(t, err, appointment.CodeClockJump)
		_, err = b.ExpireHolds()
		want(t, err, appointment.CodeClockJump)
		h.pass(Settle)
		if n, err := b.ExpireHolds(); n != 0 || err != nil {
			t.Errorf("%d holds expired by a jump of %s, %v", n, by, err)
		}
		if by > 0 {
			v, err = b.Book("p", v.ID)
			must(t, v, err)(Pending)
			continue
		}
		h.pass(5 * time.Minute)
		if n, err := b.ExpireHolds(); n != 1 || err != nil {
			t.Errorf("%d holds expired after a jump of %s, %v", n, by, err)
		}
	}
	// A small correction is no jump, and a slow drift none either.
	b, h := open(t)
	for range 100 {
		h.pass(time.Minute)
		h.set(2 * time.Second)
		if _, err := b.ExpireHolds(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClockBehindTheFile: a clock that was set back while nobody looked is not trusted.
func TestClockBehindTheFile(t *testing.T) {
	b, _ := open(t)
	c := b.c
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	h := &hands{wall: at(t, "2026-03-01T07:00:00Z")}
	c.Clock = newClock(h.read)
	b, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = b.Hold("p", ask(t, "p", "2026-03-02T09:00:00+01:00"))
	want(t, err, appointment.CodeClockJump)
	h.pass(Settle)
	v, err := b.Hold("p", ask(t, "p", "2026-03-02T09:00:00+01:00"))
	must(t, v, err)(Proposed)
}

func TestRefused(t *testing.T) {
	b, h := open(t)
	f := func(a Ask, code appointment.Code) {
		t.Helper()
		_, err := b.BookNow("p", a)
		want(t, err, code)
	}
	h.pass(90 * time.Minute) // 9:30
	f(ask(t, "p", "2026-03-02T09:20:00+01:00"), appointment.CodeBookingInPast)
	f(ask(t, "p", "2026-03-03T09:20:00+01:00"), appointment.CodeDoctorWithoutHours)
	f(ask(t, "nobody", "2026-03-02T09:40:00+01:00"), appointment.CodeNotFound)
	a := ask(t, "p", "2026-03-02T09:40:00+01:00")
	a.Doctor = "z"
	f(a, appointment.CodeNotFound)
	a = ask(t, "p", "2026-03-02T09:40:00+01:00")
	a.Urgency = -1
	f(a, appointment.CodeBadUrgency)
	_, err := b.AddSlots("a", at(t, "2026-03-09T09:35:00+01:00"), 10, 1)
	want(t, err, appointment.CodeOverlappingSlots)
	_, err = b.AddSlots("a", at(t, "2026-03-02T09:00:00+01:00"), 10, 1)
	want(t, err, appointment.CodeBookingInPast)
	if made, err := b.AddSlots("a", at(t, "2026-03-09T10:00:00+01:00"), 10, 3); err != nil || len(made) != 3 {
		t.Errorf("%v, %v", made, err)
	}
	want(t, b.AddDoctor(Doctor{ID: "c", Specialities: []string{"heart"}}), appointment.CodeDoctorWithoutHours)
	want(t, b.AddDoctor(Doctor{ID: "c", Specialities: []string{"heart"}, Hours: []Hours{{0, "09:00", 10, 6}, {0, "09:50", 10, 6}}}),
		appointment.CodeOverlappingSlots)
	want(t, b.AddDoctor(Doctor{ID: "c", Specialities: []string{"heart"}, Hours: []Hours{{0, "9 am", 10, 6}}}), appointment.CodeBadClinic)
	want(t, b.AddPatient(Patient{recommend.Patient{ID: "x", Age: 130}, "X"}), appointment.CodeBadAge)
}

// TestMoves: later is told, earlier is asked for, and never done without a yes.
func TestMoves(t *testing.T) {
	b, _ := open(t)
	v, err := b.BookNow("p", ask(t, "p", "2026-03-09T09:20:00+01:00"))
	must(t, v, err)(Pending)
	later, earlier := at(t, "2026-03-09T09:25:00+01:00"), at(t, "2026-03-09T09:05:00+01:00")
	v, err = b.Move("a", v.ID, 0, later)
	if must(t, v, err)(Pending); !v.Start.Equal(later) || v.End.Sub(v.Start) != 10*time.Minute {
		t.Errorf("%+v", v)
	}
	v, err = b.Move("a", v.ID, 0, earlier)
	if must(t, v, err)(Pending); !v.Start.Equal(later) || !v.Offer.Equal(earlier) {
		t.Errorf("moved earlier without consent: %+v", v)
	}
	v, err = b.Consent("p", v.ID, false)
	if must(t, v, err)(Pending); !v.Start.Equal(later) || !v.Offer.IsZero() {
		t.Errorf("%+v", v)
	}
	_, err = b.Consent("p", v.ID, true)
	want(t, err, appointment.CodeBadTransition) // there is no offer
	v, err = b.AllowEarlier("p", v.ID, true)
	must(t, v, err)(Pending)
	v, err = b.Move("a", v.ID, 0, earlier)
	if must(t, v, err)(Pending); !v.Start.Equal(earlier) {
		t.Errorf("%+v", v)
	}
	_, err = b.Move("a", v.ID, 0, at(t, "2026-03-10T09:05:00+01:00"))
	want(t, err, appointment.CodeBadPlan)
	v, err = b.Reschedule("p", v.ID, 0, at(t, "2026-03-09T09:50:00+01:00"))
	must(t, v, err)(Pending)
	if s, err := b.Slot("a-20260309T0820Z"); err != nil || s.Status != Free {
		t.Errorf("the old slot: %+v, %v", s, err)
	}
}

func TestSignature(t *testing.T) {
	secret, body, now := []byte("secret"), []byte(`{"id":"e"}`), time.Unix(1_800_000_000, 0)
	sig := SignPayment(secret, body, now)
	if err := CheckPaymentSignature(secret, body, sig, now.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	for _, f := range []func() error{
		func() error { return CheckPaymentSignature(secret, body, sig, now.Add(6*time.Minute)) },
		func() error { return CheckPaymentSignature([]byte("other"), body, sig, now) },
		func() error { return CheckPaymentSignature(secret, []byte("{}"), sig, now) },
		func() error { return CheckPaymentSignature(secret, body, "", now) },
		func() error { return CheckPaymentSignature(secret, body, "t=,v1=", now) },
	} {
		want(t, f(), appointment.CodePaymentSignature)
	}
}
