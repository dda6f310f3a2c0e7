package tabular

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/mlp"
)

// mlpLearner trains multilayer perceptrons.
type mlpLearner struct{ c mlp.Config }

func newMLP() learner { return &mlpLearner{mlp.DefaultConfig()} }

func (l *mlpLearner) params() params {
	c := &l.c
	return params{
		"hidden": l.readHidden, "embedding": number(&c.Embedding), "epochs": number(&c.Epochs), "batch": number(&c.Batch),
		"learning_rate": number(&c.LearningRate), "weight_decay": number(&c.WeightDecay), "early_stop": number(&c.EarlyStop), "unknown": number(&c.Unknown),
	}
}

// readHidden reads "64,32".
func (l *mlpLearner) readHidden(v string) error {
	l.c.Hidden = nil
	for _, part := range strings.Split(v, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("expected the widths of the layers, such as 64,32")
		}
		l.c.Hidden = append(l.c.Hidden, n)
	}
	return nil
}

func (l *mlpLearner) fit(ctx context.Context, p *problem, job *train.Job) (predictor, error) {
	c := l.c
	c.Seed = job.Seed
	switch c.Outputs = p.outputs(); p.task {
	case Binary:
		c.Loss = mlp.Logistic
	case Multiclass:
		c.Loss = mlp.Softmax
	case Quantile:
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "the mlp trainer has no quantile task: use gbdt")
	}
	if err := c.Validate(); err != nil {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "a parameter of the network is wrong: %w", err)
	}
	m := &mlpModel{newScaled[*mlp.Model](p), c}
	fit, valid := p.matrix(&p.fit, m.scaler), p.matrix(&p.valid, m.scaler)
	if p.task == Regression {
		fit.Labels, m.center, m.scale = standardise(fit.Labels)
		scaled := make([]float64, len(valid.Labels))
		for i, y := range valid.Labels {
			scaled[i] = (y - m.center) / m.scale
		}
		valid.Labels = scaled
	}
	var err error
	m.m, err = mlp.Train(ctx, c, fit, valid, func(q mlp.Progress) {
		job.Tell(train.Event{Stage: "epochs", Step: q.Epoch, Steps: q.Epochs, Message: fmt.Sprintf("loss of the rows to stop early %.5f, best %.5f in epoch %d",
			q.Loss, q.Best, q.BestEpoch)})
	})
	return m, err
}

type mlpModel struct {
	scaled[*mlp.Model]
	c mlp.Config
}

func (m *mlpModel) describe() description {
	set := func(name string, v any) train.CardSetting { return train.CardSetting{Name: name, Value: fmt.Sprint(v)} }
	c := &m.c
	return description{
		method: fmt.Sprintf("A multilayer perceptron with an embedding for each categorical feature, %d weights, of epoch %d of %d: the best by the loss of the "+
			"rows held out to stop early.", m.m.Parameters(), m.m.Best, m.m.Epochs),
		settings: []train.CardSetting{set("hidden", c.Hidden), set("embedding", c.Embedding), set("batch", c.Batch), set("learning_rate", c.LearningRate),
			set("weight_decay", c.WeightDecay), set("early_stop", c.EarlyStop), set("unknown", c.Unknown)},
		sources: []string{"Guo and Berkhahn, Entity embeddings of categorical variables, 2016.", "Loshchilov and Hutter, ICLR 2019."},
	}
}
