package sim

import (
	"fmt"
	"io"
)

// Report is what the suite found.
type Report struct {
	Seed  uint64    `json:"seed"`
	Cases []Outcome `json:"cases"`
	// MeanOfBound and LeastOfBound are of our policy over the goodput cases.
	MeanOfBound  float64 `json:"mean_of_bound"`
	LeastOfBound float64 `json:"least_of_bound"`
	// SmallMean is the mean share of the exact optimum on small traces.
	SmallMean  float64 `json:"small_mean"`
	SmallLeast float64 `json:"small_least"`
	// Ratios at 70 % of the peak of our p99 to that of a fixed delay and batch size: Tuned to
	// another trace of the same kind, and the best by Hindsight for the very trace.
	Tuned     Ratio `json:"p99_to_tuned"`
	Hindsight Ratio `json:"p99_to_hindsight"`
}

// Ratio sums up ratios over cases.
type Ratio struct {
	Mean  float64 `json:"mean"`
	Worst float64 `json:"worst"`
	n     float64
}

func (r *Ratio) add(a, b int64) {
	v := float64(a) / float64(max(b, 1))
	r.n++
	r.Mean += (v - r.Mean) / r.n
	r.Worst = max(r.Worst, v)
}

// yesterday is added to the seed for the traces that fixed delays are tuned on.
const yesterday = 7919

// Suite plays all cases; each calls progress with its outcome.
func Suite(seed uint64, seconds float64, progress func(Outcome)) Report {
	r := Report{Seed: seed, LeastOfBound: 1}
	good := Cases(seed, seconds)
	for i := range good {
		o := Play(&good[i])
		r.MeanOfBound += o.Ours.OfBound / float64(len(good))
		r.LeastOfBound = min(r.LeastOfBound, o.Ours.OfBound)
		r.Cases = append(r.Cases, o)
		progress(o)
	}
	waits, before := Waits(seed, seconds), Waits(seed+yesterday, seconds)
	for i := range waits {
		o := Play(&waits[i])
		if o.Load == timedLoad {
			x, _ := tune(&before[i], 0)
			o.TunedP99 = x.play(&waits[i], 0).P99
			r.Tuned.add(o.Ours.P99, o.TunedP99)
			r.Hindsight.add(o.Ours.P99, o.Fixed.P99)
		}
		r.Cases = append(r.Cases, o)
		progress(o)
	}
	r.SmallMean, r.SmallLeast = Small(seed, 500)
	return r
}

// timedLoad is the share of the peak at which latencies are compared.
const timedLoad = 0.7

// Header writes the columns of Line.
func Header(w io.Writer) {
	fmt.Fprintf(w, "%-22s %5s %9s | %6s %9s %6s | %6s %9s  %-16s | %6s %9s\n", "", "", "", "ours", "", "", "best", "fixed", "", "no", "batching")
	fmt.Fprintf(w, "%-22s %5s %9s | %6s %9s %6s | %6s %9s  %-16s | %6s %9s\n", "trace", "load", "bound",
		"bound", "p99 ms", "batch", "bound", "p99 ms", "delay, max rows", "bound", "p99 ms")
}

// Line writes an outcome.
func Line(w io.Writer, o *Outcome) {
	ms := func(ns int64) float64 { return float64(ns) / 1e6 }
	fmt.Fprintf(w, "%-22s %5.2f %9.0f | %5.1f%% %9.3f %6.1f | %5.1f%% %9.3f  %-16s | %5.1f%% %9.3f\n", o.Case, o.Load, o.Bound,
		100*o.Ours.OfBound, ms(o.Ours.P99), o.Ours.Batch, 100*o.Fixed.OfBound, ms(o.Fixed.P99), o.Fixed.Name, 100*o.Alone.OfBound, ms(o.Alone.P99))
}

// Summary writes the figures that the suite is about, beside their goals.
func (r *Report) Summary(w io.Writer) {
	fmt.Fprintf(w, "\ngoodput, share of the upper bound     mean %.1f %% (goal 92), least %.1f %% (goal 80)\n", 100*r.MeanOfBound, 100*r.LeastOfBound)
	fmt.Fprintf(w, "goodput, share of the exact optimum   mean %.1f %% (goal 97), least %.1f %%, 500 traces of up to 20 requests\n", 100*r.SmallMean,
		100*r.SmallLeast)
	fmt.Fprintf(w, "p99 at 70 %% of the peak               mean %.2f×, at most %.2f× that of the delay and batch size tuned on another trace of "+
		"the kind (goal 1.10)\n", r.Tuned.Mean, r.Tuned.Worst)
	fmt.Fprintf(w, "                                      mean %.2f×, at most %.2f× that of the best of all for the very trace, by hindsight\n", r.Hindsight.Mean,
		r.Hindsight.Worst)
}
