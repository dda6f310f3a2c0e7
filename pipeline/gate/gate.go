// Package gate decides whether a version may take the place of another: both answer the
// same held-out rows, a metric is taken of both, and a paired bootstrap over the rows says
// how sure the difference is.
//
// The candidate passes if it is not worse by more than a margin, at the lower end of the
// confidence interval of the difference: a test of non-inferiority, so that too few rows
// fail rather than pass.
//
// Neighbours: pipeline runs the rows, train/evaluate has the statistics; server/releases
// reads held-out sets and calls Run.
//
// Ownership: the Set is read, never changed.
//
// Concurrency: Run may run any number of times at once.
package gate

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/train/evaluate"
)

// Set is held-out data: what a model is asked, and what is true.
type Set struct {
	// Inputs by name; the first dimension of each is the row.
	Inputs map[string]*tensor.Tensor
	// Labels by row: 0 or 1, the number of a class, or a value, as the metric wants.
	Labels []float64
}

// Config of a gate.
type Config struct {
	// Metric is one of Metrics.
	Metric string
	// Output is the output to measure. Default: the model's only one, or the only one of
	// floating point.
	Output string
	// Margin is by how much the candidate may be worse, in the metric's unit. Nil: a
	// hundredth of the figure of the version that serves.
	Margin *float64
	// Confidence of the interval. Default 0.95.
	Confidence float64
	// Rounds of the bootstrap. Default 1000.
	Rounds int
	// Seed of the bootstrap's draws.
	Seed uint64
}

