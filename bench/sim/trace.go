package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// Arrival is one request of a trace. Times are nanoseconds since the trace's begin.
type Arrival struct {
	At       int64
	Deadline int64 // absolute; 0 means none
	Rows     int
	Model    int
	Level    int
	Tenant   string
}

// Trace is arrivals in order of time.
type Trace []Arrival

// Length is the time of the last arrival.
func (t Trace) Length() int64 {
	if len(t) == 0 {
		return 0
	}
	return t[len(t)-1].At
}

// WithDeadline gives every arrival a deadline so long after it, in nanoseconds.
func (t Trace) WithDeadline(after int64) Trace {
	for i := range t {
		t[i].Deadline = t[i].At + after
	}
	return t
}

const second = 1e9

// Poisson makes arrivals with exponential gaps: rate a second, over so many seconds.
func Poisson(rng *rand.Rand, rate, seconds float64) Trace {
	return modulated(rng, rate, seconds, func(float64) float64 { return rate })
}

// Bursty makes a Markov-modulated Poisson process of two states: calm at a third of the mean
// rate, and bursts of burst times that; both states last dwell seconds in the mean. The mean
// rate is kept.
func Bursty(rng *rand.Rand, rate, seconds, burst, dwell float64) Trace {
	low := 2 * rate / (1 + burst)
	high := burst * low
	var edges []float64
	for at := 0.0; at < seconds; {
		at += rng.ExpFloat64() * dwell
		edges = append(edges, at)
	}
	k := 0
	return modulated(rng, high, seconds, func(at float64) float64 {
		for k < len(edges) && edges[k] <= at {
			k++
		}
		if k%2 == 0 {
			return low
		}
		return high
	})
}

// Diurnal makes a day of so many seconds: the rate swings as a sine between nothing and twice
// the mean.
func Diurnal(rng *rand.Rand, rate, seconds float64) Trace {
	return modulated(rng, 2*rate, seconds, func(at float64) float64 {
		return rate * (1 - math.Cos(2*math.Pi*at/seconds))
	})
}

// modulated thins a Poisson process of rate peak (Lewis and Shedler, 1979). f is asked for
// rising times.
func modulated(rng *rand.Rand, peak, seconds float64, f func(at float64) float64) Trace {
	var out Trace
	for at := rng.ExpFloat64() / peak; at < seconds; at += rng.ExpFloat64() / peak {
		if rng.Float64()*peak <= f(at) {
			out = append(out, Arrival{At: int64(at * second), Rows: 1})
		}
	}
	return out
}

// OverModels gives each arrival one of n models, with Zipf popularity of exponent s.
func (t Trace) OverModels(rng *rand.Rand, n int, s float64) Trace {
	sum := make([]float64, n)
	total := 0.0
	for i := range sum {
		total += math.Pow(float64(i+1), -s)
		sum[i] = total
	}
	for i := range t {
		t[i].Model, _ = slices.BinarySearch(sum, rng.Float64()*total)
	}
	return t
}

// OverTenants gives each arrival a tenant, by their shares of the traffic.
func (t Trace) OverTenants(rng *rand.Rand, shares ...float64) Trace {
	total := 0.0
	for _, s := range shares {
		total += s
	}
	for i := range t {
		x := rng.Float64() * total
		k := 0
		for k < len(shares)-1 && x >= shares[k] {
			x -= shares[k]
			k++
		}
		t[i].Tenant = strconv.Itoa(k)
	}
	return t
}

func (t Trace) sort() Trace {
	slices.SortStableFunc(t, func(a, b Arrival) int { return int(min(max(a.At-b.At, -1), 1)) })
	return t
}
