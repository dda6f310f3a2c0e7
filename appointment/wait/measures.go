package wait

import (
	"math"
	"slices"
)

// Pinball is the mean pinball loss of predictions of the quantile at level: the
// lower the better, and least for the true quantile.
func Pinball(predicted, actual []float64, level float64) float64 {
	sum := 0.0
	for i, y := range actual {
		d := y - predicted[i]
		sum += math.Max(level*d, (level-1)*d)
	}
	return sum / float64(len(actual))
}

// CoverageBelow is the share of values at or below their bound.
func CoverageBelow(bound, actual []float64) float64 {
	n := 0
	for i, y := range actual {
		if y <= bound[i] {
			n++
		}
	}
	return float64(n) / float64(len(actual))
}

// IntervalReport measures intervals on rows that were not used to make them.
type IntervalReport struct {
	Coverage float64
	// Width is the mean width in minutes; Winkler the mean interval score (Winkler,
	// J. Am. Stat. Assoc. 1972): the width, and 2/α for each minute outside.
	Width, Winkler float64
	// ByGroup is the coverage of each group, NaN where it has no rows.
	ByGroup []float64
	Rows    int
}

// MeasureInterval measures intervals with nominal coverage level.
func MeasureInterval(lo, hi, actual []float64, group []int, level float64) IntervalReport {
	r := IntervalReport{Rows: len(actual)}
	var in, n []float64
	for i, y := range actual {
		for len(n) <= group[i] {
			in, n = append(in, 0), append(n, 0)
		}
		n[group[i]]++
		r.Width += hi[i] - lo[i]
		miss := math.Max(0, math.Max(lo[i]-y, y-hi[i]))
		r.Winkler += hi[i] - lo[i] + 2/(1-level)*miss
		if miss == 0 {
			r.Coverage++
			in[group[i]]++
		}
	}
	rows := float64(len(actual))
	r.Coverage, r.Width, r.Winkler = r.Coverage/rows, r.Width/rows, r.Winkler/rows
	for g := range n {
		r.ByGroup = append(r.ByGroup, in[g]/n[g])
	}
	return r
}

// quantileOf is the empirical quantile of values at level.
func quantileOf(values []float64, level float64) float64 {
	s := slices.Clone(values)
	slices.Sort(s)
	return s[min(len(s)-1, int(level*float64(len(s))))]
}
