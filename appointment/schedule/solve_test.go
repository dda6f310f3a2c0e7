package schedule

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/aimass/aimass/appointment"
	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

func mustSolve(t testing.TB, p *Problem) Solution {
	t.Helper()
	s, err := Solve(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Plan.Check(p); err != nil {
		t.Fatal(err)
	}
	if s.Times[0] != 0 {
		t.Fatalf("the first start is %d, want 0", s.Times[0])
	}
	return s
}

func TestAgainstBestKnown(t *testing.T) {
	var bw, eq float64
	for _, in := range instances(t) {
		p := in.Problem()
		begin := time.Now()
		s := mustSolve(t, p)
		took := time.Since(begin)
		ratio := s.Cost / in.BestKnown.Cost
		bw += 1 - s.Cost/in.Baselines["bailey_welch"].Cost
		eq += 1 - s.Cost/in.Baselines["equal_T_over_N"].Cost
		limit := 1.005
		if p.FreeOrder {
			limit = 1.02
		}
		if ratio > limit {
			t.Errorf("%s: %.4f of best known, limit %v", in.Name, ratio, limit)
		}
		t.Logf("%-32s %10.5f ratio %.6f %v", in.Name, s.Cost, ratio, took)
	}
	t.Logf("below Bailey-Welch %.2f %%, equal %.2f %%", 100*bw/12, 100*eq/12)
	if bw/12 < .095 || eq/12 < .13 {
		t.Errorf("mean gain below target")
	}
}

// small draws a problem that can be searched exhaustively.
func small(t *rapid.T, free bool) *Problem {
	n := rapid.IntRange(2, 5).Draw(t, "n")
	p := &Problem{Grid: 5, FreeOrder: free}
	total := 0.0
	for range n {
		q := Patient{
			NoShow: rapid.Float64Range(0, .5).Draw(t, "p"),
			Mean:   rapid.Float64Range(5, 14).Draw(t, "mean"),
			CV:     rapid.Float64Range(.2, 1).Draw(t, "cv"),
		}
		total += q.Mean
		p.Patients = append(p.Patients, q)
	}
	p.Session = max(5, int(total*rapid.Float64Range(.6, 1.2).Draw(t, "load")))
	p.Weights = Weights{1, float64(rapid.IntRange(0, 10).Draw(t, "idle")), float64(rapid.IntRange(1, 15).Draw(t, "over"))}
	return p
}

func exhaustiveTimes(p *Problem, order []int, until int) float64 {
	best := math.Inf(1)
	sv := newServices(p.Patients)
	times := make([]int, len(order))
	var walk func(k int)
	walk = func(k int) {
		if k == len(times) {
			best = min(best, evaluate(p, sv, Plan{order, times}).Cost)
			return
		}
		for t := times[k-1]; t <= until; t += p.Grid {
			times[k] = t
			walk(k + 1)
		}
	}
	walk(1)
	return best
}

func TestGivenOrderIsOptimalOnSmallProblems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := small(t, false)
		want := exhaustiveTimes(p, identity(len(p.Patients)), min(90, p.Session+20))
		s, err := Solve(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if s.Cost > want*(1+1e-6) {
			t.Fatalf("cost %v, exhaustive %v, times %v", s.Cost, want, s.Times)
		}
	})
}

func permutations(n int, visit func([]int)) {
	o := identity(n)
	var walk func(k int)
	walk = func(k int) {
		if k == n {
			visit(o)
			return
		}
		for i := k; i < n; i++ {
			o[k], o[i] = o[i], o[k]
			walk(k + 1)
			o[k], o[i] = o[i], o[k]
		}
	}
	walk(0)
}

func TestFreeOrderIsNearOptimalOnSmallProblems(t *testing.T) {
	if testing.Short() {
		t.Skip("exhaustive over orders")
	}
	worst := 0.0
	for seed := range 4 {
		p := rapid.Custom(func(t *rapid.T) *Problem { return small(t, true) }).Example(seed + 1)
		p.Patients = p.Patients[:min(4, len(p.Patients))]
		want := math.Inf(1)
		permutations(len(p.Patients), func(o []int) {
			want = min(want, exhaustiveTimes(p, o, min(60, p.Session+15)))
		})
		s := mustSolve(t, p)
		worst = max(worst, s.Cost/want)
		if s.Cost > want*1.001 {
			t.Errorf("problem %d: cost %v, exhaustive %v", seed, s.Cost, want)
		}
	}
	t.Logf("worst ratio to exhaustive %.6f", worst)
}

