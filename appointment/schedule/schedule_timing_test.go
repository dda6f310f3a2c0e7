package schedule

import (
	"context"
	"fmt"
	"testing"
)

// ordinary is a session of n visits of the reference clinic's kind.
func ordinary(n int, free bool) *Problem {
	p := &Problem{Session: 11 * n, Grid: 5, Weights: Weights{1, 2, 3}, FreeOrder: free}
	means, cvs, shows := []float64{15.2, 12.2, 25}, []float64{.455, .44, .5}, []float64{.05, .22, .45, .31}
	for i := range n {
		p.Patients = append(p.Patients, Patient{shows[i%4], means[i*7%3], cvs[i*7%3]})
	}
	return p
}

// The work of a search is bounded by counting, so that its time is bounded on any
// machine: 24 patients in some 100 million multiplications, 60 in 2 thousand.
func TestWorkIsBounded(t *testing.T) {
	f := func(p *Problem, limit int64) {
		t.Helper()
		s := newSearch(context.Background(), p, newServices(p.Patients))
		s.givenOrder(identity(len(p.Patients)))
		work := s.e.work
		s.polish()
		if s.e.work < work {
			work += s.e.work
		}
		if work > limit {
			t.Errorf("%d patients: %d multiplications, limit %d", len(p.Patients), work, limit)
		}
	}
	f(ordinary(24, false), 150e6)
	f(ordinary(60, false), 2500e6)
	heavy := ordinary(24, false)
	for i := range heavy.Patients {
		heavy.Patients[i].CV = 2
	}
	f(heavy, 350e6)
}

var sink Solution

func BenchmarkSolve(b *testing.B) {
	for _, free := range []bool{false, true} {
		for _, n := range []int{10, 24, 60} {
			p := ordinary(n, free)
			b.Run(fmt.Sprintf("n=%d/free=%v", n, free), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					s, err := Solve(context.Background(), p)
					if err != nil {
						b.Fatal(err)
					}
					sink = s
				}
			})
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p := ordinary(24, false)
	pl := Plan{identity(24), RuleEqual.Times(p)}
	b.ReportAllocs()
	for range b.N {
		sink.Result = Evaluate(p, pl)
	}
}
