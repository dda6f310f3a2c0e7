package tabular

import (
	"math"

	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/evaluate"
)

// bootstrapRounds is how many resamples intervals of figures are taken from.
const bootstrapRounds = 200

// measure gives the figures of predictions on the test rows: probabilities by class, then by
// row, of a classifier; else the predicted values as the one entry. Intervals are bootstrapped
// over groups. A figure that these rows leave undefined, as the AUC of one class alone, is left
// out.
func (p *problem) measure(predicted [][]float64, half float64, seed uint64) []train.Metric {
	s := &p.test
	var names []string
	var stat func(w []float64) []float64
	switch p.task {
	case Binary:
		names = []string{"auc", "log_loss", "brier", "accuracy"}
		rank := evaluate.NewRanking(s.labels, predicted[1])
		stat = func(w []float64) []float64 {
			return []float64{rank.AUC(w), weighted(s.labels, w, func(i int, y float64) float64 { return logLoss(predicted[1][i], y) }),
				weighted(s.labels, w, func(i int, y float64) float64 { return (predicted[1][i] - y) * (predicted[1][i] - y) }),
				weighted(s.labels, w, func(i int, y float64) float64 { return hit(predicted, i, y) })}
		}
	case Multiclass:
		names = []string{"accuracy", "log_loss"}
		stat = func(w []float64) []float64 {
			return []float64{weighted(s.labels, w, func(i int, y float64) float64 { return hit(predicted, i, y) }),
				weighted(s.labels, w, func(i int, y float64) float64 { return logLoss(predicted[int(y)][i], 1) })}
		}
	case Quantile:
		names = []string{"pinball", "coverage"}
		stat = func(w []float64) []float64 {
			return []float64{weighted(s.labels, w, func(i int, y float64) float64 {
				d := y - predicted[0][i]
				return max(p.quantile*d, (p.quantile-1)*d)
			}), weighted(s.labels, w, func(i int, y float64) float64 { return indicator(y <= predicted[0][i]) })}
		}
	default:
		names, stat = p.regressionFigures(predicted[0], half)
	}
	now := stat(nil)
	ci := evaluate.Bootstrap(compact(s.groups), bootstrapRounds, 0.95, seed, stat)
	out := make([]train.Metric, 0, len(names)+1)
	for k, name := range names {
		if !finite(now[k]) {
			continue
		}
		m := train.Metric{Name: name, Set: "test", Value: now[k], Low: now[k], High: now[k], Passed: true}
		if k < len(ci) && finite(ci[k].Low) && finite(ci[k].High) {
			m.Low, m.High = ci[k].Low, ci[k].High
		}
		out = append(out, m)
	}
	if p.task == Binary {
		e := evaluate.ECE(s.labels, predicted[1], 15)
		out = append(out, train.Metric{Name: "ece15", Set: "test", Value: e, Low: e, High: e, Passed: true})
	}
	return out
}

func (p *problem) regressionFigures(predicted []float64, half float64) ([]string, func(w []float64) []float64) {
	s := &p.test
	names := []string{"rmse", "mae", "r2"}
	if half > 0 {
		names = append(names, "interval_coverage", "interval_width")
	}
	return names, func(w []float64) []float64 {
		square := weighted(s.labels, w, func(i int, y float64) float64 { return (predicted[i] - y) * (predicted[i] - y) })
		mean := weighted(s.labels, w, func(_ int, y float64) float64 { return y })
		spread := weighted(s.labels, w, func(_ int, y float64) float64 { return (y - mean) * (y - mean) })
		out := []float64{math.Sqrt(square), weighted(s.labels, w, func(i int, y float64) float64 { return math.Abs(predicted[i] - y) }), 1 - square/spread}
		if half > 0 {
			out = append(out, weighted(s.labels, w, func(i int, y float64) float64 { return indicator(math.Abs(predicted[i]-y) <= half) }), 2*half)
		}
		return out
	}
}

func weighted(labels, w []float64, f func(i int, y float64) float64) float64 {
	var sum, total float64
	for i, y := range labels {
		wi := 1.0
		if w != nil {
			if wi = w[i]; wi == 0 {
				continue
			}
		}
		sum += wi * f(i, y)
		total += wi
	}
	return sum / total
}

// logLoss of a probability p and an outcome of 0 or 1.
func logLoss(p, y float64) float64 { return evaluate.LogLoss([]float64{y}, []float64{p}) }

func hit(predicted [][]float64, i int, y float64) float64 {
	best := 0
	for k := range predicted {
		if predicted[k][i] > predicted[best][i] {
			best = k
		}
	}
	return indicator(best == int(y))
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// compact renumbers groups from 0.
func compact(groups []int) []int {
	seen := map[int]int{}
	out := make([]int, len(groups))
	for i, g := range groups {
		k, ok := seen[g]
		if !ok {
			k = len(seen)
			seen[g] = k
		}
		out[i] = k
	}
	return out
}
