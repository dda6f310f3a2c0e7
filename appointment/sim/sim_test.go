package sim

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/schedule"
	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

// planned makes a session of an instance's best known plan.
func planned(p *schedule.Problem, pl schedule.Plan) *Session {
	s := &Session{Planned: float64(p.Session)}
	for k, i := range pl.Order {
		q := p.Patients[i]
		s.Visits = append(s.Visits, Visit{float64(pl.Times[k]), q.NoShow, FromPMF(schedule.ServicePMF(q.Mean, q.CV))})
	}
	return s
}

// estimate is a mean with its standard error.
type estimate struct{ n, sum, sum2 float64 }

func (e *estimate) add(x float64) { e.n++; e.sum += x; e.sum2 += x * x }
func (e *estimate) mean() float64 { return e.sum / e.n }
func (e *estimate) z(want float64) float64 {
	m := e.mean()
	return (m - want) / math.Sqrt((e.sum2/e.n-m*m)/e.n)
}

func TestAgainstTheExactEvaluator(t *testing.T) {
	runs := 20_000
	if testing.Short() {
		runs = 2_000
	}
	for _, name := range []string{"fixed_10_N24_balanced", "fixed_hetero_14_N14_balanced", "fixed_02_N10_balanced"} {
		in, err := schedule.ReadInstance(filepath.Join("..", "schedule", "testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		p := in.Problem()
		want := schedule.Evaluate(p, in.BestKnown.Plan)
		s := planned(p, in.BestKnown.Plan)
		rng := rand.New(rand.NewPCG(7, 11))
		var wait, idle, over, cost estimate
		for range runs {
			o := s.Run(rng)
			wait.add(o.Wait)
			idle.add(o.Idle)
			over.add(o.Overtime)
			cost.add(p.Weights.Wait*o.Wait + p.Weights.Idle*o.Idle + p.Weights.Overtime*o.Overtime)
		}
		t.Logf("%s: cost %.2f, exact %.2f; z: cost %+.2f wait %+.2f idle %+.2f overtime %+.2f", name, cost.mean(), want.Cost,
			cost.z(want.Cost), wait.z(want.WaitTotal), idle.z(want.Idle), over.z(want.Overtime))
		for _, z := range []float64{cost.z(want.Cost), wait.z(want.WaitTotal), idle.z(want.Idle), over.z(want.Overtime)} {
			if !(math.Abs(z) < 3) {
				t.Errorf("%s: |z| = %.2f, limit 3", name, math.Abs(z))
			}
		}
	}
}

// The reference simulations (SimPy, Ciw; means ± 1.96 standard errors) of the
// unpunctual case: optimised 366.4 ± 5.7, Bailey-Welch 431.9.
func TestUnpunctualAgainstTheReference(t *testing.T) {
	in, err := schedule.ReadInstance("../schedule/testdata/fixed_10_N24_balanced.json")
	if err != nil {
		t.Fatal(err)
	}
	p := in.Problem()
	simulate := func(pl schedule.Plan) *estimate {
		s := planned(p, pl)
		s.Punctuality = Normal(-5, 8)
		rng := rand.New(rand.NewPCG(5, 6))
		cost := new(estimate)
		for range 10_000 {
			o := s.Run(rng)
			cost.add(p.Weights.Wait*o.Wait + p.Weights.Idle*o.Idle + p.Weights.Overtime*o.Overtime)
		}
		return cost
	}
	best := simulate(in.BestKnown.Plan)
	rule := simulate(schedule.Plan{Order: in.BestKnown.Order, Times: schedule.RuleBaileyWelch.Times(p)})
	t.Logf("optimised %.1f, Bailey-Welch %.1f", best.mean(), rule.mean())
	if math.Abs(best.mean()-366.4) > 2*5.7 || math.Abs(rule.mean()-431.9) > 2*5.7 {
		t.Errorf("optimised %.1f, reference 366.4; Bailey-Welch %.1f, reference 431.9", best.mean(), rule.mean())
	}
}

func TestRunKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Session{Planned: 60, Order: rapid.SampledFrom([]Order{ByArrival, ByAppointment}).Draw(t, "order")}
		if rapid.Bool().Draw(t, "unpunctual") {
			s.Punctuality = Normal(-5, 8)
			s.Late = Normal(3, 5)
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			s.Visits = append(s.Visits, Visit{float64(5 * i), .3, Lognormal(10, .5)})
		}
		seed := rapid.Uint64().Draw(t, "seed")
		o := s.Run(rand.New(rand.NewPCG(seed, 1)))
		again := s.Run(rand.New(rand.NewPCG(seed, 1)))
		busy, last := 0.0, 0.0
		for i, a := range o.Seen {
			if a != again.Seen[i] {
				t.Fatalf("one seed gave two days")
			}
			if !a.Came {
				continue
			}
			busy += a.End - a.Start
			last = math.Max(last, a.End)
			if a.Start < a.Arrival || a.Start < 0 || a.Wait < 0 {
				t.Fatalf("seen before coming: %+v", a)
			}
			for j, b := range o.Seen[:i] {
				if b.Came && a.Start < b.End && b.Start < a.End {
					t.Fatalf("visits %d and %d overlap: %+v %+v", j, i, b, a)
				}
				if b.Came && s.Order == ByArrival && (a.Arrival < b.Arrival) != (a.Start < b.Start) && a.Arrival != b.Arrival {
					t.Fatalf("not by arrival: %+v %+v", b, a)
				}
			}
		}
		if math.Abs(o.Idle+busy-math.Max(last, 60)) > 1e-9 {
			t.Fatalf("idle %v + busy %v is not the day's %v", o.Idle, busy, math.Max(last, 60))
		}
	})
}

