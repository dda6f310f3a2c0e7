package tabular

import (
	"context"
	"math"

	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/design"
)

// learner fits models. A new one is made for each job.
type learner interface {
	// params lists the learner's own parameters.
	params() params
	// fit fits to p.fit, looking at p.valid where it stops early.
	fit(ctx context.Context, p *problem, job *train.Job) (predictor, error)
}

// predictor is a fitted model.
type predictor interface {
	// scores gives, by output and then by row, of two classes the log-odds of the second, of
	// more one unnormalised log-probability each, else the prediction.
	scores(s *set) [][]float64
	// append writes the scores as a value FLOAT [N, outputs].
	append(g *build.Graph, in *inputs) (string, error)
	// describe tells how the model was made.
	describe() description
}

// description is what a learner tells for the card and the report.
type description struct {
	method     string
	sources    []string
	settings   []train.CardSetting
	importance []importance
}

// importance is what a feature is worth to the model, as a share of all.
type importance struct {
	Feature string  `json:"feature"`
	Share   float64 `json:"share"`
}

// predictions turns scores into probabilities by class, or leaves predictions as they are.
func (p *problem) predictions(scores [][]float64) [][]float64 {
	switch p.task {
	case Binary:
		out := [][]float64{make([]float64, len(scores[0])), make([]float64, len(scores[0]))}
		for i, z := range scores[0] {
			out[1][i] = 1 / (1 + math.Exp(-z))
			out[0][i] = 1 - out[1][i]
		}
		return out
	case Multiclass:
		out := make([][]float64, len(scores))
		for k := range out {
			out[k] = make([]float64, len(scores[0]))
		}
		for i := range scores[0] {
			top, sum := math.Inf(-1), 0.0
			for k := range scores {
				top = max(top, scores[k][i])
			}
			for k := range scores {
				out[k][i] = math.Exp(scores[k][i] - top)
				sum += out[k][i]
			}
			for k := range scores {
				out[k][i] /= sum
			}
		}
		return out
	}
	return scores
}

// outputs is the number of scores a row gets.
func (p *problem) outputs() int {
	if p.task == Multiclass {
		return len(p.classes)
	}
	return 1
}

// matrix makes the design matrix of a part, with the scaler of the fitted rows.
func (p *problem) matrix(s *set, scaler *design.Scaler) *design.Matrix {
	m := &design.Matrix{Rows: len(s.rows), Codes: s.codes, Labels: s.labels, Weights: s.weights}
	if scaler != nil {
		m.Width, m.Dense = scaler.Width(), scaler.Apply(s.numeric, len(s.rows))
	}
	for _, names := range p.categories {
		m.Categories = append(m.Categories, len(names))
	}
	return m
}

// fitScaler is nil where there are no numeric features.
func (p *problem) fitScaler() *design.Scaler {
	if len(p.numeric) == 0 {
		return nil
	}
	return design.FitScaler(p.fit.numeric)
}
