package gate

import (
	"maps"
	"math"
	"slices"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train/evaluate"
)

// metric is one figure of merit.
type metric struct {
	// larger is better.
	larger bool
	// prepare checks labels and answers and gives the figure for weights of the rows, nil
	// for all alike.
	prepare func(labels []float64, answers [][]float64) (func(weight []float64) float64, error)
}

// metrics by name.
var metrics = map[string]metric{
	"auc":      {true, auc},
	"accuracy": {true, rowMean(right, nil)},
	"logloss":  {false, rowMean(logLoss, nil)},
	"brier":    {false, rowMean(brier, nil)},
	"mae":      {false, rowMean(absolute, nil)},
	"rmse":     {false, rowMean(squared, math.Sqrt)},
}

// Metrics lists the metrics, sorted.
func Metrics() []string { return slices.Sorted(maps.Keys(metrics)) }

// auc takes the last column as the score of label 1.
func auc(labels []float64, answers [][]float64) (func([]float64) float64, error) {
	score := make([]float64, len(labels))
	for i, a := range answers {
		if labels[i] != 0 && labels[i] != 1 || len(a) == 0 || len(a) > 2 {
			return nil, api.Errorf(api.CodeGateInvalid, "auc wants labels 0 and 1 and one score a row, got label %v and %d values", labels[i], len(a))
		}
		if score[i] = a[len(a)-1]; math.IsNaN(score[i]) {
			return func([]float64) float64 { return math.NaN() }, nil
		}
	}
	return evaluate.NewRanking(labels, score).AUC, nil
}

// rowMean makes a metric of a loss that each row has by itself; finish, if not nil, is
// applied to the mean.
func rowMean(loss func(label float64, answer []float64) (float64, error), finish func(float64) float64) func([]float64, [][]float64) (func([]float64) float64, error) {
	return func(labels []float64, answers [][]float64) (func([]float64) float64, error) {
		losses := make([]float64, len(labels))
		for i, a := range answers {
			var err error
			if losses[i], err = loss(labels[i], a); err != nil {
				return nil, err
			}
		}
		return func(weight []float64) float64 {
			var sum, total float64
			for i, l := range losses {
				w := 1.0
				if weight != nil {
					w = weight[i]
				}
				sum += w * l
				total += w
			}
			if finish != nil {
				return finish(sum / total)
			}
			return sum / total
		}, nil
	}
}

// class checks a label that numbers a class of n.
func class(label float64, n int) (int, error) {
	if label < 0 || label >= float64(n) || label != math.Trunc(label) {
		return 0, api.Errorf(api.CodeGateInvalid, "the label %v numbers none of %d classes", label, n)
	}
	return int(label), nil
}

// probabilities makes a single probability one of two classes.
func probabilities(answer []float64) []float64 {
	if len(answer) == 1 {
		return []float64{1 - answer[0], answer[0]}
	}
	return answer
}

// right is 1 where the answer names the label: by the greatest of several values, by a
// probability of at least a half, or as it is, where the answer is the number of a class.
func right(label float64, answer []float64) (float64, error) {
	if len(answer) == 1 && answer[0] == math.Trunc(answer[0]) {
		if answer[0] == label {
			return 1, nil
		}
		return 0, nil
	}
	p := probabilities(answer)
	k, err := class(label, len(p))
	if err != nil {
		return 0, err
	}
	best := 0
	for i, v := range p {
		if v > p[best] || len(answer) == 1 && v >= p[best] {
			best = i
		}
	}
	if best == k {
		return 1, nil
	}
	return 0, nil
}

func logLoss(label float64, answer []float64) (float64, error) {
	p := probabilities(answer)
	k, err := class(label, len(p))
	if err != nil {
		return 0, err
	}
	return -math.Log(max(p[k], evaluate.ClipProbability)), nil
}

func brier(label float64, answer []float64) (float64, error) {
	p := probabilities(answer)
	k, err := class(label, len(p))
	if err != nil {
		return 0, err
	}
	if len(p) == 2 {
		return (1 - p[k]) * (1 - p[k]), nil
	}
	sum := 0.0
	for i, v := range p {
		if i == k {
			v -= 1
		}
		sum += v * v
	}
	return sum, nil
}

func value(answer []float64) (float64, error) {
	if len(answer) != 1 {
		return 0, api.Errorf(api.CodeGateInvalid, "the metric wants one value a row, the output has %d", len(answer))
	}
	return answer[0], nil
}

func absolute(label float64, answer []float64) (float64, error) {
	v, err := value(answer)
	return math.Abs(v - label), err
}

func squared(label float64, answer []float64) (float64, error) {
	v, err := value(answer)
	return (v - label) * (v - label), err
}