func TestDefaultClinicLooksAsDescribed(t *testing.T) {
	c := DefaultClinic()
	rng := rand.New(rand.NewPCG(1, 1))
	n, zero, came := 0, 0, 0
	types := make([]float64, len(c.Types))
	for range 2000 {
		h := c.HalfDay(rng)
		for i, s := range h.Outcome.Seen {
			n++
			types[h.Type[i]]++
			if s.Came {
				came++
				if s.Wait == 0 {
					zero++
				}
			}
		}
	}
	t.Logf("%d visits, shown %.3f, no wait %.3f", n, float64(came)/float64(n), float64(zero)/float64(came))
	for i, v := range c.Types {
		if math.Abs(types[i]/float64(n)-v.Share) > .01 {
			t.Errorf("share of %s %.3f, want %.2f", v.Name, types[i]/float64(n), v.Share)
		}
	}
	show := 0.0
	for _, p := range c.NoShow {
		show += (1 - p) / float64(len(c.NoShow))
	}
	if math.Abs(float64(came)/float64(n)-show) > .01 {
		t.Errorf("%.3f came, want %.3f", float64(came)/float64(n), show)
	}
}

func shared(t *testing.T, path string) string {
	t.Helper()
	root := os.Getenv("AIMASS_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	full := filepath.Join(root, path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("NOT RUN: no %s (set AIMASS_SHARED)", path)
	}
	return full
}

func TestClinicFile(t *testing.T) {
	path := shared(t, "appointments/data/hangu-service-times.csv")
	rows, err := ReadConsultations(path, HanguSHA256)
	if err != nil {
		t.Fatal(err)
	}
	first, again := FitTypes(rows)
	if len(rows) != 6637 || math.Abs(first.Mean-15.2) > .05 || math.Abs(again.Mean-12.2) > .1 {
		t.Errorf("%d rows, first %+v, return %+v", len(rows), first, again)
	}
	if _, err := ReadConsultations(path, strings.Repeat("0", 64)); appointment.CodeOf(err) != appointment.CodeDataChecksum {
		t.Errorf("wrong checksum: %v", err)
	}
}

func TestBadClinicFiles(t *testing.T) {
	head := strings.Join(consultationColumns, ",")
	f := func(want appointment.Code, text string) {
		t.Helper()
		if _, err := parseConsultations([]byte(text)); appointment.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("", head+"\nA,1,TRUE,morning,1,F,TRUE,FALSE,8:31:40,NA,600\n")
	f(appointment.CodeEmptyBatch, head+"\n")
	f(appointment.CodeDataMissingColumn, strings.Replace(head, "ServTime", "Time", 1)+"\nA,1,TRUE,morning,1,F,TRUE,FALSE,8:31:40,NA,600\n")
	f(appointment.CodeDataBadRow, head+"\nA,1,TRUE,morning,1,F,TRUE,FALSE,8:31:40,NA,-600\n")
	f(appointment.CodeDataBadRow, head+"\nA,x,TRUE,morning,1,F,TRUE,FALSE,8:31:40,NA,600\n")
	f(appointment.CodeDataBadRow, head+"\nA,1\n")
}
