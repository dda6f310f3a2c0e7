package tabular

import (
	"context"
	"fmt"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/design"
	"github.com/aimass/aimass/train/linear"
)

// linearLearner fits linear, logistic and multinomial models.
type linearLearner struct{ c linear.Config }

func newLinear() learner { return &linearLearner{linear.DefaultConfig()} }

func (l *linearLearner) params() params {
	return params{"alpha": number(&l.c.Alpha), "l1_ratio": number(&l.c.L1), "iterations": number(&l.c.Iterations), "tolerance": number(&l.c.Tolerance)}
}

func (l *linearLearner) fit(ctx context.Context, p *problem, job *train.Job) (predictor, error) {
	c := l.c
	switch c.Outputs = p.outputs(); p.task {
	case Binary:
		c.Loss = linear.Logistic
	case Multiclass:
		c.Loss = linear.Softmax
	case Quantile:
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "the linear trainer has no quantile task: use gbdt")
	}
	if err := c.Validate(); err != nil {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "a parameter of the fit is wrong: %w", err)
	}
	m := &linearModel{p: p, scaler: p.fitScaler(), c: c, center: 0, scale: 1}
	x := p.matrix(&p.fit, m.scaler)
	if p.task == Regression {
		x.Labels, m.center, m.scale = standardise(x.Labels)
	}
	var err error
	m.m, err = linear.Fit(ctx, c, x, func(q linear.Progress) {
		job.Tell(train.Event{Stage: "steps", Step: q.Step, Steps: q.Steps, Message: fmt.Sprintf("optimality violated by %.2g", q.Violation)})
	})
	return m, err
}

// standardise brings labels to mean 0 and variance 1, so that settings mean the same in any
// unit.
func standardise(y []float64) (out []float64, center, scale float64) {
	for _, v := range y {
		center += v / float64(len(y))
	}
	for _, v := range y {
		scale += (v - center) * (v - center) / float64(len(y))
	}
	if scale = math.Sqrt(scale); !(scale > 0) {
		scale = 1
	}
	out = make([]float64, len(y))
	for i, v := range y {
		out[i] = (v - center) / scale
	}
	return out, center, scale
}

// unscale takes standardise back.
func unscale(scores [][]float64, center, scale float64) [][]float64 {
	for _, s := range scores {
		for i := range s {
			s[i] = center + scale*s[i]
		}
	}
	return scores
}

// appendUnscale writes unscale.
func appendUnscale(g *build.Graph, scores string, center, scale float64) string {
	if center == 0 && scale == 1 {
		return scores
	}
	s := g.Const(g.Fresh("label_scale"), []float32{float32(scale)}, 1, 1)
	c := g.Const(g.Fresh("label_mean"), []float32{float32(center)}, 1, 1)
	return g.Op("Add", []string{g.Op("Mul", []string{scores, s}), c})
}

type linearModel struct {
	p             *problem
	scaler        *design.Scaler
	c             linear.Config
	m             *linear.Model
	center, scale float64
}

func (m *linearModel) scores(s *set) [][]float64 {
	return unscale(m.m.Scores(m.p.matrix(s, m.scaler)), m.center, m.scale)
}

func (m *linearModel) append(g *build.Graph, in *inputs) (string, error) {
	dense := ""
	if m.scaler != nil {
		dense = m.scaler.AppendONNX(g, in.numeric)
	}
	return appendUnscale(g, m.m.AppendONNX(g, dense, in.codes), m.center, m.scale), nil
}

func (m *linearModel) describe() description {
	set := func(name string, v any) train.CardSetting { return train.CardSetting{Name: name, Value: fmt.Sprint(v)} }
	d := description{
		method: fmt.Sprintf("A linear model on standardised numbers and categories with an elastic net, at the optimum to %.1g after %d steps.", m.m.Violation, m.m.Steps),
		settings: []train.CardSetting{set("alpha", m.c.Alpha), set("l1_ratio", m.c.L1), set("iterations", m.c.Iterations), set("tolerance", m.c.Tolerance),
			set("converged", m.m.Converged)},
		sources: []string{"Zou and Hastie, JRSS B 67, 2005.", "Beck and Teboulle, SIAM J. Imaging Sciences 2(1), 2009."},
	}
	// Of standardised columns the size of the weights tells what a feature does; of categories
	// their spread over the fitted rows.
	total := 0.0
	for f, name := range m.p.numeric {
		v := 0.0
		for k := range m.m.Outputs {
			v += math.Abs(m.m.Weights[f*m.m.Outputs+k])
		}
		d.importance = append(d.importance, importance{name, v})
		total += v
	}
	for j, name := range m.p.categorical {
		v := 0.0
		x := m.p.matrix(&m.p.fit, nil)
		for k := range m.m.Outputs {
			var mean, square float64
			for r := range x.Rows {
				w := m.m.Tables[j][x.Code(j, r)*m.m.Outputs+k]
				mean += w / float64(x.Rows)
				square += w * w / float64(x.Rows)
			}
			v += math.Sqrt(max(0, square-mean*mean))
		}
		d.importance = append(d.importance, importance{name, v})
		total += v
	}
	for i := range d.importance {
		d.importance[i].Share /= max(total, 1e-300)
	}
	return d
}
