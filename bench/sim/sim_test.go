package sim

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestPolicyHoldsItsFigures plays the suite at another seed than `make sim` does.
func TestPolicyHoldsItsFigures(t *testing.T) {
	sum, n := 0.0, 0
	for _, c := range Cases(99, 10) {
		b := Bound(&c.Machine, c.Trace)
		s := Judge("ours", Run(&c.Machine, c.Trace, Ours(Config(&c.Machine))), b)
		if s.OfBound < 0.8 {
			t.Errorf("%s at load %.2f: %.3f of the bound, want 0.8", c.Name, c.Load, s.OfBound)
		}
		if s.Good+s.Late+s.Refused+s.Dropped != len(c.Trace) {
			t.Errorf("%s: of %d requests %d are accounted for", c.Name, len(c.Trace), s.Good+s.Late+s.Refused+s.Dropped)
		}
		sum += s.OfBound
		n++
	}
	if mean := sum / float64(n); mean < 0.92 {
		t.Errorf("mean %.3f of the bound, want 0.92", mean)
	}
	if mean, _ := Small(99, 200); mean < 0.97 {
		t.Errorf("mean %.3f of the exact optimum, want 0.97", mean)
	}
}

func TestOverloadKeepsThePeak(t *testing.T) {
	m := Machine{Workers: 2, MaxRows: 32, Models: []Model{Affine(2e6, 0.2e6)}, Noise: 0.05}
	goodput := func(load float64) float64 {
		rng := rand.New(rand.NewPCG(5, 6))
		trace := Poisson(rng, load*Peak(&m), 5).WithDeadline(50e6)
		return float64(Judge("", Run(&m, trace, Ours(Config(&m))), 0).Good) / 5
	}
	best := 0.0
	for _, load := range []float64{0.8, 0.9, 1, 1.1} {
		best = max(best, goodput(load))
	}
	if at2 := goodput(2); at2 < 0.95*best {
		t.Errorf("goodput at twice the peak is %.0f/s, at the peak %.0f/s", at2, best)
	}
}

// TestTenantsAreApart: two tenants send four fifths of their half of the peak each; then one
// sends ten times that, and the p99 of the other moves by at most 1.2.
func TestTenantsAreApart(t *testing.T) {
	for name, m := range map[string]*Machine{
		"large base": {Workers: 2, MaxRows: 16, Models: []Model{Affine(4e6, 0.2e6)}, Noise: 0.05},
		"many rows":  {Workers: 1, MaxRows: 64, Models: []Model{Affine(0.1e6, 0.06e6)}, Noise: 0.05},
		"in between": {Workers: 2, MaxRows: 64, Models: []Model{Affine(1e6, 0.2e6)}, Noise: 0.05},
	} {
		p99 := func(greedy float64) int64 {
			rng := rand.New(rand.NewPCG(7, 8))
			fair := 0.4 * Peak(m)
			seconds := min(20000/fair, 10)
			trace := append(Poisson(rng, fair, seconds).OverTenants(rng, 1), Poisson(rng, greedy*fair, seconds).OverTenants(rng, 0, 1)...)
			jobs := Run(m, trace.sort(), Ours(Config(m)))
			var quiet []Job
			for _, j := range jobs {
				if j.Tenant == "0" {
					quiet = append(quiet, j)
				}
			}
			s := Judge("", quiet, 0)
			if s.Refused+s.Dropped > 0 {
				t.Errorf("%s, greedy %v: %d of the quiet tenant's requests were not served", name, greedy, s.Refused+s.Dropped)
			}
			return s.P99
		}
		base, loud := p99(1), p99(10)
		t.Logf("%s: p99 of the quiet tenant %.1f ms, beside a greedy one %.1f ms", name, float64(base)/1e6, float64(loud)/1e6)
		if float64(loud) > 1.2*float64(base) {
			t.Errorf("%s: p99 of the quiet tenant moved from %.1f to %.1f ms", name, float64(base)/1e6, float64(loud)/1e6)
		}
	}
}

// brute tries every schedule: in which order and batches requests are served.
func brute(m *Machine, t Trace, left []int, now int64) int {
	best := 0
	for mask := 1; mask < 1<<len(left); mask++ {
		start, due, n := now, int64(1)<<62, 0
		var rest []int
		for i, k := range left {
			if mask>>i&1 == 0 {
				rest = append(rest, k)
				continue
			}
			start, due, n = max(start, t[k].At), min(due, t[k].Deadline), n+1
		}
		if n > m.MaxRows {
			continue
		}
		if end := start + m.model(0)(n); end <= due {
			best = max(best, n+brute(m, t, rest, end))
		}
	}
	return best
}

func TestExactAndBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		m := Machine{Workers: 1, MaxRows: 1 + rng.IntN(3), Models: []Model{Affine(10, 1+8*rng.Float64())}}
		trace := Poisson(rng, second/8, 1e-6)
		trace = trace[:min(len(trace), 5)].WithDeadline(10 + rng.Int64N(40))
		all := make([]int, len(trace))
		for i := range all {
			all[i] = i
		}
		want := brute(&m, trace, all, 0)
		if got := Exact(&m, trace); got != want {
			t.Fatalf("Exact %d, every schedule tried %d: %v", got, want, trace)
		}
		if b := Bound(&m, trace); b < float64(want)-1e-6 {
			t.Fatalf("the bound %v is below the optimum %d: %v", b, want, trace)
		}
		for name, q := range map[string]func(int) Queue{"ours": Warm(Config(&m), m.Models[0]), "fixed": Fixed(5, m.MaxRows, 100)} {
			if got := Judge("", Run(&m, trace, q), 0).Good; got > want {
				t.Fatalf("%s served %d, the optimum is %d", name, got, want)
			}
		}
	}
}

func TestRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	azure := "HashOwner,HashApp,HashFunction,Trigger,1,2\na,b,c,http,2,0\na,b,d,timer,0,3\n"
	got, err := Read(strings.NewReader(azure), rng, 60)
	if err != nil || len(got) != 5 || got[0].At != 0 || got[4].Model != 1 || got.Length() > 2*second {
		t.Errorf("%v %v", got, err)
	}
	got, err = Read(strings.NewReader("timestamp,model,tenant,deadline_ms\n1700000002,b,x,5\n1700000001.5,a,,\n"), rng, 1)
	if err != nil || len(got) != 2 || got[1].At != second/2 || got[1].Deadline != second/2+5e6 || got[1].Tenant != "x" || got[0].Deadline != 0 {
		t.Errorf("%+v %v", got, err)
	}
	if got, err = Read(strings.NewReader("0.5\n0.25\n"), rng, 1); err != nil || len(got) != 2 || got[1].At != second/4 {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "name\n1\n", "timestamp\n-1\n", "timestamp\nx\n", "timestamp\nNaN\n", "0.5\n\"",
		"HashOwner,HashApp,HashFunction,Trigger,1\na,b,c,d,-1\n", "HashOwner,HashApp,HashFunction,Trigger,1\na,b,c,d,99999999999\n"} {
		if _, err := Read(strings.NewReader(bad), rng, 1); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
