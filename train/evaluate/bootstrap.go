package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Interval is a range that a figure lies in with a stated confidence.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Bootstrap gives percentile intervals (Efron, 1979) of a statistic over
// resampled groups: each round draws as many groups as there are, with
// replacement, and hands stat the weight of each row, which is how often its
// group was drawn. group numbers the rows' groups from 0. stat returns any
// number of figures; NaN ones are left out. confidence is such as 0.95.
func Bootstrap(group []int, rounds int, confidence float64, seed uint64, stat func(weight []float64) []float64) []Interval {
	groups := 0
	for _, g := range group {
		groups = max(groups, g+1)
	}
	rng := rand.New(rand.NewPCG(seed, 0x626f6f74))
	drawn := make([]float64, groups)
	weight := make([]float64, len(group))
	var runs [][]float64
	for range rounds {
		clear(drawn)
		for range groups {
			drawn[rng.IntN(groups)]++
		}
		for i, g := range group {
			weight[i] = drawn[g]
		}
		for k, v := range stat(weight) {
			if k == len(runs) {
				runs = append(runs, nil)
			}
			if !math.IsNaN(v) {
				runs[k] = append(runs[k], v)
			}
		}
	}
	out := make([]Interval, len(runs))
	for k, r := range runs {
		if len(r) == 0 {
			out[k] = Interval{math.NaN(), math.NaN()}
			continue
		}
		slices.Sort(r)
		tail := (1 - confidence) / 2
		out[k] = Interval{quantile(r, tail), quantile(r, 1-tail)}
	}
	return out
}

// quantile of a sorted slice, type 7.
func quantile(s []float64, q float64) float64 {
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}
