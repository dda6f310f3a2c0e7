package schedule

import (
	"context"
	"math"
	"testing"

	"github.com/aimass/aimass/appointment"
)

func groupedProblem(n int, free bool) *Problem {
	p := &Problem{Session: 11 * n, Grid: 5, Weights: Weights{1, 2, 3}, FreeOrder: free}
	for i := range n {
		q := Patient{.08, 13.4, .465}
		group := 0
		if i >= n/2 {
			q.NoShow, group = .4, 1
		}
		p.Patients = append(p.Patients, q)
		p.Groups = append(p.Groups, group)
	}
	return p
}

func spread(r Result) float64 { return math.Max(r.GroupWait[0], r.GroupWait[1]) }

func TestWorstGroupWaitsLess(t *testing.T) {
	for _, free := range []bool{false, true} {
		p := groupedProblem(10, free)
		plain := mustSolve(t, p)
		fair, err := SolveGuarded(context.Background(), p, Options{WorstGroup: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := fair.Plan.Check(p); err != nil {
			t.Fatal(err)
		}
		t.Logf("free %v: worst group %.2f → %.2f min, cost %.2f → %.2f", free, spread(plain.Result), spread(fair.Result), plain.Cost, fair.Cost)
		if spread(fair.Result) > .95*spread(plain.Result) {
			t.Errorf("the worst group's wait fell from %.2f to %.2f only", spread(plain.Result), spread(fair.Result))
		}
		if fair.Cost > plain.Cost*1.05*(1+1e-6) {
			t.Errorf("cost %v, more than 5 %% above %v", fair.Cost, plain.Cost)
		}
	}
}

func TestGuaranteesAreMet(t *testing.T) {
	p := groupedProblem(12, false)
	plain := mustSolve(t, p)
	limit := .6 * plain.MaxWait()
	g, err := SolveGuarded(context.Background(), p, Options{MaxMeanWait: limit})
	if err != nil {
		t.Fatal(err)
	}
	if !g.Met || g.MaxWait() > limit {
		t.Errorf("worst mean wait %.2f, limit %.2f, met %v", g.MaxWait(), limit, g.Met)
	}
	t.Logf("worst mean wait %.2f → %.2f, cost %.2f → %.2f", plain.MaxWait(), g.MaxWait(), plain.Cost, g.Cost)

	g, err = SolveGuarded(context.Background(), p, Options{WaitLimit: 20, WaitLevel: .9})
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for _, b := range WaitBeyond(p, g.Plan, 20) {
		worst = max(worst, b)
	}
	if !g.Met || worst > .1 {
		t.Errorf("chance of waiting over 20 min %.3f, met %v", worst, g.Met)
	}
	before := 0.0
	for _, b := range WaitBeyond(p, plain.Plan, 20) {
		before = max(before, b)
	}
	if before <= .1 {
		t.Errorf("the plain plan already meets the guarantee (%.3f): the test shows nothing", before)
	}
}

func TestBadOptions(t *testing.T) {
	p := groupedProblem(4, false)
	f := func(want appointment.Code, o Options) {
		t.Helper()
		_, err := SolveGuarded(context.Background(), p, o)
		if appointment.CodeOf(err) != want {
			t.Errorf("%+v: got %v, want %s", o, err, want)
		}
	}
	f(appointment.CodeBadGuarantee, Options{MaxMeanWait: -1})
	f(appointment.CodeBadGuarantee, Options{WaitLimit: 20})
	f(appointment.CodeBadGuarantee, Options{WaitLimit: 20, WaitLevel: 1})
	f(appointment.CodeNotFinite, Options{WaitLevel: math.NaN()})
	p.Groups = nil
	f(appointment.CodeBadGroup, Options{WorstGroup: true})
}
