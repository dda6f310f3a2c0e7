package gbdt

import (
	"fmt"
	"math"
)

// Feature describes one column.
type Feature struct {
	Name string
	// Categories is 0 for a numeric feature. Otherwise values are codes
	// 0..Categories-1; anything else (negative, too large, NaN) is unknown.
	Categories int
	// Monotone is +1 where the prediction may only rise with the value, -1
	// where it may only fall, 0 where it is free. Numeric features only.
	Monotone int
}

// Categorical says whether the feature holds codes of categories.
func (f Feature) Categorical() bool { return f.Categories > 0 }

// Dataset is a table by columns with a label a row. Training only reads it.
type Dataset struct {
	Features []Feature
	// Columns[f][row] is the value of feature f, all of one length.
	Columns [][]float32
	// Labels has one entry a row: a class number, or a real number.
	Labels []float64
	// Weights has one entry a row, or is nil for all 1.
	Weights []float64
}

// Rows is the number of rows.
func (d *Dataset) Rows() int { return len(d.Labels) }

// maxRows leaves the hessians of a histogram bits enough beside the count.
const maxRows = 1 << 26

func (d *Dataset) validate(c *Config, what string) error {
	n := len(d.Labels)
	if n == 0 || n > maxRows {
		return fmt.Errorf("gbdt: the %s set has %d rows, must have 1..%d", what, n, maxRows)
	}
	if len(d.Features) == 0 || len(d.Features) != len(d.Columns) {
		return fmt.Errorf("gbdt: the %s set has %d features and %d columns, must have as many of each, and one at least", what, len(d.Features), len(d.Columns))
	}
	for i, f := range d.Features {
		if len(d.Columns[i]) != n {
			return fmt.Errorf("gbdt: column %q of the %s set has %d rows, the labels have %d", f.Name, what, len(d.Columns[i]), n)
		}
		if f.Categories < 0 || f.Categories > maxCategories {
			return fmt.Errorf("gbdt: feature %q has %d categories, must have 0..%d", f.Name, f.Categories, maxCategories)
		}
		if f.Monotone < -1 || f.Monotone > 1 || f.Categorical() && f.Monotone != 0 {
			return fmt.Errorf("gbdt: feature %q: Monotone is %d, must be -1, 0 or 1, and 0 where categorical", f.Name, f.Monotone)
		}
	}
	if d.Weights != nil && len(d.Weights) != n {
		return fmt.Errorf("gbdt: the %s set has %d weights for %d rows", what, len(d.Weights), n)
	}
	for i, w := range d.Weights {
		if !(w > 0) || math.IsInf(w, 1) {
			return fmt.Errorf("gbdt: weight %d of the %s set is %v, must be positive and finite", i, what, w)
		}
	}
	return d.validateLabels(c, what)
}

// maxCategories keeps codes exact in float32.
const maxCategories = 1 << 24

func (d *Dataset) validateLabels(c *Config, what string) error {
	for i, y := range d.Labels {
		switch c.Objective {
		case Binary, Multiclass:
			k := 2
			if c.Objective == Multiclass {
				k = c.Classes
			}
			if y != math.Trunc(y) || y < 0 || y >= float64(k) {
				return fmt.Errorf("gbdt: label %d of the %s set is %v, must be a class in 0..%d", i, what, y, k-1)
			}
		default:
			if math.IsNaN(y) || math.IsInf(y, 0) {
				return fmt.Errorf("gbdt: label %d of the %s set is %v, must be finite", i, what, y)
			}
		}
	}
	return nil
}

// rowWeights joins row and class weights; nil means all 1.
func (d *Dataset) rowWeights(c *Config) []float64 {
	if c.ClassWeights == nil {
		return d.Weights
	}
	w := make([]float64, len(d.Labels))
	for i, y := range d.Labels {
		w[i] = c.ClassWeights[int(y)]
		if d.Weights != nil {
			w[i] *= d.Weights[i]
		}
	}
	return w
}

// sameSchema says how b differs from a in its features, or nil.
func sameSchema(a, b *Dataset) error {
	if len(a.Features) != len(b.Features) {
		return fmt.Errorf("gbdt: the validation set has %d features, the training set %d", len(b.Features), len(a.Features))
	}
	for i, f := range a.Features {
		if f != b.Features[i] {
			return fmt.Errorf("gbdt: feature %d of the validation set is %+v, of the training set %+v", i, b.Features[i], f)
		}
	}
	return nil
}
