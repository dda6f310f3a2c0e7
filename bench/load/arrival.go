package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/aimass/aimass/bench/sim"
)

// arrivals gives the moments at which requests of an open loop start, in nanoseconds since the
// beginning, rising; at its end math.MaxInt64.
type arrivals struct {
	rng   *rand.Rand
	gap   float64
	exact bool
	at    float64
	trace []int64
	k     int
}

func newArrivals(o *Options) (*arrivals, error) {
	a := &arrivals{rng: rand.New(rand.NewPCG(o.Seed, 1<<41)), exact: o.Arrival == "constant"}
	if o.Rate > 0 {
		a.gap = float64(time.Second) / o.Rate
	}
	name, ok := strings.CutPrefix(o.Arrival, "trace:")
	if !ok {
		return a, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := sim.Read(f, a.rng, 1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// A rate stretches the trace to that mean.
	stretch := 1.0
	if o.Rate > 0 && t.Length() > 0 {
		stretch = float64(len(t)) * a.gap / float64(t.Length())
	}
	for i := range t {
		a.trace = append(a.trace, int64(float64(t[i].At)*stretch))
	}
	return a, nil
}

func (a *arrivals) next() int64 {
	if a.trace != nil {
		if a.k == len(a.trace) {
			return math.MaxInt64
		}
		a.k++
		return a.trace[a.k-1]
	}
	if a.exact {
		a.at += a.gap
	} else {
		a.at += a.gap * a.rng.ExpFloat64()
	}
	return int64(a.at)
}
