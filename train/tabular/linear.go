package tabular

import (
	"context"
	"fmt"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
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
	m := &linearModel{newScaled[*linear.Model](p), c}
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

type linearModel struct {
	scaled[*linear.Model]
	c linear.Config
}

func (m *linearModel) describe() description {
	set := func(name string, v any) train.CardSetting { return train.CardSetting{Name: name, Value: fmt.Sprint(v)} }
	d := description{
		method: fmt.Sprintf("A linear model on standardised numbers and categories with an elastic net, at the optimum to %.1g after %d steps.", m.m.Violation,
			m.m.Steps),
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
