package wait

import (
	"math"
	"slices"

	"github.com/aimass/aimass/appointment"
)

// conformalRank returns the ⌈(n+1)·level⌉-th smallest score, which a new score
// from the same distribution does not pass with a probability of at least level.
func conformalRank(scores []float64, level float64) (float64, error) {
	n := len(scores)
	rank := int(math.Ceil(float64(n+1)*level - 1e-9))
	if rank > n || rank < 1 {
		return 0, appointment.Errorf(appointment.CodeNotEnoughCalibrated, "calibration", "%d rows for a level of %v", n, level)
	}
	s := slices.Clone(scores)
	slices.Sort(s)
	return s[rank-1], nil
}

// Upper is a one-sided bound: a predicted quantile is moved by Offset so that a
// share Level of new values does not pass it.
type Upper struct {
	Level, Offset float64
}

// FitUpper calibrates predictions against what happened.
func FitUpper(predicted, actual []float64, level float64) (Upper, error) {
	scores := make([]float64, len(actual))
	for i, y := range actual {
		scores[i] = y - predicted[i]
	}
	offset, err := conformalRank(scores, level)
	return Upper{level, offset}, err
}

// Apply returns the corrected bound, at least 0.
func (u Upper) Apply(predicted float64) float64 { return math.Max(0, predicted+u.Offset) }

// Interval is a two-sided interval for values of 0 and above, widened (or
// narrowed) by an offset of each group; groups without their own use All.
type Interval struct {
	Level float64
	All   float64
	// ByGroup is by group number; NaN means All.
	ByGroup []float64
}

// FitInterval calibrates predicted intervals by group, numbered from 0. Groups
// that have too few rows for the level get none of their own; it is an error if
// all rows together are too few.
func FitInterval(lo, hi, actual []float64, group []int, level float64) (Interval, error) {
	top := 0
	for _, g := range group {
		top = max(top, g)
	}
	var all []float64
	byGroup := make([][]float64, top+1)
	for i, y := range actual {
		score := math.Max(lo[i]-y, y-hi[i])
		all = append(all, score)
		byGroup[group[i]] = append(byGroup[group[i]], score)
	}
	v := Interval{Level: level, ByGroup: make([]float64, top+1)}
	var err error
	if v.All, err = conformalRank(all, level); err != nil {
		return v, err
	}
	for g, scores := range byGroup {
		if v.ByGroup[g], err = conformalRank(scores, level); err != nil {
			v.ByGroup[g] = math.NaN()
		}
	}
	return v, nil
}

// Apply returns the corrected interval of a row of the given group; its lower end
// is at least 0 and its upper end not below the lower.
func (v Interval) Apply(lo, hi float64, group int) (float64, float64) {
	offset := v.All
	if group >= 0 && group < len(v.ByGroup) && !math.IsNaN(v.ByGroup[group]) {
		offset = v.ByGroup[group]
	}
	lo = math.Max(0, lo-offset)
	return lo, math.Max(lo, hi+offset)
}
