package gbdt

import (
	"fmt"
	"math"
	goruntime "runtime"
)

// Objective says what the trees are fitted to.
type Objective int

const (
	// Binary fits labels 0 and 1 by log-loss; Predict gives the log-odds.
	Binary Objective = iota
	// Multiclass fits labels 0..Classes-1 by softmax cross-entropy; Predict
	// gives one score a class.
	Multiclass
	// Regression fits real labels by squared error.
	Regression
	// Quantile fits the Config.Quantile quantile of real labels by pinball
	// loss.
	Quantile
)

// String names the objective as it is written in cards and messages.
func (o Objective) String() string {
	switch o {
	case Binary:
		return "binary"
	case Multiclass:
		return "multiclass"
	case Regression:
		return "regression"
	case Quantile:
		return "quantile"
	}
	return fmt.Sprintf("Objective(%d)", int(o))
}

// MaxBins is the most bins that a feature can have: a bin, or the place of a
// missing value after the last bin, must fit one byte.
const MaxBins = 255

// Config holds what governs a training. Begin with DefaultConfig.
type Config struct {
	Objective Objective
	// Classes is the number of classes of a Multiclass training, at least 2.
	Classes int
	// Quantile is the level that a Quantile training aims at, inside (0, 1).
	Quantile float64

	// Rounds is the most boosting rounds; a round is one tree, of a
	// Multiclass training one tree a class.
	Rounds int
	// LearningRate shrinks each tree, in (0, 1].
	LearningRate float64
	// Leaves is the most leaves a tree has, at least 2.
	Leaves int
	// MinRows is the fewest training rows that a leaf may hold.
	MinRows int
	// MinHessian is the least sum of second derivatives that a leaf may hold.
	MinHessian float64
	// MinGain is the gain that a split must exceed.
	MinGain float64
	// L2 is added to the sum of second derivatives of each leaf.
	L2 float64
	// Bins is the most bins of a numeric feature, 2..MaxBins.
	Bins int

	// RowFraction is the share of rows drawn, without replacement, for each
	// round; ColumnFraction the share of features drawn for each tree.
	RowFraction    float64
	ColumnFraction float64

	// CategorySmoothing is added to a category's hessian when categories are
	// ordered, which draws rare ones to the middle.
	CategorySmoothing float64
	// CategoryL2 is added to L2 where a categorical split is judged.
	CategoryL2 float64
	// CategoryMinRows is the fewest rows of a leaf that a category needs to be
	// named in a split; rarer ones go with the unknown.
	CategoryMinRows int
	// CategoryMax is the most categories that the named side of a split lists.
	CategoryMax int

	// ClassWeights multiplies the weight of each row by its class's entry; nil
	// means 1 for all. Binary and Multiclass only.
	ClassWeights []float64

	// EarlyStop ends the training when the loss on the validation set has not
	// improved for this many rounds and cuts the model back to its best
	// round; 0 never stops early.
	EarlyStop int

	// Seed decides every draw.
	Seed uint64
	// Workers is how many goroutines share the work; it never changes the
	// result. 0 means GOMAXPROCS.
	Workers int
}

// DefaultConfig returns a Config for binary log-loss that suits some ten
// thousand to some million rows.
func DefaultConfig() Config {
	return Config{
		Objective: Binary, Quantile: 0.5, Rounds: 1000, LearningRate: 0.05, Leaves: 31,
		MinRows: 20, MinHessian: 1e-3, L2: 1, Bins: MaxBins, RowFraction: 1, ColumnFraction: 1,
		CategorySmoothing: 10, CategoryL2: 10, CategoryMinRows: 10, CategoryMax: 32,
		EarlyStop: 50, Seed: 1,
	}
}

// Validate reports the first setting that can't work, by its field name.
func (c Config) Validate() error {
	frac := func(v float64) bool { return v > 0 && v <= 1 }
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 1) }
	checks := []struct {
		ok    bool
		field string
		value any
		want  string
	}{
		{c.Objective >= Binary && c.Objective <= Quantile, "Objective", c.Objective, "a known one"},
		{c.Objective != Multiclass || c.Classes >= 2, "Classes", c.Classes, "at least 2"},
		{c.Objective != Quantile || c.Quantile > 0 && c.Quantile < 1, "Quantile", c.Quantile, "inside (0, 1)"},
		{c.Rounds >= 1, "Rounds", c.Rounds, "at least 1"},
		{frac(c.LearningRate), "LearningRate", c.LearningRate, "in (0, 1]"},
		{c.Leaves >= 2 && c.Leaves <= 1<<16, "Leaves", c.Leaves, "in 2..65536"},
		{c.MinRows >= 1, "MinRows", c.MinRows, "at least 1"},
		{finite(c.MinHessian), "MinHessian", c.MinHessian, "finite, not negative"},
		{finite(c.MinGain), "MinGain", c.MinGain, "finite, not negative"},
		{finite(c.L2), "L2", c.L2, "finite, not negative"},
		{c.Bins >= 2 && c.Bins <= MaxBins, "Bins", c.Bins, "in 2..255"},
		{frac(c.RowFraction), "RowFraction", c.RowFraction, "in (0, 1]"},
		{frac(c.ColumnFraction), "ColumnFraction", c.ColumnFraction, "in (0, 1]"},
		{finite(c.CategorySmoothing), "CategorySmoothing", c.CategorySmoothing, "finite, not negative"},
		{finite(c.CategoryL2), "CategoryL2", c.CategoryL2, "finite, not negative"},
		{c.CategoryMinRows >= 1, "CategoryMinRows", c.CategoryMinRows, "at least 1"},
		{c.CategoryMax >= 1, "CategoryMax", c.CategoryMax, "at least 1"},
		{c.EarlyStop >= 0, "EarlyStop", c.EarlyStop, "not negative"},
		{c.Workers >= 0, "Workers", c.Workers, "not negative"},
	}
	for _, k := range checks {
		if !k.ok {
			return fmt.Errorf("gbdt: %s is %v, must be %s", k.field, k.value, k.want)
		}
	}
	return c.validateClassWeights()
}

func (c Config) validateClassWeights() error {
	if c.ClassWeights == nil {
		return nil
	}
	want := 2
	switch c.Objective {
	case Multiclass:
		want = c.Classes
	case Regression, Quantile:
		return fmt.Errorf("gbdt: ClassWeights do not apply to the objective %s", c.Objective)
	}
	if len(c.ClassWeights) != want {
		return fmt.Errorf("gbdt: ClassWeights has %d entries, must have %d", len(c.ClassWeights), want)
	}
	for i, w := range c.ClassWeights {
		if !(w > 0) || math.IsInf(w, 1) {
			return fmt.Errorf("gbdt: ClassWeights[%d] is %v, must be positive and finite", i, w)
		}
	}
	return nil
}

func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return goruntime.GOMAXPROCS(0)
}

// outputs is the number of scores a row gets.
func (c Config) outputs() int {
	if c.Objective == Multiclass {
		return c.Classes
	}
	return 1
}