// Result is what a gate measured.
type Result struct {
	Metric string `json:"metric"`
	Output string `json:"output"`
	Rows   int    `json:"rows"`
	// Stable and Candidate are the versions, and their figures.
	StableVersion    int64   `json:"stable_version"`
	CandidateVersion int64   `json:"candidate_version"`
	Stable           float64 `json:"stable"`
	Candidate        float64 `json:"candidate"`
	// Better is by how much the candidate is better, Low to High its interval.
	Better     float64 `json:"better"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
	Margin     float64 `json:"margin"`
	Passed     bool    `json:"passed"`
}

// Bounds of what a gate takes.
const (
	minRows   = 10
	maxRows   = 10_000_000
	maxRounds = 100_000
)

// Run measures both versions on the set.
func Run(ctx context.Context, stable, candidate *pipeline.Served, set *Set, cfg Config) (*Result, error) {
	if cfg.Confidence == 0 {
		cfg.Confidence = 0.95
	}
	if cfg.Rounds == 0 {
		cfg.Rounds = 1000
	}
	m, err := check(set, cfg)
	if err != nil {
		return nil, err
	}
	r := &Result{Metric: cfg.Metric, Rows: len(set.Labels), StableVersion: stable.Version, CandidateVersion: candidate.Version, Confidence: cfg.Confidence}
	if r.Output, err = output(stable, cfg.Output); err != nil {
		return nil, err
	}
	a, err := answers(ctx, stable, set, r.Output)
	if err != nil {
		return nil, err
	}
	b, err := answers(ctx, candidate, set, r.Output)
	if err != nil {
		return nil, err
	}
	figureA, err := m.prepare(set.Labels, a)
	if err != nil {
		return nil, err
	}
	figureB, err := m.prepare(set.Labels, b)
	if err != nil {
		return nil, err
	}
	better := func(w []float64) float64 {
		if m.larger {
			return figureB(w) - figureA(w)
		}
		return figureA(w) - figureB(w)
	}
	r.Stable, r.Candidate, r.Better = figureA(nil), figureB(nil), better(nil)
	rows := make([]int, len(set.Labels))
	for i := range rows {
		rows[i] = i
	}
	interval := evaluate.Bootstrap(rows, cfg.Rounds, cfg.Confidence, cfg.Seed, func(w []float64) []float64 { return []float64{better(w)} })[0]
	r.Low, r.High = interval.Low, interval.High
	r.Margin = math.Abs(r.Stable) / 100
	if cfg.Margin != nil {
		r.Margin = *cfg.Margin
	}
	if !finite(r.Stable, r.Candidate, r.Low, r.High) {
		return nil, api.Errorf(api.CodeGateInvalid, "the metric '%s' has no value on these rows: the answers hold NaN, or the labels one class alone", cfg.Metric)
	}
	r.Passed = r.Low >= -r.Margin
	return r, nil
}

func finite(v ...float64) bool {
	return !slices.ContainsFunc(v, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}

// check refuses what can't be measured.
func check(set *Set, cfg Config) (metric, error) {
	m, ok := metrics[cfg.Metric]
	n := len(set.Labels)
	switch {
	case !ok:
		return m, api.Errorf(api.CodeGateInvalid, "got the metric '%.50s', expected one of %s", cfg.Metric, strings.Join(Metrics(), ", "))
	case n < minRows || n > maxRows:
		return m, api.Errorf(api.CodeGateInvalid, "got %d labels, expected %d to %d", n, minRows, maxRows)
	case !(cfg.Confidence > 0.5 && cfg.Confidence < 1):
		return m, api.Errorf(api.CodeGateInvalid, "got the confidence %v, expected one above 0.5 and below 1", cfg.Confidence)
	case cfg.Rounds < 100 || cfg.Rounds > maxRounds:
		return m, api.Errorf(api.CodeGateInvalid, "got %d rounds, expected 100 to %d", cfg.Rounds, maxRounds)
	case cfg.Margin != nil && !(*cfg.Margin >= 0):
		return m, api.Errorf(api.CodeGateInvalid, "got the margin %v, expected 0 or more", *cfg.Margin)
	case !finite(set.Labels...):
		return m, api.Errorf(api.CodeGateInvalid, "a label is not a number")
	}
	for name, t := range set.Inputs {
		if t.Rank() == 0 || t.Shape[0] != n {
			return m, api.Errorf(api.CodeGateInvalid, "input '%s' has the shape %v, expected %d rows, one a label", name, t.Shape, n)
		}
	}
	return m, nil
}

// output finds the output to measure.
func output(v *pipeline.Served, name string) (string, error) {
	var names, floats []string
	for _, o := range v.Outputs {
		if o.Name == name {
			return name, nil
		}
		names = append(names, o.Name)
		if o.DType.IsFloat() {
			floats = append(floats, o.Name)
		}
	}
	switch {
	case name != "":
		return "", api.Errorf(api.CodeGateInvalid, "model '%s' has no output '%.100s', it has %v", v.Model, name, names)
	case len(names) == 1:
		return names[0], nil
	case len(floats) == 1:
		return floats[0], nil
	}
	return "", api.Errorf(api.CodeGateInvalid, "model '%s' has the outputs %v: name the one to measure", v.Model, names)
}

// chunk is the rows that are asked at once.
const chunk = 256

// answers runs the set's rows on a version; each row of the result is what the output
// says of one.
func answers(ctx context.Context, v *pipeline.Served, set *Set, output string) ([][]float64, error) {
	if v.MaxBatch == 0 {
		return nil, api.Errorf(api.CodeGateInvalid, "version %d of model '%s' takes no batches, so that its answers to rows can't be told apart", v.Version, v.Model)
	}
	place, err := v.FindOutput([]byte(output))
	if err != nil {
		return nil, api.Errorf(api.CodeGateInvalid, "the held-out set: version %d: %s", v.Version, api.Message(err))
	}
	n := len(set.Labels)
	out := make([][]float64, 0, n)
	for from := 0; from < n; {
		to := min(n, from+min(chunk, v.MaxBatch))
		rows, err := ask(ctx, v, set, place, from, to)
		if err != nil {
			return nil, err
		}
		out, from = append(out, rows...), to
	}
	return out, nil
}

func ask(ctx context.Context, v *pipeline.Served, set *Set, place, from, to int) ([][]float64, error) {
	c := &pipeline.Call{}
	c.In = make([]tensor.Tensor, len(v.Inputs))
	for name, t := range set.Inputs {
		i, err := v.Find([]byte(name))
		if err != nil {
			return nil, api.Errorf(api.CodeGateInvalid, "the held-out set: version %d: %s", v.Version, api.Message(err))
		}
		rows := t.Rows(from, to)
		if err := v.CheckInput(i, rows.DType, rows.Shape); err != nil {
			return nil, api.Errorf(api.CodeGateInvalid, "the held-out set does not fit version %d of model '%s': %s", v.Version, v.Model, api.Message(err))
		}
		c.In[i] = *rows
	}
	if n := v.Spec.Batcher.Levels; n > 1 {
		c.Priority = n // behind everybody
	}
	if err := v.Infer(ctx, c); err != nil {
		return nil, api.Errorf(api.CodeGateInvalid, "version %d of model '%s' fails on rows %d to %d of the held-out set: %s", v.Version, v.Model, from, to-1, api.Message(err))
	}
	defer c.Release()
	t, ok := c.Out[place].(*tensor.Tensor)
	if !ok {
		return nil, api.Errorf(api.CodeGateInvalid, "the output is no tensor")
	}
	values, err := tensor.Float64s(t)
	if err != nil || len(values)%(to-from) != 0 {
		return nil, api.Errorf(api.CodeGateInvalid, "the output's type %s or shape %v can't be measured", t.DType.V2(), t.Shape)
	}
	width := len(values) / (to - from)
	out := make([][]float64, to-from)
	for i := range out {
		out[i] = slices.Clone(values[i*width : (i+1)*width])
	}
	return out, nil
}
