package tabular

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/train"
)

// The tasks.
const (
	Binary     = "binary"
	Multiclass = "multiclass"
	Regression = "regression"
	Quantile   = "quantile"
)

// settings are those that all learners share.
type settings struct {
	task     string // "" to infer
	quantile float64
	// level is the coverage that intervals aim at, 0 for none.
	level float64
	// outlierRate is the share of usual rows that may be called outliers, 0 for no outputs.
	outlierRate float64
	// The shares of rows that are held out.
	validShare, calibrateShare, testShare float64
	maxCategories                         int
	gates                                 []gate
	classWeights                          string // "", "balanced" or class:weight by commas
	// anySchema lets a new version take and give other tensors than the one before.
	anySchema bool
}

func defaultSettings() settings {
	return settings{quantile: 0.5, level: 0.9, outlierRate: 0.01, validShare: 0.1, calibrateShare: 0.1, testShare: 0.2, maxCategories: 1000}
}

// params reads a job's parameters by name.
type params map[string]func(v string) error

func number[T float64 | int](to *T) func(string) error {
	return func(v string) error {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("expected a number")
		}
		if *to = T(x); float64(*to) != x {
			return fmt.Errorf("expected a whole number")
		}
		return nil
	}
}

// common lists the parameters that all learners take.
func (s *settings) common() params {
	return params{
		"task": func(v string) error {
			if !slices.Contains([]string{Binary, Multiclass, Regression, Quantile}, v) {
				return fmt.Errorf("expected binary, multiclass, regression or quantile")
			}
			s.task = v
			return nil
		},
		"quantile": number(&s.quantile), "interval": number(&s.level), "outlier_rate": number(&s.outlierRate),
		"valid": number(&s.validShare), "calibrate": number(&s.calibrateShare), "test": number(&s.testShare),
		"max_categories": number(&s.maxCategories),
		"gates":          func(v string) (err error) { s.gates, err = parseGates(v); return },
		"class_weights":  func(v string) error { s.classWeights = v; return nil },
		"schema": func(v string) error {
			if s.anySchema = v == "any"; v != "any" && v != "same" {
				return fmt.Errorf("expected same or any")
			}
			return nil
		},
	}
}

// read sets what the job gives.
func (p params) read(given map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		set, ok := p[name]
		if !ok {
			return api.Errorf(api.CodeTrainingParameterInvalid, "the trainer has no parameter %q; it has: %s", name, strings.Join(slices.Sorted(maps.Keys(p)), ", "))
		}
		if err := set(given[name]); err != nil {
			return api.Errorf(api.CodeTrainingParameterInvalid, "parameter %s is %q: %w", name, given[name], err)
		}
	}
	return nil
}

func (s *settings) validate() error {
	bad := func(format string, args ...any) error {
		return api.Errorf(api.CodeTrainingParameterInvalid, format, args...)
	}
	switch {
	case !(s.quantile > 0 && s.quantile < 1):
		return bad("quantile is %v, must be inside (0, 1)", s.quantile)
	case !(s.level >= 0 && s.level < 1):
		return bad("interval is %v, must be 0 for none or a coverage below 1", s.level)
	case !(s.outlierRate >= 0 && s.outlierRate < 0.5):
		return bad("outlier_rate is %v, must be 0 for none or below 0.5", s.outlierRate)
	case !(s.validShare > 0 && s.calibrateShare > 0 && s.testShare > 0 && s.validShare+s.calibrateShare+s.testShare < 0.9):
		return bad("valid, calibrate and test are %v, %v and %v, each must be above 0 and their sum below 0.9", s.validShare, s.calibrateShare, s.testShare)
	case s.maxCategories < 2 || s.maxCategories > 100_000:
		return bad("max_categories is %d, must be in 2..100000", s.maxCategories)
	}
	return nil
}

// checkJob refuses jobs that no learner could do.
func checkJob(job *train.Job) error {
	bad := func(format string, args ...any) error {
		return api.Errorf(api.CodeTrainingParameterInvalid, format, args...)
	}
	switch {
	case job.Data == "":
		return bad("the training data are missing")
	case job.Columns.Target == "":
		return bad("the target column is missing")
	case !config.ValidName(job.Model):
		return bad("the model's name is '%.100s', expected letters, digits and . _ - with no dot in front", job.Model)
	}
	return nil
}

// gate is a bar that a figure of the test rows must keep.
type gate struct {
	metric string
	least  bool
	bar    float64
}

// parseGates reads "auc>=0.7,log_loss<=0.5".
func parseGates(v string) ([]gate, error) {
	var out []gate
	for _, part := range strings.Split(v, ",") {
		name, bar, least := strings.Cut(part, ">=")
		if !least {
			var most bool
			if name, bar, most = strings.Cut(part, "<="); !most {
				return nil, fmt.Errorf("expected such as auc>=0.7, got %q", part)
			}
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(bar), 64)
		if err != nil || math.IsNaN(x) {
			return nil, fmt.Errorf("the bar of %q is no number", part)
		}
		out = append(out, gate{strings.TrimSpace(name), least, x})
	}
	return out, nil
}

func (g gate) String() string {
	if g.least {
		return fmt.Sprintf(">= %.4g", g.bar)
	}
	return fmt.Sprintf("<= %.4g", g.bar)
}

// judge sets the figures beside the gates and says which were missed.
func judge(metrics []train.Metric, gates []gate) error {
	missed := ""
	for _, g := range gates {
		i := slices.IndexFunc(metrics, func(m train.Metric) bool { return m.Name == g.metric })
		if i < 0 {
			var names []string
			for _, m := range metrics {
				names = append(names, m.Name)
			}
			return api.Errorf(api.CodeTrainingParameterInvalid, "a gate is set on %q, which is not measured on these rows; there are: %s", g.metric,
				strings.Join(names, ", "))
		}
		m := &metrics[i]
		ok := g.least && m.Value >= g.bar || !g.least && m.Value <= g.bar
		m.Passed = m.Passed && ok
		if m.Gate != "" {
			m.Gate += ", "
		}
		m.Gate += g.String()
		if !ok {
			missed += fmt.Sprintf("; %s is %.4f, must be %s", g.metric, m.Value, g)
		}
	}
	if missed != "" {
		return api.Errorf(api.CodeTrainingGateMissed, "no model was published, for on the test rows%s", missed[1:])
	}
	return nil
}