// Two exponential visits of mean 60, no session, weights (1, 0, 1): the optimum
// start is 60·ln 2, and on whole minutes 41 (reference value).
func TestTwoExponentialVisits(t *testing.T) {
	pmf := make([]float64, 1200)
	for k := range pmf {
		pmf[k] = math.Exp(-float64(k)/60) - math.Exp(-float64(k+1)/60)
	}
	p := &Problem{Patients: make([]Patient, 2), Grid: 1, Weights: Weights{1, 0, 1}}
	sv := services{[][]float64{pmf, pmf}, []float64{1200, 1200}}
	best, at := math.Inf(1), 0
	for x := range 200 {
		if c := evaluate(p, sv, Plan{[]int{0, 1}, []int{0, x}}).Cost; c < best {
			best, at = c, x
		}
	}
	if at != 41 {
		t.Errorf("best start %d, want 41", at)
	}
}

func TestSearchBeatsTheRulesAndIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "n")
		p := &Problem{Grid: rapid.SampledFrom([]int{1, 5, 10, 15}).Draw(t, "grid"), FreeOrder: rapid.Bool().Draw(t, "free")}
		for range n {
			p.Patients = append(p.Patients, Patient{
				rapid.Float64Range(0, 1).Draw(t, "p"), rapid.Float64Range(.5, 60).Draw(t, "mean"), rapid.Float64Range(0, 2).Draw(t, "cv")})
		}
		p.Session = rapid.IntRange(15, 400).Draw(t, "session")
		w := rapid.SliceOfN(rapid.IntRange(0, 9), 3, 3).Filter(func(w []int) bool { return w[0]+w[1]+w[2] > 0 }).Draw(t, "weights")
		p.Weights = Weights{float64(w[0]), float64(w[1]), float64(w[2])}
		s, err := Solve(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Plan.Check(p); err != nil {
			t.Fatal(err)
		}
		r := Evaluate(p, s.Plan)
		if r.Cost != s.Cost {
			t.Fatalf("said %v, is %v", s.Cost, r.Cost)
		}
		for rule, b := range Baselines(p) {
			if s.Cost > b.Cost+1e-4*math.Abs(b.Cost)+1e-6 {
				t.Fatalf("cost %v is above %v of %s", s.Cost, b.Cost, rule)
			}
		}
		again, err := Solve(context.Background(), p)
		if err != nil || !equal(again.Times, s.Times) || !equal(again.Order, s.Order) {
			t.Fatalf("a second run gave another plan")
		}
	})
}

func TestSolveStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Solve(ctx, instances(t)[0].Problem()); err != context.Canceled {
		t.Fatalf("got %v", err)
	}
}

func TestBadProblems(t *testing.T) {
	base := func() *Problem {
		return &Problem{Patients: []Patient{{.1, 10, .5}, {.1, 10, .5}}, Session: 30, Grid: 5, Weights: Weights{1, 1, 1}}
	}
	f := func(want appointment.Code, change func(p *Problem)) {
		t.Helper()
		p := base()
		change(p)
		_, err := Solve(context.Background(), p)
		if appointment.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("", func(*Problem) {})
	f(appointment.CodeNoPatients, func(p *Problem) { p.Patients = nil })
	f(appointment.CodeTooLarge, func(p *Problem) { p.Patients = make([]Patient, MaxPatients+1) })
	f(appointment.CodeTooLarge, func(p *Problem) {
		p.Patients = nil
		for range MaxPatients {
			p.Patients = append(p.Patients, Patient{0, 480, 3})
		}
	})
	f(appointment.CodeBadSession, func(p *Problem) { p.Session = 0 })
	f(appointment.CodeBadSession, func(p *Problem) { p.Session = -5 })
	f(appointment.CodeBadGrid, func(p *Problem) { p.Grid = 0 })
	f(appointment.CodeBadGrid, func(p *Problem) { p.Grid = 31 })
	f(appointment.CodeBadServiceMean, func(p *Problem) { p.Patients[1].Mean = 0 })
	f(appointment.CodeBadServiceCV, func(p *Problem) { p.Patients[1].CV = 3.5 })
	f(appointment.CodeBadProbability, func(p *Problem) { p.Patients[1].NoShow = 1.1 })
	f(appointment.CodeNotFinite, func(p *Problem) { p.Patients[1].NoShow = math.NaN() })
	f(appointment.CodeNotFinite, func(p *Problem) { p.Weights.Idle = math.Inf(1) })
	f(appointment.CodeNegativeWeight, func(p *Problem) { p.Weights.Wait = -1 })
	f(appointment.CodeZeroWeights, func(p *Problem) { p.Weights = Weights{} })
	f(appointment.CodeBadGroup, func(p *Problem) { p.Groups = []int{0} })
	f(appointment.CodeBadGroup, func(p *Problem) { p.Groups = []int{0, -1} })
}
