package gbdt

import (
	"cmp"
	"math"
	"slices"
)

// objective is a loss with its derivatives. Scores are by output, then by row.
type objective interface {
	// base is the best constant score of each output.
	base(y, w []float64) []float64
	// gradients writes the derivatives of rows from..to-1 of every output.
	gradients(scores [][]float64, y, w []float64, out [][]pair, from, to int)
	// loss is the loss of row i, without its weight.
	loss(scores [][]float64, y []float64, i int) float64
}

// renewer is an objective whose leaves are not set to the second-order value
// but to what renew makes of the residuals (label less score) of their rows.
type renewer interface {
	renew(residual, w []float64) float64
}

func newObjective(c *Config) objective {
	switch c.Objective {
	case Binary:
		return logLoss{}
	case Multiclass:
		return softmaxLoss{c.Classes}
	case Regression:
		return squaredLoss{}
	default:
		return pinballLoss{c.Quantile}
	}
}

func weightAt(w []float64, i int) float64 {
	if w == nil {
		return 1
	}
	return w[i]
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// weightedMean of f over the rows, summed in row order.
func weightedMean(n int, w []float64, f func(i int) float64) float64 {
	var s, t float64
	for i := range n {
		wi := weightAt(w, i)
		s += wi * f(i)
		t += wi
	}
	return s / t
}

// meanLoss is the mean of the rows' losses by weight. Chunks are summed each by
// itself and then in order, so that workers do not change the result.
func meanLoss(obj objective, scores [][]float64, y, w []float64, workers int) float64 {
	parts := make([]struct{ sum, weight float64 }, (len(y)+chunk-1)/chunk)
	shareRows(len(y), workers, func(from, to int) {
		p := &parts[from/chunk]
		for i := from; i < to; i++ {
			wi := weightAt(w, i)
			p.sum += wi * obj.loss(scores, y, i)
			p.weight += wi
		}
	})
	var sum, weight float64
	for _, p := range parts {
		sum += p.sum
		weight += p.weight
	}
	return sum / weight
}

type logLoss struct{}

func (logLoss) base(y, w []float64) []float64 {
	p := weightedMean(len(y), w, func(i int) float64 { return y[i] })
	p = min(max(p, 1e-9), 1-1e-9)
	return []float64{math.Log(p / (1 - p))}
}

func (logLoss) gradients(scores [][]float64, y, w []float64, out [][]pair, from, to int) {
	s, o := scores[0], out[0]
	for i := from; i < to; i++ {
		p := sigmoid(s[i])
		wi := weightAt(w, i)
		o[i] = pair{float32(wi * (p - y[i])), float32(wi * p * (1 - p))}
	}
}

func (logLoss) loss(scores [][]float64, y []float64, i int) float64 {
	z := scores[0][i]
	return max(z, 0) - z*y[i] + math.Log1p(math.Exp(-math.Abs(z)))
}

type softmaxLoss struct{ classes int }

func (l softmaxLoss) base(y, w []float64) []float64 {
	b := make([]float64, l.classes)
	var t float64
	for i, v := range y {
		b[int(v)] += weightAt(w, i)
		t += weightAt(w, i)
	}
	for k := range b {
		b[k] = math.Log(max(b[k]/t, 1e-9))
	}
	return b
}

// logSum is log Σ exp of row i's scores.
func logSum(scores [][]float64, i int) float64 {
	m := math.Inf(-1)
	for k := range scores {
		m = max(m, scores[k][i])
	}
	var s float64
	for k := range scores {
		s += math.Exp(scores[k][i] - m)
	}
	return m + math.Log(s)
}

// gradients scales the diagonal of the Hessian by K/(K-1), which makes up for
// the one redundant class (Friedman 2001, algorithm 6).
func (l softmaxLoss) gradients(scores [][]float64, y, w []float64, out [][]pair, from, to int) {
	scale := float64(l.classes) / float64(l.classes-1)
	for i := from; i < to; i++ {
		ls, wi := logSum(scores, i), weightAt(w, i)
		for k := range scores {
			p := math.Exp(scores[k][i] - ls)
			g := p
			if int(y[i]) == k {
				g--
			}
			out[k][i] = pair{float32(wi * g), float32(wi * scale * p * (1 - p))}
		}
	}
}

func (l softmaxLoss) loss(scores [][]float64, y []float64, i int) float64 {
	return logSum(scores, i) - scores[int(y[i])][i]
}

type squaredLoss struct{}

func (squaredLoss) base(y, w []float64) []float64 {
	return []float64{weightedMean(len(y), w, func(i int) float64 { return y[i] })}
}

func (squaredLoss) gradients(scores [][]float64, y, w []float64, out [][]pair, from, to int) {
	for i := from; i < to; i++ {
		wi := weightAt(w, i)
		out[0][i] = pair{float32(wi * (scores[0][i] - y[i])), float32(wi)}
	}
}

func (squaredLoss) loss(scores [][]float64, y []float64, i int) float64 {
	d := scores[0][i] - y[i]
	return d * d
}

// pinballLoss has no curvature: trees are grown on unit hessians, then each
// leaf is set to the quantile of its residuals.
type pinballLoss struct{ q float64 }

func (l pinballLoss) base(y, w []float64) []float64 {
	return []float64{weightedQuantile(y, w, l.q)}
}

func (l pinballLoss) gradients(scores [][]float64, y, w []float64, out [][]pair, from, to int) {
	for i := from; i < to; i++ {
		wi := weightAt(w, i)
		g := -l.q
		if y[i] <= scores[0][i] {
			g = 1 - l.q
		}
		out[0][i] = pair{float32(wi * g), float32(wi)}
	}
}

func (l pinballLoss) loss(scores [][]float64, y []float64, i int) float64 {
	d := y[i] - scores[0][i]
	return max(l.q*d, (l.q-1)*d)
}

func (l pinballLoss) renew(residual, w []float64) float64 {
	return weightedQuantile(residual, w, l.q)
}

// weightedQuantile is the least value whose share of the weight, with all below
// it, reaches q; between two equally good values the middle. v is not changed.
func weightedQuantile(v, w []float64, q float64) float64 {
	ix := make([]int, len(v))
	var total float64
	for i := range ix {
		ix[i] = i
		total += weightAt(w, i)
	}
	slices.SortFunc(ix, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
	var sum float64
	for k, i := range ix {
		sum += weightAt(w, i)
		if sum > q*total || k == len(ix)-1 {
			return v[i]
		}
		if sum == q*total {
			return (v[i] + v[ix[k+1]]) / 2
		}
	}
	panic("BUG: gbdt: quantile of nothing")
}
