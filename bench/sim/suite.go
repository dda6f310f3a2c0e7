package sim

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/aimass/aimass/batcher"
)

// Score is what a scheduler made of a trace.
type Score struct {
	Name string `json:"name"`
	Good int    `json:"good"`
	// OfBound is Good as a share of the bound's.
	OfBound float64 `json:"of_bound"`
	Refused int     `json:"refused"`
	// Dropped were given up in the queue, Late answered too late.
	Dropped int `json:"dropped"`
	Late    int `json:"late"`
	// P50 and P99 of the answered requests, in nanoseconds.
	P50   int64   `json:"p50_ns"`
	P99   int64   `json:"p99_ns"`
	Batch float64 `json:"mean_batch"`
}

// Judge sums up the fates of a trace's requests.
func Judge(name string, jobs []Job, bound float64) Score {
	s := Score{Name: name}
	var took []int64
	batches := 0.0
	for i := range jobs {
		j := &jobs[i]
		switch {
		case j.Refused:
			s.Refused++
		case j.Ended == 0:
			s.Dropped++
		default:
			took = append(took, j.Ended-j.At)
			batches += float64(max(j.Rows, 1)) / float64(j.Batch)
			if j.Good() {
				s.Good++
			} else {
				s.Late++
			}
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		s.P50, s.P99 = took[len(took)/2], took[len(took)*99/100]
		s.Batch = float64(len(took)) / batches
	}
	if bound > 0 {
		s.OfBound = float64(s.Good) / bound
	}
	return s
}

// Case is a trace on a machine, to be played by all schedulers.
type Case struct {
	Name    string
	Machine Machine
	Trace   Trace
	// Load is the mean arrival rate as a share of the peak throughput.
	Load float64
	// Timed says that the point is the p99 rather than the goodput.
	Timed bool
}

// Outcome is how the schedulers did on a case.
type Outcome struct {
	Case  string  `json:"case"`
	Load  float64 `json:"load"`
	Bound float64 `json:"bound"`
	Ours  Score   `json:"ours"`
	// Fixed is the best of the fixed delays for this case, found by trying them all.
	Fixed Score `json:"fixed"`
	Alone Score `json:"alone"`
	Timed bool  `json:"timed,omitempty"`
	// TunedP99 is the p99 of the fixed delay that is best on another trace of the same kind, as one tunes
	// by hand: on yesterday's traffic. In nanoseconds, only where Timed.
	TunedP99 int64 `json:"tuned_p99_ns,omitempty"`
}

// delays are the fixed delays tried, as multiples of the time of a lone request.
var delays = [...]float64{0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8}

// queueBound of the schedulers that we are compared with.
const queueBound = 4096

// setting is a fixed delay, as a multiple of the time of a lone request, and its largest batch.
type setting struct {
	delay float64
	most  int
}

func (x setting) play(c *Case, bound float64) Score {
	one := float64(c.Machine.model(0)(1))
	return Judge(fixedName(x.delay, x.most), Run(&c.Machine, c.Trace, Fixed(int64(x.delay*one), x.most, queueBound)), bound)
}

// tune finds the best setting for a case by trying them all on it.
func tune(c *Case, bound float64) (best setting, score Score) {
	for _, d := range delays {
		for _, most := range sizes(c.Machine.MaxRows) {
			x := setting{d, most}
			s := x.play(c, bound)
			better := s.Good > score.Good
			if c.Timed {
				better = s.Good >= score.Good && (s.P99 < score.P99 || s.Good > score.Good)
			}
			if score.Name == "" || better {
				best, score = x, s
			}
		}
	}
	return best, score
}

// Play runs all schedulers on a case. The fixed delay and its largest batch are chosen by
// hindsight, which no user can do.
func Play(c *Case) Outcome {
	m := &c.Machine
	o := Outcome{Case: c.Name, Load: c.Load, Timed: c.Timed, Bound: Bound(m, c.Trace)}
	o.Ours = Judge("ours", Run(m, c.Trace, Ours(Config(m))), o.Bound)
	o.Alone = Judge("no batching", Run(m, c.Trace, Fixed(0, 1, queueBound)), o.Bound)
	_, o.Fixed = tune(c, o.Bound)
	return o
}

func sizes(most int) []int {
	out := []int{most}
	for n := 4; n < most; n *= 2 {
		out = append(out, n)
	}
	return out
}

// Config is the server's configuration on a machine with nothing set by hand.
func Config(m *Machine) batcher.Config {
	return batcher.Config{MaxRows: m.MaxRows}.WithDefaults(m.Workers)
}

// Peak is the throughput of the best batch, in rows a second.
func Peak(m *Machine) float64 {
	best := 0.0
	for n := 1; n <= m.MaxRows; n++ {
		best = max(best, float64(n)/float64(m.Models[0](n)))
	}
	return best * float64(m.Workers) * second
}

// shape is a kind of model: its time for one row and for each further one, and its deadline as a
// multiple of the time for one row.
type shape struct {
	name        string
	first, each float64
	deadline    float64
	rows        int
}

var shapes = []shape{
	{"gpu-like", 4e6, 0.1e6, 25, 64}, // a batch of 32 costs twice a lone request
	{"transformer", 10e6, 4e6, 30, 16},
	{"mlp", 12e3, 1e3, 400, 64},
	{"tight", 5e6, 0.5e6, 6, 32},
	{"flat", 2e6, 1.8e6, 40, 32}, // batching gains next to nothing
}

// Cases are the suite: every kind of model under steady, bursty and daily load, below, at and
// above its peak, with two workers or one.
func Cases(seed uint64, seconds float64) []Case {
	var out []Case
	for i, sh := range shapes {
		m := Machine{Workers: 1 + i%2, MaxRows: sh.rows, Models: []Model{Affine(sh.first, sh.each)}, Noise: 0.05, Seed: seed}
		top := Peak(&m)
		length := min(seconds, 16000/top)
		for _, load := range []float64{0.7, 0.95, 1.3, 2} {
			for k, kind := range []string{"poisson", "bursty", "diurnal"} {
				rng := rand.New(rand.NewPCG(seed, uint64(i*100+k*10)+uint64(load*1000)))
				var t Trace
				switch k {
				case 0:
					t = Poisson(rng, load*top, length)
				case 1:
					t = Bursty(rng, load*top, length, 8, length/40)
				case 2:
					t = Diurnal(rng, load*top, length)
				}
				t = t.WithDeadline(int64(sh.first * sh.deadline))
				out = append(out, Case{Name: sh.name + " " + kind, Machine: m, Trace: t, Load: load})
			}
		}
	}
	return append(out, many(seed, seconds)...)
}

// many is a thousand models of which a few get most of the traffic. The load is measured by what
// the machine does without batching, since most models rarely have two requests waiting.
func many(seed uint64, seconds float64) []Case {
	var out []Case
	m := Machine{Workers: 2, MaxRows: 32, Models: []Model{Affine(4e6, 0.4e6)}, Noise: 0.05, Seed: seed}
	alone := float64(m.Workers) * second / float64(m.Models[0](1))
	for _, load := range []float64{0.7, 1.3} {
		rng := rand.New(rand.NewPCG(seed, uint64(load*1000)))
		t := Poisson(rng, load*alone, min(seconds, 16000/alone)).OverModels(rng, 1000, 0.9)
		out = append(out, Case{Name: "1000 models zipf", Machine: m, Load: load, Trace: t.WithDeadline(60e6)})
	}
	return out
}

// Waits are the cases for latency: no deadlines, steady and bursty load below the peak.
func Waits(seed uint64, seconds float64) []Case {
	var out []Case
	for i, sh := range shapes {
		m := Machine{Workers: 1 + i%2, MaxRows: sh.rows, Models: []Model{Affine(sh.first, sh.each)}, Noise: 0.05, Seed: seed}
		top := Peak(&m)
		length := min(seconds, 16000/top)
		for _, load := range []float64{0.1, 0.4, 0.7} {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			out = append(out, Case{Name: sh.name + " poisson", Machine: m, Load: load, Timed: true, Trace: Poisson(rng, load*top, length)},
				Case{Name: sh.name + " bursty", Machine: m, Load: load, Timed: true, Trace: Bursty(rng, load*top, length, 3, length/40)})
		}
	}
	return out
}

// Small compares with the exact optimum on n random traces of at most 20 requests, and gives
// the mean share and the smallest. The policy has seen the model before, as it has in a server
// that warmed up.
func Small(seed uint64, n int) (mean, least float64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	least = math.Inf(1)
	for done := 0; done < n; {
		sh := shapes[rng.IntN(len(shapes))]
		m := Machine{Workers: 1, MaxRows: sh.rows, Models: []Model{Affine(sh.first, sh.each)}, Seed: rng.Uint64()}
		load := 0.3 + 1.7*rng.Float64()
		rate := load * second / sh.first * (1 + 3*rng.Float64())
		t := Poisson(rng, rate, 100/rate)
		t = t[:min(len(t), 1+rng.IntN(20))]
		t = t.WithDeadline(int64(sh.first * (2 + 6*rng.Float64())))
		want := Exact(&m, t)
		if want == 0 {
			continue
		}
		done++
		got := Judge("", Run(&m, t, Warm(Config(&m), m.Models[0])), 0).Good
		share := float64(got) / float64(want)
		mean += share / float64(n)
		least = min(least, share)
	}
	return mean, least
}

// Warm is Ours with the run times known from the beginning.
func Warm(cfg batcher.Config, f Model) func(int) Queue {
	make1 := Ours(cfg)
	return func(k int) Queue {
		q := make1(k).(*ours)
		for range 8 {
			for n := 1; n <= cfg.MaxRows; n *= 2 {
				q.lat.Observe(0, 100, n, f(n))
			}
		}
		return q
	}
}
