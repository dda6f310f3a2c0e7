// Package evaluate measures how good predicted probabilities are and makes them
// better calibrated: AUC, Brier score, log loss, calibration error, bootstrap
// intervals by group, Platt scaling, Wilson intervals.
//
// Labels are 0 or 1, probabilities lie in [0, 1]; slices of one call have one
// length. Nothing is kept or changed; all functions are safe for concurrent
// use. Neighbours: trainers above; it imports nothing of ours.
package evaluate

import (
	"cmp"
	"math"
	"slices"
)

// AUC is the probability that a row of label 1 scores above one of label 0,
// ties counting half (the Mann–Whitney statistic). It is NaN where one class is
// missing.
func AUC(y []float64, p []float64) float64 {
	return NewRanking(y, p).AUC(nil)
}

// Ranking is an order of the rows by score, made once, for many weighted AUCs.
type Ranking struct {
	order []int32
	tied  []bool
	y     []float64
}

// NewRanking orders the rows by rising p.
func NewRanking(y, p []float64) *Ranking {
	r := &Ranking{order: make([]int32, len(p)), tied: make([]bool, len(p)), y: y}
	for i := range r.order {
		r.order[i] = int32(i)
	}
	slices.SortFunc(r.order, func(a, b int32) int { return cmp.Compare(p[a], p[b]) })
	for k := 1; k < len(p); k++ {
		r.tied[k] = p[r.order[k]] == p[r.order[k-1]]
	}
	return r
}

// AUC is the area with weight[i] for row i, or 1 for all where weight is nil.
func (r *Ranking) AUC(weight []float64) float64 {
	var below, area, tieNeg, tiePos, pos float64
	settle := func() {
		area += tiePos * (below + tieNeg/2)
		below += tieNeg
		pos += tiePos
		tieNeg, tiePos = 0, 0
	}
	for k, i := range r.order {
		if !r.tied[k] {
			settle()
		}
		w := 1.0
		if weight != nil {
			w = weight[i]
		}
		if r.y[i] == 1 {
			tiePos += w
		} else {
			tieNeg += w
		}
	}
	settle()
	return area / (pos * below)
}

// Brier is the mean squared difference.
func Brier(y, p []float64) float64 {
	var s float64
	for i := range y {
		d := p[i] - y[i]
		s += d * d
	}
	return s / float64(len(y))
}

// ClipProbability is how close to 0 and 1 LogLoss and Platt let p come.
const ClipProbability = 1e-6

func clip(p float64) float64 { return min(max(p, ClipProbability), 1-ClipProbability) }

// LogLoss is the mean negative log-likelihood, p clipped by ClipProbability.
func LogLoss(y, p []float64) float64 {
	var s float64
	for i := range y {
		if q := clip(p[i]); y[i] == 1 {
			s -= math.Log(q)
		} else {
			s -= math.Log1p(-q)
		}
	}
	return s / float64(len(y))
}

// Bin is a run of rows of like probability.
type Bin struct {
	// Low and High bound p: Low <= p < High, in the last bin p <= High.
	Low, High float64
	Rows      int
	// Predicted is the mean p, Observed the share of label 1; both NaN where
	// Rows is 0.
	Predicted, Observed float64
}

// Quantiles gives the cuts of n bins of equal mass by linear interpolation
// between order statistics (Hyndman and Fan's type 7), n+1 of them or fewer
// where some coincide. p must not be empty.
func Quantiles(p []float64, n int) []float64 {
	s := slices.Sorted(slices.Values(p))
	q := make([]float64, 0, n+1)
	for k := range n + 1 {
		at := float64(k) / float64(n) * float64(len(s)-1)
		i := min(int(at), len(s)-1)
		v := s[i]
		if i+1 < len(s) {
			v += (at - float64(i)) * (s[i+1] - s[i])
		}
		if len(q) == 0 || v > q[len(q)-1] {
			q = append(q, v)
		}
	}
	return q
}

// Calibration sorts the rows into the bins between cuts, which rise. Rows
// outside fall into the first or the last bin. One cut alone makes one bin.
func Calibration(y, p, cuts []float64) []Bin {
	bins := make([]Bin, max(1, len(cuts)-1))
	for b := range bins {
		bins[b].Low, bins[b].High = cuts[b], cuts[min(b+1, len(cuts)-1)]
	}
	for i, v := range p {
		b := &bins[BinOf(cuts, v)]
		b.Rows++
		b.Predicted += v
		b.Observed += y[i]
	}
	for b := range bins {
		bins[b].Predicted /= float64(bins[b].Rows)
		bins[b].Observed /= float64(bins[b].Rows)
	}
	return bins
}

// BinOf is the number of the bin of p between the cuts.
func BinOf(cuts []float64, p float64) int {
	i, found := slices.BinarySearch(cuts, p)
	if !found {
		i--
	}
	return min(max(i, 0), max(0, len(cuts)-2))
}

// ECE is the expected calibration error over n bins of equal mass: the mean
// difference between predicted and observed rate, by rows.
func ECE(y, p []float64, n int) float64 {
	if len(p) == 0 {
		return math.NaN()
	}
	var s float64
	for _, b := range Calibration(y, p, Quantiles(p, n)) {
		if b.Rows > 0 {
			s += math.Abs(b.Predicted-b.Observed) * float64(b.Rows)
		}
	}
	return s / float64(len(p))
}

// Wilson is the score interval of a rate of which hits in n were seen, z
// standard deviations wide each way (Wilson, JASA 22, 1927). With n = 0 it is
// [0, 1].
func Wilson(hits, n, z float64) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	r, z2 := hits/n, z*z
	mid := (r + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(r*(1-r)/n+z2/(4*n*n))
	return max(0, mid-half), min(1, mid+half)
}
