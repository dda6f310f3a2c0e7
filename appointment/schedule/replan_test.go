package schedule

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/appointment"
	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

func drawDay(t *rapid.T) *Day {
	d := &Day{
		Now: rapid.IntRange(0, 120).Draw(t, "now"), Session: 150, Grid: 5, Weights: Weights{1, 2, 3},
		MoveWorth: float64(rapid.IntRange(0, 3).Draw(t, "worth")), MaxLater: rapid.SampledFrom([]int{-1, 0, 15}).Draw(t, "later"),
		WalkInDelay: .05,
	}
	if rapid.Bool().Draw(t, "busy") {
		d.Current = &InService{13, .5, rapid.IntRange(0, 60).Draw(t, "elapsed")}
	}
	for range rapid.IntRange(0, 3).Draw(t, "waiting") {
		d.Waiting = append(d.Waiting, Present{13, .5, rapid.Bool().Draw(t, "emergency"), rapid.Bool().Draw(t, "interrupt")})
	}
	for range rapid.IntRange(1, 6).Draw(t, "booked") {
		b := Booked{Patient: Patient{.2, 12, .5}, Start: rapid.IntRange(0, 170).Draw(t, "start"), Confirmed: rapid.Bool().Draw(t, "confirmed"),
			EarlierOK: rapid.Bool().Draw(t, "ok")}
		if rapid.Bool().Draw(t, "late") {
			b.ETA = b.Start + rapid.IntRange(1, 40).Draw(t, "by")
		}
		d.Booked = append(d.Booked, b)
	}
	for range rapid.IntRange(0, 2).Draw(t, "walkins") {
		d.WalkIns = append(d.WalkIns, Patient{0, 12, .5})
	}
	return d
}

func TestReplanKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDay(t)
		r, err := Replan(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range d.Booked {
			got := r.Start[i]
			if got < d.Now || got < b.ETA {
				t.Fatalf("patient %d gets %d, now is %d, expected %d", i, got, d.Now, b.ETA)
			}
			if b.Confirmed && !b.EarlierOK && got < b.Start {
				t.Fatalf("confirmed patient %d moved from %d to %d", i, b.Start, got)
			}
			floor := max(b.Start, d.Now, b.ETA)
			if b.Confirmed && d.MaxLater >= 0 && got > floor && got > b.Start+d.MaxLater {
				t.Fatalf("patient %d moved from %d to %d, at most %d later", i, b.Start, got, d.MaxLater)
			}
		}
		for i, s := range r.WalkInStart {
			if s < d.Now || s%d.Grid != 0 {
				t.Fatalf("walk-in %d gets %d", i, s)
			}
		}
		if r.Cost > r.CostUnmoved+1e-9 || math.IsNaN(r.Cost) {
			t.Fatalf("cost %v, unmoved %v", r.Cost, r.CostUnmoved)
		}
		checkTurns(t, d, r)
	})
}

func checkTurns(t *rapid.T, d *Day, r Replanned) {
	want := len(d.Waiting) + len(d.Booked) + len(d.WalkIns)
	if d.Current != nil {
		want++
	}
	if len(r.Turns) != want {
		t.Fatalf("%d turns, want %d", len(r.Turns), want)
	}
	seenOther, last := false, 0
	for _, turn := range r.Turns {
		if turn.Start < last {
			t.Fatalf("turns go back: %+v", r.Turns)
		}
		last = turn.Start
		emergency := turn.Kind == KindWaiting && d.Waiting[turn.Index].Emergency
		if emergency && seenOther {
			t.Fatalf("an emergency waits behind others: %+v", r.Turns)
		}
		if emergency && d.Waiting[turn.Index].Interrupt {
			for _, u := range r.Turns {
				if u == turn {
					break
				}
				if u.Kind == KindCurrent {
					t.Fatalf("the current consultation was not interrupted: %+v", r.Turns)
				}
			}
		}
		seenOther = seenOther || (turn.Kind != KindCurrent && !emergency)
	}
}

func TestCancellationHelpsOthersOnlyWithConsent(t *testing.T) {
	day := func(ok bool) *Day {
		d := &Day{Now: 30, Session: 120, Grid: 5, Weights: Weights{1, 2, 3}, MaxLater: -1}
		for _, start := range []int{60, 75, 90, 105} {
			d.Booked = append(d.Booked, Booked{Patient: Patient{.1, 14, .45}, Start: start, Confirmed: true, EarlierOK: ok})
		}
		return d
	}
	with, err := Replan(context.Background(), day(true))
	if err != nil {
		t.Fatal(err)
	}
	without, err := Replan(context.Background(), day(false))
	if err != nil {
		t.Fatal(err)
	}
	if with.Start[0] >= 60 || with.Cost >= .8*with.CostUnmoved {
		t.Errorf("with consent the gap of 30 minutes stays: %+v", with)
	}
	if without.Start[0] < 60 || without.Start[3] < 105 {
		t.Errorf("moved without consent: %+v", without)
	}
}

func TestWalkInFillsTheGap(t *testing.T) {
	d := &Day{Now: 10, Session: 90, Grid: 5, Weights: Weights{1, 2, 3}, WalkInDelay: .05, WalkIns: []Patient{{0, 14, .45}}}
	for _, start := range []int{15, 60, 75} {
		d.Booked = append(d.Booked, Booked{Patient: Patient{.1, 14, .45}, Start: start, Confirmed: true})
	}
	r, err := Replan(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.WalkInStart[0]; s < 25 || s > 50 {
		t.Errorf("the walk-in gets minute %d, the gap is 30 to 60", s)
	}
}

func TestRemainingService(t *testing.T) {
	pmf := ServicePMF(13.4, .465)
	if !slices.Equal(remaining(pmf, 0), pmf) {
		t.Error("nothing elapsed changes the service")
	}
	rest := remaining(pmf, 10)
	sum := 0.0
	for _, p := range rest {
		sum += p
	}
	want := 0.0
	mass := 0.0
	for k := 11; k < len(pmf); k++ {
		want += float64(k-10) * pmf[k]
		mass += pmf[k]
	}
	if math.Abs(sum-1) > 1e-12 || math.Abs(MeanOf(rest)-want/mass) > 1e-9 {
		t.Errorf("mass %v, mean %v, want %v", sum, MeanOf(rest), want/mass)
	}
	if r := remaining(pmf, 500); MeanOf(r) != 1 {
		t.Errorf("an endless visit has %v minutes left, want 1", MeanOf(r))
	}
}

func TestBadDays(t *testing.T) {
	f := func(want appointment.Code, d Day) {
		t.Helper()
		d.Grid, d.Weights = 5, Weights{1, 2, 3}
		if _, err := Replan(context.Background(), &d); appointment.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	one := []Booked{{Patient: Patient{.1, 10, .5}, Start: 5}}
	f("", Day{Session: 60, Booked: one})
	f("", Day{Session: 60, Now: 70, Waiting: []Present{{Mean: 10, CV: .5}}})
	f(appointment.CodeNoPatients, Day{Session: 60})
	f(appointment.CodeBadSession, Day{Session: 60, Now: -1, Booked: one})
	f(appointment.CodeBadServiceMean, Day{Session: 60, Waiting: []Present{{}}})
	f(appointment.CodeBadPlan, Day{Session: 60, Booked: []Booked{{Patient: Patient{.1, 10, .5}, Start: -5}}})
	f(appointment.CodeNegativeWeight, Day{Session: 60, Booked: one, MoveWorth: -1})
}
