package tabular

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/gbdt"
)

// gbdtLearner fits gradient boosted trees.
type gbdtLearner struct {
	c gbdt.Config
	// monotone is +1 or −1 by feature.
	monotone map[string]int
}

func newGBDT() learner {
	c := gbdt.DefaultConfig()
	c.MinRows, c.EarlyStop = 20, 50
	return &gbdtLearner{c: c}
}

func (l *gbdtLearner) params() params {
	c := &l.c
	return params{
		"rounds": number(&c.Rounds), "learning_rate": number(&c.LearningRate), "leaves": number(&c.Leaves), "min_rows": number(&c.MinRows),
		"min_hessian": number(&c.MinHessian), "min_gain": number(&c.MinGain), "l2": number(&c.L2), "bins": number(&c.Bins),
		"row_fraction": number(&c.RowFraction), "column_fraction": number(&c.ColumnFraction), "early_stop": number(&c.EarlyStop),
		"category_smoothing": number(&c.CategorySmoothing), "category_l2": number(&c.CategoryL2), "category_min_rows": number(&c.CategoryMinRows),
		"category_max": number(&c.CategoryMax), "monotone": l.readMonotone,
	}
}

// readMonotone reads "age:+1,income:-1".
func (l *gbdtLearner) readMonotone(v string) error {
	l.monotone = map[string]int{}
	for _, part := range strings.Split(v, ",") {
		i := strings.LastIndexByte(part, ':')
		if i < 0 {
			return fmt.Errorf("expected feature:+1 or feature:-1 by commas")
		}
		name := strings.TrimSpace(part[:i])
		switch strings.TrimSpace(part[i+1:]) {
		case "+1", "1":
			l.monotone[name] = 1
		case "-1":
			l.monotone[name] = -1
		default:
			return fmt.Errorf("%q must end in :+1 or :-1", part)
		}
	}
	return nil
}

// gbdtObjectives maps the tasks.
var gbdtObjectives = map[string]gbdt.Objective{Binary: gbdt.Binary, Multiclass: gbdt.Multiclass, Regression: gbdt.Regression, Quantile: gbdt.Quantile}

func (l *gbdtLearner) fit(ctx context.Context, p *problem, job *train.Job) (predictor, error) {
	c := l.c
	c.Objective, c.Classes, c.Quantile = gbdtObjectives[p.task], len(p.classes), p.quantile
	c.Seed, c.Workers = job.Seed, job.Workers
	if err := c.Validate(); err != nil {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "a parameter of the trees is wrong: %w", err)
	}
	for name := range l.monotone {
		if !slices.Contains(p.numeric, name) {
			return nil, api.Errorf(api.CodeTrainingParameterInvalid, "parameter monotone names %q, which is no numeric feature; there are: %s", name,
				strings.Join(p.numeric, ", "))
		}
	}
	m, err := gbdt.Train(ctx, c, l.dataset(p, &p.fit), l.dataset(p, &p.valid), func(q gbdt.Progress) {
		job.Tell(train.Event{Stage: "trees", Step: q.Round, Steps: q.Rounds, Message: fmt.Sprintf("loss of the rows to stop early %.5f, best %.5f in round %d",
			q.Loss, q.Best, q.BestRound)})
	})
	if err != nil {
		return nil, err
	}
	return &gbdtModel{m: m, c: c}, nil
}

// dataset hands a part to the trees: numeric features first.
func (l *gbdtLearner) dataset(p *problem, s *set) *gbdt.Dataset {
	d := &gbdt.Dataset{Columns: gbdtColumns(s), Labels: s.labels, Weights: s.weights}
	for _, name := range p.numeric {
		d.Features = append(d.Features, gbdt.Feature{Name: name, Monotone: l.monotone[name]})
	}
	for j, name := range p.categorical {
		d.Features = append(d.Features, gbdt.Feature{Name: name, Categories: len(p.categories[j])})
	}
	return d
}

func gbdtColumns(s *set) [][]float32 {
	out := slices.Clone(s.numeric)
	for _, codes := range s.codes {
		col := make([]float32, len(codes))
		for i, c := range codes {
			col[i] = float32(c)
		}
		out = append(out, col)
	}
	return out
}

type gbdtModel struct {
	m *gbdt.Model
	c gbdt.Config
}

func (m *gbdtModel) scores(s *set) [][]float64 { return m.m.Scores(gbdtColumns(s)) }

func (m *gbdtModel) append(g *build.Graph, in *inputs) (string, error) {
	return m.m.AppendONNX(g, in.numeric, in.codes)
}

func (m *gbdtModel) describe() description {
	set := func(name string, v any) train.CardSetting { return train.CardSetting{Name: name, Value: fmt.Sprint(v)} }
	c := &m.c
	d := description{
		method: fmt.Sprintf("Gradient boosted trees on histograms: %d trees in %d rounds, the best of at most %d by the loss of the rows held out to stop early.",
			len(m.m.Trees), m.m.Rounds(), c.Rounds),
		settings: []train.CardSetting{set("learning_rate", c.LearningRate), set("leaves", c.Leaves), set("min_rows", c.MinRows), set("l2", c.L2), set("bins", c.Bins),
			set("row_fraction", c.RowFraction), set("column_fraction", c.ColumnFraction), set("early_stop", c.EarlyStop), set("category_max", c.CategoryMax)},
		sources: []string{"Friedman, Annals of Statistics 29(5), 2001.", "Chen and Guestrin, XGBoost, KDD 2016.", "Ke et al., LightGBM, NeurIPS 2017."},
	}
	for _, imp := range m.m.Importance() {
		d.importance = append(d.importance, importance{imp.Feature, imp.Gain})
	}
	return d
}
